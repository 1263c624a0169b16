"""Two facts about an adapter that its answers to the evaluation items do not tell.

*Agreement*: transformers, which trained it, and vLLM, which serves it, say the same, or part only where rounding
decides: at two tokens that float32 rates alike. *Canaries*: secrets that were planted in training
(:mod:`training.finetune.canaries`) do not come out, neither to the prompt of the training nor where the answer is begun
for it. Both are greedy, so one try shows what there is to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.contracts.adapters import AdapterManifest, as_json
from app.engine.protocol import Delta, Engine
from app.errors import ConfigurationError
from training.files import write_text
from training.finetune.canaries import begun, secret
from training.finetune.config import FinetuneConfig
from training.finetune.data import Dialogue, load_dialogues, prompt_messages
from training.serving import LIMITS, Starting

PROBES = "probes.json"
PROMPTS = 50
"""On which the two libraries are compared."""
LONGEST = 160
"""Tokens of a compared answer."""
PRECISION = "bfloat16"
"""In which vLLM serves."""
TIE = 0.05
"""Two next tokens whose logits differ by no more in float32 are alike: one is 5 % likelier than the other. bfloat16 has
no steps below 0.06 in logits of 8 and more."""


class Probes(BaseModel):
    """What was found. ``agreeing`` prompts include the ``tied`` ones, where both part at tokens that are alike.

    ``listed``: vLLM had loaded the adapter and listed it. ``canaries_planted`` None: training planted none, or nobody
    knows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter_sha256: str
    listed: bool = False
    prompts: int = Field(ge=1)
    agreeing: int = Field(ge=0)
    tied: list[str] = Field(default_factory=list)
    differing: list[str] = Field(default_factory=list)
    canaries_planted: int | None = None
    canaries_extracted: int | None = None

    @property
    def agreement(self) -> float:
        """Share of prompts on which both libraries say the same."""
        return self.agreeing / self.prompts


class Library(Protocol):
    """The library that trained the adapter; :class:`training.finetune.generate.Answerer` says what each gives."""

    def answer(self, dialogues: Sequence[Dialogue], *, batch: int = ..., longest: int = ...) -> list[str]: ...

    def continued(self, dialogues: Sequence[Dialogue], begun: Sequence[str]) -> list[str]: ...

    def difference_where_they_part(self, dialogue: Dialogue, one: str, two: str) -> float: ...


Opening = Callable[[FinetuneConfig, Path, str], Library]
"""Loads base model and adapter in a precision."""


def transformers(config: FinetuneConfig, adapter: Path, precision: str) -> Library:
    """The library that training uses."""
    from training.finetune.generate import Answerer

    return Answerer.load(config.base_model, adapter, config.site, precision=precision)


async def probe(
    adapter: Path,
    manifest: AdapterManifest,
    config: FinetuneConfig,
    out: Path,
    engine: Starting,
    canaries: Sequence[Dialogue],
    prompts: int = PROMPTS,
    library: Opening = transformers,
) -> Probes:
    """Ask, and write ``probes.json`` into ``out``; one that is there for the same weights and prompts stands.

    ``engine`` serves the base model of the config, ``canaries`` were planted in training, ``library`` trained the
    adapter. Raises ConfigurationError (dialogues cannot be read), EngineError.
    """
    asked = spread(load_dialogues(config.held_out), prompts)
    kept = read_probes(out)
    wanted = (True, manifest.content_sha256, len(asked))
    if kept is not None and (kept.listed, kept.adapter_sha256, kept.prompts) == wanted:
        return kept
    # 1. What vLLM says, as it serves.
    running = await engine()
    if manifest.version not in await running.list_adapters():
        await running.load_adapter(manifest.version, str(await asyncio.to_thread(adapter.resolve)))
    listed = manifest.version in await running.list_adapters()
    theirs = await said(running, manifest.version, asked, config.site)
    # 2. What transformers says to the same, and of the canaries.
    opened = partial(library, config, adapter)
    ours, extracted = await asyncio.to_thread(_by_library, opened, asked, canaries)
    parted = [given for given in zip(asked, ours, theirs, strict=True) if given[1] != given[2]]
    tied = await asyncio.to_thread(_ties, opened, parted)
    probes = Probes(
        adapter_sha256=manifest.content_sha256,
        listed=listed,
        prompts=len(asked),
        agreeing=len(asked) - len(parted) + len(tied),
        tied=tied,
        differing=[item.id for item, _, _ in parted if item.id not in tied],
        canaries_planted=len(canaries) or None,
        canaries_extracted=extracted if canaries else None,
    )
    write_probes(probes, out)
    return probes


def write_probes(probes: Probes, folder: Path) -> None:
    """Write ``probes.json``. Raises ConfigurationError."""
    write_text(folder / PROBES, as_json(probes))


def read_probes(folder: Path) -> Probes | None:
    """What ``folder`` has of an earlier look, or None. Raises ConfigurationError for a broken file."""
    path = folder / PROBES
    if not path.is_file():
        return None
    try:
        return Probes.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise ConfigurationError(f"{path} is broken; delete it, the gate makes it anew") from None


def spread(dialogues: Sequence[Dialogue], count: int) -> list[Dialogue]:
    """``count`` of them at equal distances from the first to near the last, or all."""
    if len(dialogues) <= count:
        return list(dialogues)
    return [dialogues[number * len(dialogues) // count] for number in range(count)]


async def said(
    engine: Engine, adapter: str | None, asked: Sequence[Dialogue], site: str, *, at_once: int = 1
) -> list[str]:
    """What the engine answers to dialogues, in their order: at most :data:`LONGEST` tokens each; without ``adapter``
    the base model. Raises EngineError.
    """
    limits, turn = replace(LIMITS, max_tokens=LONGEST), asyncio.Semaphore(at_once)

    async def one(dialogue: Dialogue) -> str:
        async with turn:
            events = engine.stream(prompt_messages(dialogue, site), adapter, limits)
            return "".join([event.text async for event in events if isinstance(event, Delta)]).strip()

    return list(await asyncio.gather(*map(one, asked)))


def _ties(opened: Callable[[str], Library], parted: Sequence[tuple[Dialogue, str, str]]) -> list[str]:
    """Ids of the dialogues whose two answers part at tokens that float32 rates alike (:data:`TIE`)."""
    if not parted:
        return []
    library = opened("float32")
    return [item.id for item, one, two in parted if library.difference_where_they_part(item, one, two) <= TIE]


def _by_library(
    opened: Callable[[str], Library], asked: Sequence[Dialogue], canaries: Sequence[Dialogue]
) -> tuple[list[str], int]:
    """Answers to ``asked``, and how many secrets of the ``canaries`` come out."""
    library = opened(PRECISION)
    said = library.answer(asked, batch=1, longest=LONGEST)
    given = library.answer(canaries), library.continued(canaries, [begun(canary) for canary in canaries])
    out = [
        any(secret(canary) in "".join(filter(str.isalnum, text)) for text in texts)
        for canary, *texts in zip(canaries, *given, strict=True)
    ]
    return said, sum(out)
