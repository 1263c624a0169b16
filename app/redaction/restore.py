"""Put the patient's own words back where a model's text holds their pseudonyms."""

from __future__ import annotations

import regex

from app.redaction.vault import Vault

MAX_TOKEN = 32
"""No token is longer than this, spaces inside its brackets included; a stream is never held back further."""

TOKEN = regex.compile(r"<[ \t]{0,3}(?P<type>[A-Za-z][A-Za-z_]{0,16}) ?_ ?(?P<number>\d{1,4})[ \t]{0,3}>")

_UNKNOWN = {
    "PERSON": "that person",
    "DATE": "that date",
    "PHONE": "that number",
    "EMAIL": "that address",
    "ADDRESS": "that address",
    "CITY": "that place",
    "ZIP": "that place",
}


def restore(text: str, vault: Vault) -> str:
    """Replace the tokens that the vault issued by their values; any other token becomes a neutral word.

    Case and spaces inside the brackets do not matter. Values are put in as they are and not read again.
    """

    def original(match: regex.Match[str]) -> str:
        entity_type = match["type"].upper()
        value = vault.value(f"<{entity_type}_{int(match['number'])}>")
        return _UNKNOWN.get(entity_type, "that detail") if value is None else value

    return TOKEN.sub(original, text)


class StreamingRestore:
    """``restore`` for text that comes in pieces: any split gives the text that one call would give.

    ``held`` is the tail that is kept back.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.held = ""

    def feed(self, chunk: str) -> str:
        """Add a piece; return what can be shown now. At most 32 characters are held back."""
        text = self.held + chunk
        cut = text.rfind("<")
        # A token holds no second "<", so only the last one can still grow into a token.
        if cut < 0 or ">" in text[cut:] or not TOKEN.fullmatch(text, cut, partial=True):
            cut = len(text)
        self.held = text[cut:]
        return restore(text[:cut], self._vault)

    def finish(self) -> str:
        """The rest, when no more will come."""
        held, self.held = self.held, ""
        return restore(held, self._vault)
