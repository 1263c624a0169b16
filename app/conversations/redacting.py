"""Redaction of texts that do not pass the pipeline: what staff write, and what comes while a person speaks."""

from __future__ import annotations

import asyncio

from app.redaction.redactor import Redactor
from app.redaction.vault import Vault


class ThreadRedactor:
    """The site's redactor as conversations' TextRedactor: in a thread, so that the event loop goes on."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    async def redact(self, text: str, vault: Vault) -> str:
        """The text with pseudonyms. Raises RedactionFailed."""
        return (await asyncio.to_thread(self._redactor.redact, text, vault)).text
