"""What a patient is told whose message is refused: the emergency number always, and a safety text where it needs one.

Triage needs no session and no database, so a refusal can still say that the message reads like an emergency. What
strangers may have triaged this way is bounded for each address and in all; above that the number alone is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

from pydantic import BaseModel, Field
from starlette.types import Scope

from app.api.rates import RateLimit
from app.chat.protocols import Turn
from app.contracts.replies import Reply, ReplyKind
from app.contracts.site import Site
from app.conversations.protocols import Responder
from app.conversations.schemas import RouteView
from app.conversations.views import route_views
from app.errors import TooManyRequests
from app.guardrails.language import language_of, languages
from app.logging import logger
from app.redaction.vault import MemoryVault

PER_ADDRESS = 60
"""Refused messages of one address that are triaged in a minute, five of them at once."""

IN_ALL = 120
"""Refused messages of all addresses that one process triages in a minute, ten of them at once."""

STRANGER_CHARACTERS = 1_000
"""What is triaged of either end of a text that no session within its rate sent."""

_MESSAGE = re.compile(r"/v1/conversations/[^/]+/(messages|handoff)/?")
_FIELD = re.compile(r'"(?:text|reason)"\s*:\s*"')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_LETTERS = {"n": "\n", "r": "\n", "t": "\t"}
_LANGUAGE = re.compile(r"(?:^|,)\s*(en|es)(?:-\w+)*\s*(?:;\s*q\s*=\s*([01](?:\.\d{1,3})?))?\s*(?=,|$)", re.IGNORECASE)
_STANDING = {
    "en": "If this is an emergency, call {phone}.",
    "es": "Si es una emergencia, llame al {phone}.",
}
_PROMISE = re.compile(
    r"\s*(?:A person (?:here )?is being told about this chat|Avisamos a una persona sobre este chat)\."
)
"""Holds for stored messages only."""
_UNSEEN = {
    "en": "Do not wait for an answer here: nobody may see this message.",
    "es": "No espere respuesta aquí: es posible que nadie vea este mensaje.",
}


class Aid(BaseModel):
    """What the refusal of a patient's message holds beside the error."""

    emergency: str | None = Field(
        None, description="refusals of a patient's message: a sentence with the site's emergency number; show it"
    )
    safety_text: str | None = Field(
        None, description="the refused message reads like an emergency: the text for it; show it at once, prominently"
    )
    category: str | None = Field(None, description="what kind of emergency, such as cardiac; with safety_text only")
    routes: list[RouteView] | None = Field(None, description="whom to call; with safety_text only")
    language: str | None = Field(None, description="of safety_text and of the labels of routes; with safety_text only")


class RefusalObserver(Protocol):
    """Is told what became of refused messages, for metrics. Never gets text."""

    def refused(self, outcome: str) -> None:
        """``emergency``, ``calm``, ``not_triaged`` (over the bound, or triage failed)."""
        ...


@dataclass
class Arrived:
    """What is known of a request when it is refused: kept in the request's state, filled in on the way.

    ``body`` is its beginning, ``tail`` the end of one that was too large. ``within_rate``: a session sent it that had
    not reached its limit, so that it costs no more than a message that is taken.
    """

    body: bytes = b""
    tail: bytes = b""
    language: str | None = None
    within_rate: bool = False


def arrived(scope: Scope) -> Arrived:
    """The notes on a request."""
    found: Arrived = scope.setdefault("state", {}).setdefault("arrived", Arrived())
    return found


async def aid_for(scope: Scope) -> Aid:
    """What a refusal must hold beside the error; empty where the request was no patient's message."""
    if scope["method"] != "POST" or not _MESSAGE.fullmatch(scope["path"]):
        return Aid()
    refusals: Refusals = scope["app"].state.services.refusals
    address = scope["client"][0] if scope.get("client") else ""
    accepted = next((value for name, value in scope["headers"] if name == b"accept-language"), b"")
    return await refusals.aid(arrived(scope), address, accepted.decode("latin-1"))


class Refusals:
    """Aid for refused messages of one site. At most ``max_characters`` of a text's beginning and end are triaged."""

    def __init__(
        self,
        site: Site,
        responder: Responder,
        observer: RefusalObserver,
        *,
        max_characters: int = 4_000,
        address_rate: RateLimit | None = None,
        total_rate: RateLimit | None = None,
    ) -> None:
        self._site, self._responder, self._observer = site, responder, observer
        self._max_characters = max_characters
        self._address_rate = address_rate or RateLimit(PER_ADDRESS, burst=5)
        self._total_rate = total_rate or RateLimit(IN_ALL, burst=10)
        self._log = logger(__name__)

    async def aid(self, message: Arrived, address: str, accepted: str) -> Aid:
        """The standing sentence, and the safety text if triage calls the message urgent or an emergency.

        Never raises: a fault of triage must not take the number away.
        """
        language = message.language or preferred(accepted) or self._site.languages[0]
        language = language if language in _STANDING else "en"
        aid = Aid(emergency=_STANDING[language].format(phone=self._site.emergency_phone))
        length = self._max_characters if message.within_rate else min(STRANGER_CHARACTERS, self._max_characters)
        pieces = ends(words_of(message), length)
        if not pieces:
            return aid
        if not (message.within_rate or self._affordable(address)):
            self._observer.refused("not_triaged")
            return aid
        try:
            found = await self._judged(pieces, language)
        except Exception:
            self._log.error("refused message not triaged", exc_info=True)
            self._observer.refused("not_triaged")
            return aid
        if found is None:
            return aid
        spoken = languages(found.text) or (language,)
        aid.safety_text = " ".join([_PROMISE.sub("", found.text), *(_UNSEEN[code] for code in spoken)])
        aid.category = found.category
        aid.language = language_of(found.text, language)
        aid.routes = route_views(self._site, found.routes, aid.language)
        return aid

    def _affordable(self, address: str) -> bool:
        try:
            self._address_rate.check(address)
            self._total_rate.check("")
        except TooManyRequests:
            return False
        return True

    async def _judged(self, pieces: list[str], language: str) -> Reply | None:
        """The most urgent safety reply to the pieces, each triaged by itself; None if none is urgent."""
        replies = [await self._reply(piece, language) for piece in pieces]
        urgent = [reply for reply in replies if reply.kind is ReplyKind.EMERGENCY]
        failed = any((reply.handoff or "").startswith("failed:") for reply in replies)
        self._observer.refused("emergency" if urgent else "not_triaged" if failed else "calm")
        return max(urgent, key=lambda reply: reply.tier, default=None)

    async def _reply(self, piece: str, language: str) -> Reply:
        # Without consent the pipeline does nothing but triage.
        turn = Turn(
            conversation_id="", text=piece, vault=MemoryVault(), language=language, consented=False, model_allowed=False
        )
        async with aclosing(self._responder.respond(turn)) as events:
            async for event in events:
                if isinstance(event, Reply):
                    return event
        raise RuntimeError("the pipeline ended without a reply")


def preferred(accepted: str) -> str | None:
    """The language of the site's texts that an Accept-Language header likes best, if it names one."""
    found = [(float(quality or 1), code.lower()) for code, quality in _LANGUAGE.findall(accepted)]
    return max(found, key=itemgetter(0))[1] if found else None


def ends(text: str, length: int) -> list[str]:
    """A text as it is triaged: whole, or its first and last ``length`` characters; nothing if it has no words."""
    if not text.strip():
        return []
    return [text] if len(text) <= length else [text[:length], text[-length:]]


def words_of(message: Arrived) -> str:
    """The patient's words in a request body, as well as they can be read in one that is cut off or broken."""
    try:
        found = " ".join(_strings(json.loads(message.body))) if not message.tail else None
    except (ValueError, RecursionError):
        found = None
    if found is None:
        found = _bare((message.body + message.tail).decode("utf-8", "replace"))
    return _NO_TEXT.sub(" ", found)


def _strings(body: Any) -> Iterator[str]:
    if isinstance(body, dict):
        yield from (value for name in ("text", "reason") if isinstance(value := body.get(name), str))


def _bare(raw: str) -> str:
    """What stands after the opening of the field, without JSON's escapes; all of it where no field is opened."""
    field = _FIELD.search(raw)
    text = raw[field.end() :] if field else raw
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _LETTERS.get(m[2], m[2]), text)
