"""Collects what a turn finds out and makes the one Reply of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.chat.protocols import Turn
from app.chat.steps import Steps
from app.contracts.passages import Citation, Passage
from app.contracts.replies import GuardrailHit, Reply, ReplyKind, Tier
from app.contracts.site import Site
from app.guardrails.catalogue import Catalogue
from app.guardrails.triage import TriageVerdict
from app.redaction.restore import restore

_FIRST_WORDS = (
    "If this may be an emergency, call 911 now. Something went wrong here, so a person will read your message."
)
"""Said when even the catalogue fails; the only patient-facing sentence outside it."""


_NETTED = (ReplyKind.ANSWER, ReplyKind.FALLBACK, ReplyKind.NO_ANSWER)


class Draft:
    """The reply of one turn while it is being made."""

    def __init__(self, site: Site, catalogue: Catalogue, turn: Turn, steps: Steps, people_here: bool) -> None:
        self._site, self._catalogue, self._turn, self._steps = site, catalogue, turn, steps
        self._people_here = people_here
        self._triage: TriageVerdict | None = None
        self._hits: list[GuardrailHit] = []
        self.question_redacted = ""
        self.adapter: str | None = None
        self.prompt_version = ""
        self.sent: list[str] = []  # vetted sentences, redacted form, that went out

    def triaged(self, verdict: TriageVerdict) -> None:
        """Keep triage's verdict: its tier and policy hash go on every reply."""
        self._triage = verdict
        for rule in verdict.rules:
            self.hit("triage", rule)

    def hit(self, stage: str, rule: str, detail: str = "") -> None:
        """Note that a check had something to say. ``detail`` must not carry a patient's words."""
        self._hits.append(GuardrailHit(stage, rule, detail))

    def emergency(self, verdict: TriageVerdict) -> Reply:
        """Fixed crisis text; a person is called."""
        text = self._text(verdict.text_id)
        return self._make(
            ReplyKind.EMERGENCY, text, routes=verdict.routes, handoff=f"{verdict.tier.label}:{verdict.category}"
        )

    def reply(self, kind: ReplyKind, text_id: str, *, routes: Sequence[str] = ()) -> Reply:
        """A fixed text of the catalogue."""
        return self._make(kind, self._text(text_id), routes=routes)

    def handoff(self, reason: str) -> Reply:
        """A person takes over, on request."""
        text = self._text("handoff_open" if self._people_here else "handoff_closed")
        return self._make(ReplyKind.HANDOFF, text, routes=("human",), handoff=reason)

    def safe(self, stage: str) -> Reply:
        """What is said when a step failed: fixed text, and a person. Sentences that went out are replaced."""
        return self._make(
            ReplyKind.HANDOFF,
            self._text("error"),
            routes=("human",),
            handoff=f"failed:{stage}",
            replaces=bool(self.sent),
        )

    def no_answer(self) -> Reply:
        """Nothing approved answers it; the way to a person is offered."""
        return self._make(ReplyKind.NO_ANSWER, self._text("no_answer"), routes=("human",))

    def fallback(self, passage: Passage, *, replaces: bool = False) -> Reply:
        """The approved passage itself, verbatim."""
        text = f"{self._text('fallback_intro')}\n\n{passage.text}"
        return self._make(ReplyKind.FALLBACK, text, citations=[cite(passage, passage.text)], replaces=replaces)

    def answer(self, citations: Sequence[Citation]) -> Reply:
        """The vetted sentences that went out."""
        return self._make(ReplyKind.ANSWER, " ".join(self.sent), citations=merge(citations))

    def safety_net(self) -> str | None:
        """What is added under an answer to a question that speaks of danger signs without alarm; None otherwise."""
        triage = self._triage
        if triage is None or triage.tier is not Tier.ROUTINE or not triage.text_id:
            return None
        return self._text(triage.text_id)

    def _text(self, text_id: str) -> str:
        try:
            return self._catalogue.render(text_id, self._turn.language, self._site)
        except Exception:  # a missing text must not silence an emergency
            self.hit("catalogue", "failed", text_id)
            return _FIRST_WORDS

    def _make(
        self,
        kind: ReplyKind,
        redacted: str,
        *,
        routes: Sequence[str] = (),
        citations: Sequence[Citation] = (),
        handoff: str | None = None,
        replaces: bool = False,
    ) -> Reply:
        self._steps.mark("total")
        triage = self._triage
        text = restore(redacted, self._turn.vault) if kind is ReplyKind.ANSWER else redacted
        if kind in _NETTED and (net := self.safety_net()):
            text, redacted = f"{text}\n\n{net}", f"{redacted}\n\n{net}"
        return Reply(
            text=text,
            text_redacted=redacted,
            kind=kind,
            tier=triage.tier if triage else Tier.NONE,
            category=triage.category if triage else "",
            routes=tuple(routes),
            citations=tuple(citations),
            hits=tuple(self._hits),
            handoff=handoff,
            replaces=replaces,
            adapter=self.adapter,
            prompt_version=self.prompt_version,
            policy_hash=triage.policy_hash if triage else "",
            question_redacted=self.question_redacted,
            stage_ms=dict(self._steps.milliseconds),
        )


def merge(citations: Sequence[Citation]) -> list[Citation]:
    """One citation a passage, its quotes joined in order."""
    merged: dict[str, Citation] = {}
    for citation in citations:
        known = merged.get(citation.passage_id)
        quote = citation.quote if known is None else f"{known.quote} {citation.quote}"
        merged[citation.passage_id] = replace(citation, quote=quote)
    return list(merged.values())


def cite(passage: Passage, quote: str) -> Citation:
    """The citation of a passage with the words that carry the answer."""
    return Citation(passage.article_id, passage.title, quote, passage.reviewed, passage.passage_id)
