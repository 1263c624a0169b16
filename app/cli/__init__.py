"""The `bedside` command: for people (plain words on a terminal) and for scripts (JSON lines in, JSON lines out, in order)."""
