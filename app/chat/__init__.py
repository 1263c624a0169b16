"""One turn of a chat, from a patient's words to a vetted reply. No database, no HTTP."""
