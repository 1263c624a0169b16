"""Collects what a turn finds out and makes the one Reply of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.chat.protocols import Turn
from app.chat.steps import Steps
from app.contracts.passages import Citation, Passage
from app.contracts.replies import GuardrailHit, Reply, ReplyKind, Tier, is_crisis
from app.contracts.site import Site
from app.guardrails.active import Policies
from app.guardrails.language import languages
from app.guardrails.triage import TriageVerdict
from app.redaction.restore import restore

_FIRST_WORDS = (
    "If this may be an emergency, call {phone} now. Something went wrong here, so a person will read your message."
)
"""Said when even the catalogue fails; the only patient-facing sentence outside it."""


_FOUND = (ReplyKind.ANSWER, ReplyKind.FALLBACK)
_NETTED = (*_FOUND, ReplyKind.NO_ANSWER)


class Draft:
    """The reply of one turn while it is being made."""

    def __init__(self, site: Site, policies: Policies, turn: Turn, steps: Steps, people_here: bool) -> None:
        self._site, self._policies, self._turn, self._steps = site, policies, turn, steps
        self._people_here = people_here
        self._triage: TriageVerdict | None = None
        self._hits: list[GuardrailHit] = []
        self.question_redacted = ""
        self.adapter: str | None = None
        self.prompt_version = ""
        self.partly = False  # one of several questions found nothing
        self.sent: list[str] = []  # vetted sentences, redacted form, that went out

    def triaged(self, verdict: TriageVerdict) -> None:
        """Keep triage's verdict: its tier goes on every reply."""
        self._triage = verdict
        for rule in verdict.rules:
            self.hit("triage", rule)

    def hit(self, stage: str, rule: str, detail: str = "") -> None:
        """Note that a check had something to say. ``detail`` must not carry a patient's words."""
        self._hits.append(GuardrailHit(stage, rule, detail))

    def emergency(self, verdict: TriageVerdict) -> Reply:
        """Fixed crisis text; a person is called."""
        text = self._safety(verdict.text_id)
        reply = self._make(
            ReplyKind.EMERGENCY, text, routes=verdict.routes, handoff=f"{verdict.tier.label}:{verdict.category}"
        )
        return replace(reply, crisis=is_crisis(verdict.category, verdict.routes))

    def hold(self) -> Reply:
        """Said to further messages while a crisis call is open: a person was told, and the numbers again."""
        abuse = self._turn.crisis == "abuse"
        text = self._safety("hold_abuse" if abuse else "hold_crisis")
        routes = ("911", "domestic_violence" if abuse else "988")
        self.hit("crisis", "call_open")
        return replace(self._make(ReplyKind.HANDOFF, text, routes=routes), category=self._turn.crisis)

    def reply(self, kind: ReplyKind, text_id: str, *, routes: Sequence[str] = ()) -> Reply:
        """A fixed text of the catalogue."""
        judged = self._triage is not None and text_id == self._triage.text_id
        return self._make(kind, self._safety(text_id) if judged else self._text(text_id), routes=routes)

    def handoff(self, reason: str) -> Reply:
        """A person takes over, on request: said in the language of the request."""
        text = self._safety("handoff_open" if self._people_here else "handoff_closed")
        return self._make(ReplyKind.HANDOFF, text, routes=("human",), handoff=reason)

    def safe(self, stage: str) -> Reply:
        """What is said when a step failed: fixed text, and a person. Sentences that went out are replaced."""
        return self._make(
            ReplyKind.HANDOFF,
            self._safety("error"),
            routes=("human",),
            handoff=f"failed:{stage}",
            replaces=bool(self.sent),
        )

    def no_answer(self) -> Reply:
        """Nothing approved answers it; the way to a person is offered."""
        return self._make(ReplyKind.NO_ANSWER, self._text("no_answer"), routes=("human",))

    def fallback(self, passages: Sequence[Passage], *, replaces: bool = False) -> Reply:
        """The approved passages themselves, verbatim: one for each question, several under their titles."""
        said = [f"{p.title}:\n{p.text}" if len(passages) > 1 else p.text for p in passages]
        text = "\n\n".join([self._text("fallback_intro"), *said])
        citations = [cite(passage, passage.text) for passage in passages]
        return self._make(ReplyKind.FALLBACK, text, citations=citations, replaces=replaces)

    def clarify(self, articles: Sequence[Passage]) -> Reply:
        """A question back: which of these articles is meant. Titles stand below it, numbered, a line each."""
        titles = "\n".join(f"{number}. {passage.title}" for number, passage in enumerate(articles, start=1))
        text = f"{self._text('clarify')}\n\n{titles}"
        return self._make(ReplyKind.CLARIFY, text, citations=[cite(passage, "") for passage in articles])

    def answer(self, citations: Sequence[Citation]) -> Reply:
        """The vetted sentences that went out."""
        return self._make(ReplyKind.ANSWER, " ".join(self.sent), citations=merge(citations))

    def safety_net(self) -> str | None:
        """What is added under an answer to a question that speaks of danger signs without alarm; None otherwise."""
        triage = self._triage
        if triage is None or triage.tier is not Tier.ROUTINE or not triage.text_id:
            return None
        return self._safety(triage.text_id)

    def below(self, kind: ReplyKind) -> str:
        """What stands under a reply of this kind, after an empty line: that a question found nothing, danger signs."""
        part = self._text("part_no_answer") if self.partly and kind in _FOUND else None
        net = self.safety_net() if kind in _NETTED else None
        return "".join(f"\n\n{text}" for text in (part, net) if text)

    def _safety(self, text_id: str) -> str:
        """A text in the language that the patient writes in now, in both where she mixes them.

        A message that tells no language ("911?") is taken to be in that of her last one that does, else in the chat's.
        """
        messages = [self._turn.text, *reversed(self._turn.earlier)]
        spoken = next(filter(None, map(languages, messages)), (self._turn.language,))
        return "\n\n".join(dict.fromkeys(self._text(text_id, code) for code in spoken))

    def _text(self, text_id: str, language: str | None = None) -> str:
        try:
            return self._policies.catalogue.render(text_id, language or self._turn.language, self._site)
        except Exception:  # a missing text must not silence an emergency
            self.hit("catalogue", "failed", text_id)
            return _FIRST_WORDS.format(phone=self._site.emergency_phone)

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
        below = self.below(kind)
        return Reply(
            text=text + below,
            text_redacted=redacted + below,
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
            policy_hash=self._policies.bundle.hash,
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
