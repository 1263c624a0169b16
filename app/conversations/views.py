"""Rows to views: what is decrypted for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from app.contracts.hours import hours_text, is_open
from app.contracts.passages import Citation
from app.contracts.replies import Reply, ReplyKind
from app.contracts.site import Contact, Site
from app.conversations.schemas import (
    ChoiceView,
    CitationView,
    ConversationView,
    HitView,
    MessageView,
    RouteView,
    StaffConversationView,
    StaffMessageView,
)
from app.conversations.texts import text
from app.db.cipher import TextCipher
from app.guardrails.language import language_of

_SAFETY = frozenset({ReplyKind.EMERGENCY, ReplyKind.HANDOFF, ReplyKind.REDIRECT})
"""Kinds of reply whose fixed text may be in another language than the conversation."""


class Views:
    """Builds views for one site."""

    def __init__(self, site: Site, cipher: TextCipher) -> None:
        self._site = site
        self._cipher = cipher

    def routes(self, names: Sequence[str], language: str) -> list[RouteView]:
        """See :func:`route_views`."""
        return route_views(self._site, names, language)

    def citations(self, citations: Sequence[Citation]) -> list[CitationView]:
        """Citations of a reply."""
        return [
            CitationView(
                article_id=c.article_id, title=c.title, quote=c.quote, reviewed=c.reviewed, url=_url(c.article_id)
            )
            for c in citations
        ]

    def reply(self, reply: Reply, language: str) -> dict[str, Any]:
        """What a message shows of a finished reply, beside what every message has."""
        asks = reply.clarification
        spoken = _spoken(reply.kind, reply.text, language)
        return {
            "text": reply.text,
            "language": spoken,
            "kind": reply.kind.value,
            "tier": reply.tier.label,
            "category": reply.category,
            "routes": self.routes(reply.routes, spoken or language),
            "citations": [] if asks else self.citations(reply.citations),
            "choices": [ChoiceView(article_id=c.article_id, title=c.title) for c in asks.choices] if asks else [],
        }

    def message(self, row: RowMapping, language: str, shown: str = "") -> MessageView:
        """For the patient. ``shown`` is what was streamed so far; a superseded message shows nothing."""
        status = row["status"]
        if status == "complete":
            words = self._cipher.decrypt(row["text_encrypted"])
        else:
            words = shown if status == "streaming" else ""
        spoken = _spoken(row["kind"], words, language)
        return MessageView(**self._common(row, spoken or language), language=spoken, text=words)

    def staff_message(self, row: RowMapping) -> StaffMessageView:
        """For staff: the redacted text only."""
        return StaffMessageView(
            **self._common(row, "en"),
            language=_spoken(row["kind"], row["text_redacted"], row["language"]),
            text=row["text_redacted"],
            hits=[HitView(**hit) for hit in row["hits"]],
            adapter=row["adapter_version"],
            prompt_version=row["prompt_version"],
            policy_hash=row["policy_hash"],
        )

    def conversation(self, row: RowMapping, at: datetime) -> ConversationView:
        """Who speaks now."""
        handler, language = row["handler"], row["language"]
        return ConversationView(
            id=row["id"],
            handler=handler,
            who=text(f"who_{handler}", language, assistant=self._site.assistant_name, staff=row["staff_name"]),
            staff_name=row["staff_name"] if handler == "staff" else None,
            queue_position=row["queue_position"],
            waiting_text=self._waiting(row["queue_position"], language, at) if handler == "waiting" else None,
            version=row["version"],
            last_seq=row["last_seq"],
            created_at=row["created_at"],
        )

    def staff_conversation(self, row: RowMapping, messages: Sequence[RowMapping]) -> StaffConversationView:
        """A whole conversation for staff."""
        return StaffConversationView(
            id=row["id"],
            handler=row["handler"],
            staff_id=row["staff_id"],
            staff_name=row["staff_name"],
            version=row["version"],
            epoch=row["epoch"],
            language=row["language"],
            messages=[self.staff_message(message) for message in messages],
            created_at=row["created_at"],
        )

    def _waiting(self, position: int | None, language: str, at: datetime) -> str:
        if is_open(self._site, at):
            return text("waiting_open", language, position=position or 1, emergency=self._site.emergency_phone)
        hours = hours_text(self._site, language)
        return text("waiting_closed", language, hours=hours, emergency=self._site.emergency_phone)

    def _common(self, row: RowMapping, language: str) -> dict[str, Any]:
        return {
            "id": row["id"],
            "position": row["position"],
            "author": row["author"],
            "author_name": row["author_name"],
            "status": row["status"],
            "kind": row["kind"],
            "tier": row["tier"],
            "category": row["category"],
            "routes": self.routes(row["routes"], language),
            **_articles(row),
            "in_reply_to": row["in_reply_to"],
            "created_at": row["created_at"],
            "feedback": row["rating"],
        }


def _spoken(kind: str, words: str, language: str) -> str | None:
    """The language of a safety text, which is the patient's whatever the conversation's is; None for other messages."""
    return language_of(words, language) if kind in _SAFETY else None


def _articles(row: RowMapping) -> dict[str, Any]:
    """The stored articles of a message: those that a clarifying question offers, else those that it cites."""
    stored = row["citations"]
    if row["kind"] == ReplyKind.CLARIFY.value:
        return {"choices": [ChoiceView(article_id=k["article_id"], title=k["title"]) for k in stored]}
    return {"citations": [CitationView(**k, url=_url(k["article_id"])) for k in stored]}


def _url(article: str) -> str:
    return f"/articles/{article}"


def route_views(site: Site, names: Sequence[str], language: str) -> list[RouteView]:
    """Contacts by route name, in order; a name that the site does not have is left out."""
    contacts: Mapping[str, Contact] = site.contacts  # type: ignore[assignment]  # any name may be asked for
    found = []
    for name in names:
        contact = contacts.get(name)
        if contact is not None:
            found.append(
                RouteView(
                    route=name, label=contact.label_in(language), phone=contact.phone, text_line=contact.text_line,
                    text_word=contact.text_word, chat=contact.chat,
                    note=contact.note_in(language) or contact.hours_in(language),
                )
            )  # fmt: skip
    return found
