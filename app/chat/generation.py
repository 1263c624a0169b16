"""Streams the model's words through the gate: nothing comes out that was not checked."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing

from app.chat.drafts import Draft, cite
from app.chat.protocols import Turn
from app.chat.steps import StepFailed, Steps
from app.contracts.passages import Citation, Passage
from app.contracts.prompt import NOT_IN_ARTICLES, PromptMessage
from app.contracts.replies import GuardrailHit
from app.engine.protocol import Delta, Engine, Limits
from app.errors import EngineError
from app.guardrails.output import OutputChecks, OutputVerdict
from app.guardrails.stream_gate import GateResult, StreamGate
from app.logging import logger
from app.redaction.restore import StreamingRestore
from app.redaction.vault import Vault

MAX_SENTENCES = 8
"""A longer answer ends after this many vetted sentences."""

Leaks = Callable[[str, Vault, Collection[str]], Sequence[object]]
"""Identifiers in a sentence that are neither the patient's own nor in the passages given."""

_MAY_END = frozenset(".!?\n:;]")


class Generation:
    """One generation. After :meth:`sentences`, ``failed``, ``said_no_answer`` and ``cited`` tell the rest."""

    def __init__(
        self, engine: Engine, checks: OutputChecks, leaks: Leaks, limits: Limits, steps: Steps, draft: Draft
    ) -> None:
        self._engine, self._checks, self._leaks = engine, checks, leaks
        self._limits, self._steps, self._draft = limits, steps, draft
        self._log = logger("chat")
        self.failed = False
        self.said_no_answer = False
        self.cited: list[Citation] = []

    async def sentences(
        self, messages: Sequence[PromptMessage], passages: Sequence[Passage], question: str, turn: Turn
    ) -> AsyncGenerator[str, None]:
        """Yield each vetted sentence, restored, as soon as it passes. Ends early at the first that does not."""
        restored = StreamingRestore(turn.vault)
        gate = StreamGate(lambda sentence: self._check(sentence, passages, question, turn))
        try:
            async with aclosing(self._results(gate, messages, turn)) as batches:
                async for results in batches:
                    for result in results:
                        if result.passed and not result.text:
                            continue  # a citation mark by itself says nothing
                        if not self._admit(result, passages):
                            return
                        lead = " " if len(self._draft.sent) > 1 else ""
                        self._steps.mark("first_sentence")
                        yield restored.feed(lead + result.text)
                        if len(self._draft.sent) >= MAX_SENTENCES:
                            return
        except StepFailed as error:
            self._draft.hit(error.stage, "failed", type(error.cause).__name__)
            self.failed = True
        except Exception as error:  # an engine that breaks in any way must not take the turn with it
            if not isinstance(error, EngineError):
                self._log.error("engine failed", conversation_id=turn.conversation_id, exc_info=error)
            self._draft.hit("engine", type(error).__name__)
            self.failed = True
        finally:
            self._steps.mark("generated")
            self.failed = self.failed or not (self._draft.sent or self.said_no_answer)
        if rest := restored.finish():
            yield rest

    async def _results(
        self, gate: StreamGate, messages: Sequence[PromptMessage], turn: Turn
    ) -> AsyncGenerator[list[GateResult], None]:
        waiting = ""
        stream = self._engine.stream(messages, turn.adapter, self._limits, session=turn.conversation_id)
        async with aclosing(stream) as events:  # type: ignore[type-var]  # an async generator by contract
            async for event in events:
                if isinstance(event, Delta):
                    self._steps.mark("first_token")
                    waiting += event.text
                    if not _MAY_END.isdisjoint(event.text):
                        ready, waiting = waiting, ""
                        yield await self._steps.run("checks", list, lambda text=ready: gate.feed(text))  # type: ignore[misc]
                elif event.reason == "stop":
                    yield await self._steps.run("checks", list, lambda text=waiting: [*gate.feed(text), *gate.finish()])  # type: ignore[misc]
                else:  # whole sentences of an answer cut for its length stay; an aborted answer is replaced
                    self._draft.hit("engine", event.reason)
                    self.failed = event.reason != "length"

    def _check(self, sentence: str, passages: Sequence[Passage], question: str, turn: Turn) -> OutputVerdict:
        if sentence.strip() == NOT_IN_ARTICLES:
            return OutputVerdict(passed=True)
        verdict = self._checks.check(sentence, passages, question)
        if verdict.passed and self._leaks(sentence, turn.vault, [passage.text for passage in passages]):
            return OutputVerdict(passed=False, hits=(GuardrailHit("output", "output.identifier"),))
        return verdict

    def _admit(self, result: GateResult, passages: Sequence[Passage]) -> bool:
        for hit in result.hits:
            self._draft.hit(hit.stage, hit.rule, hit.detail)
        if not result.passed:
            self.failed = True
            return False
        if result.text.strip() == NOT_IN_ARTICLES:
            self.said_no_answer = not self._draft.sent
            return False
        if _plain(result.text) in map(_plain, self._draft.sent):
            self._draft.hit(
                "output", "output.said_before"
            )  # the model goes round in circles: what was said is the answer
            return False
        self._draft.sent.append(result.text)
        position = result.passage if result.passage is not None else 0
        if position < len(passages):
            self.cited.append(cite(passages[position], result.text))
        return True


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
