"""One whole turn, read top to bottom in :meth:`Pipeline.respond`.

The order is part of the safety case: triage sees the raw text before anything can strip it, and the model is asked
only after every step before it has agreed.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from app.chat.clarify import offered
from app.chat.drafts import Draft
from app.chat.generation import Generation, Leaks
from app.chat.protocols import Clock, Retriever, Turn
from app.chat.search import Found, search
from app.chat.steps import StepFailed, Steps
from app.contracts.hours import is_open
from app.contracts.passages import Passage
from app.contracts.prompt import NOT_IN_ARTICLES, PROMPT_VERSION, PromptLimits, render
from app.contracts.replies import ReplyEvent, ReplyKind, Sentence, Tier
from app.contracts.site import Site
from app.engine.protocol import Engine, Limits
from app.errors import InputError
from app.guardrails.active import ActivePolicies, Policies
from app.guardrails.injection import InjectionVerdict
from app.guardrails.normalise import normalise
from app.guardrails.scope import LEARNED, ScopeVerdict
from app.guardrails.triage import TriageVerdict
from app.logging import logger
from app.redaction.entities import Redacted
from app.redaction.redactor import Redactor

_STAYS = "stays from"
"""How the reason of a verdict begins that only an earlier message gave."""

_SCOPE_REPLIES = {
    "identity": ReplyKind.DISCLOSE,
    "privacy": ReplyKind.DISCLOSE,
    "greeting": ReplyKind.DISCLOSE,
    "thanks": ReplyKind.DISCLOSE,
    "redirect": ReplyKind.REDIRECT,
    "decline": ReplyKind.DECLINE,
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a turn.

    ``similarity`` is the likeness below which a passage counts as not found, ``sure_similarity`` that from which a
    search is sure of its article, ``clarify_margin`` the most by which the best article may be ahead of the next where
    the patient is asked which she means (0: never). ``passages`` is how many a search gives.
    """

    step_s: float = 3.0
    max_characters: int = 4_000
    similarity: float = 0.48
    sure_similarity: float = 0.6
    clarify_margin: float = 0.03
    passages: int = 8
    prompt: PromptLimits = field(default_factory=PromptLimits)
    generation: Limits = field(default_factory=Limits)


def utc_now() -> datetime:
    """The time now, UTC."""
    return datetime.now(UTC)


class Pipeline:
    """Answers one message. Everything that it uses comes by the constructor."""

    def __init__(
        self,
        *,
        site: Site,
        policies: ActivePolicies,
        redactor: Redactor,
        retriever: Retriever,
        engine: Engine | None,
        leaks: Leaks,
        bounds: Bounds | None = None,
        clock: Clock = time.perf_counter,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._site, self._policies, self._clock = site, policies, clock
        self._redactor, self._retriever, self._engine = redactor, retriever, engine
        self._leaks, self._now = leaks, now
        self._bounds = bounds or Bounds()
        self._log = logger("chat")

    async def respond(self, turn: Turn) -> AsyncGenerator[ReplyEvent, None]:
        """Yield vetted sentences as they pass, then exactly one Reply. Never raises for a fault of a step.

        The turn ends with the policies that it began with.
        """
        policies = self._policies.current
        steps = Steps(self._clock, self._bounds.step_s)
        draft = Draft(self._site, policies, turn, steps, is_open(self._site, self._now()))
        try:
            async with aclosing(self._answer(turn, policies, steps, draft)) as events:
                async for event in events:
                    yield event
        except StepFailed as failed:
            self._log.error(
                "step failed", stage=failed.stage, conversation_id=turn.conversation_id, exc_info=failed.cause
            )
            draft.hit(failed.stage, "failed", type(failed.cause).__name__)
            yield draft.safe(failed.stage)
        except InputError as error:
            draft.hit("normalise", type(error).__name__)
            yield draft.reply(ReplyKind.DECLINE, "unreadable")

    async def _answer(
        self, turn: Turn, policies: Policies, steps: Steps, draft: Draft
    ) -> AsyncGenerator[ReplyEvent, None]:
        # 1. triage, on the raw text and the patient's earlier messages: nothing may come before it
        triage = await steps.run("triage", TriageVerdict, lambda: policies.triage.assess([*turn.earlier, turn.text]))
        draft.triaged(triage)
        if triage.tier >= Tier.URGENT and not (turn.crisis and triage.reason.startswith(_STAYS)):
            yield draft.emergency(triage)
            return
        if turn.crisis:  # a person was called for that; until she has closed the call nothing else is answered
            yield draft.hold()
            return

        # 2. normalise; without consent nothing else is answered
        text = await steps.run("normalise", str, lambda: normalise(turn.text, self._bounds.max_characters))
        if not turn.consented:
            yield draft.reply(ReplyKind.DECLINE, "consent_required")
            return

        # 3. scope: a person wanted, a question about this chat, or one for somebody else
        scope = await steps.run("scope", ScopeVerdict, lambda: policies.scope.assess(text))
        for rule in scope.rules:
            draft.hit("scope", rule)
        guessed = LEARNED in scope.rules
        if scope.kind == "human" and not guessed:
            yield draft.handoff("patient_asked")
            return
        if triage.tier is Tier.SAME_DAY:
            yield draft.reply(ReplyKind.REDIRECT, triage.text_id, routes=triage.routes)
            return
        if kind := _SCOPE_REPLIES.get(scope.kind):
            yield draft.reply(kind, scope.text_id, routes=scope.routes)
            return

        # 4. attempts to turn the model against its rules
        injection = await steps.run("injection", InjectionVerdict, lambda: policies.injection.assess(text))
        if injection.blocked:
            for rule in injection.rules:
                draft.hit("injection", rule)
            yield draft.reply(ReplyKind.DECLINE, "decline_injection")
            return

        # a guess replaces no text of triage, and is no reply to a question of ours
        if guessed and draft.safety_net() is None and turn.offered is None:
            yield draft.handoff("patient_asked")
            return

        # 5. identifiers out
        redacted = await steps.run("redact", Redacted, lambda: self._redactor.redact(text, turn.vault))
        draft.question_redacted = redacted.text

        # 6. approved, in-date passages; between near articles the patient is asked which she means
        found = await steps.wait("retrieve", Found, self._search(redacted.text, turn))
        if not found.passages:
            yield draft.no_answer()
            return
        draft.partly = found.partly
        if near := await self._near(turn, found, policies, steps, draft):
            yield draft.clarify(near)
            return

        if found.undecided:  # which one is meant was asked and not said: what each says, under its title
            yield draft.fallback(found.passages[: found.leading])
            return

        # 7.-9. render, generate, vet sentence by sentence, restore
        async with aclosing(self._generate(turn, found, policies, steps, draft)) as events:
            async for event in events:
                yield event

    def _search(self, question: str, turn: Turn) -> Awaitable[Found]:
        bounds = self._bounds
        return search(
            self._retriever, question, turn, limit=bounds.passages, bound=bounds.similarity, sure=bounds.sure_similarity
        )

    async def _near(
        self, turn: Turn, found: Found, policies: Policies, steps: Steps, draft: Draft
    ) -> tuple[Passage, ...]:
        """The articles between which the patient is asked; empty: answer.

        Never twice in a row, never under danger signs, and never between titles that the chat would not answer if a
        patient wrote them: choosing one sends it.
        """
        bounds = self._bounds
        if turn.offered is not None or not found.single or found.settled or draft.safety_net() is not None:
            return ()
        near = offered(found.searched, found.passages, bound=bounds.similarity, margin=bounds.clarify_margin)

        def answered(title: str) -> bool:
            said = [*turn.earlier, turn.text, title]
            in_scope = policies.scope.assess(title).kind == "in_scope" and not policies.injection.assess(title).blocked
            return in_scope and policies.triage.assess(said).tier <= Tier.ROUTINE

        if not near:
            return ()
        ask = await steps.run("clarify", bool, lambda: all(answered(passage.title) for passage in near))
        return near if ask else ()

    async def _generate(
        self, turn: Turn, found: Found, policies: Policies, steps: Steps, draft: Draft
    ) -> AsyncGenerator[ReplyEvent, None]:
        best = found.passages[: found.leading]
        if self._engine is None or not turn.model_allowed:
            draft.hit("engine", "not_asked")
            yield draft.fallback(best)
            return
        limits = replace(self._bounds.prompt, passages=max(self._bounds.prompt.passages, found.leading))
        shown = found.passages[: limits.passages]
        messages = render(found.question, shown, site=self._site.name, limits=limits)
        draft.adapter, draft.prompt_version = turn.adapter, PROMPT_VERSION
        generation = Generation(self._engine, policies.checks, self._leaks, self._bounds.generation, steps, draft)
        async with aclosing(generation.sentences(messages, shown, found.question, turn)) as sentences:
            async for sentence in sentences:
                yield Sentence(sentence)
        if generation.failed:
            yield draft.fallback(best, replaces=bool(draft.sent))
        elif generation.said_no_answer:
            draft.hit("engine", "not_in_articles", NOT_IN_ARTICLES)
            sure = [passage for passage in best if passage.similarity >= self._bounds.sure_similarity]
            yield draft.fallback(sure) if sure else draft.no_answer()
        else:
            if below := draft.below(ReplyKind.ANSWER):
                yield Sentence(below)
            yield draft.answer(generation.cited)
