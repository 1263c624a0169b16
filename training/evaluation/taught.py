"""Whether an adapter answers as it was taught: dialogues held out from its training, beside the base model's answers.

The evaluation set asks for what patients need, and its references are one sentence of another author. These references
are written as the adapter was taught to answer, about articles that it has not read. They are reported and decide
nothing: training stopped where the loss on these same dialogues was lowest, so they flatter a little.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from app.contracts.adapters import AdapterManifest, as_json
from app.errors import ConfigurationError
from training.evaluation.probes import said, spread
from training.evaluation.scorers.bleu import Bleu
from training.evaluation.scorers.chrf import Chrf
from training.evaluation.scorers.token_f1 import token_f1
from training.evaluation.table import Metric, ScoreTable
from training.files import write_text
from training.finetune.config import FinetuneConfig
from training.finetune.data import load_dialogues
from training.sentences import without_citation
from training.serving import Starting

TAUGHT = "taught.json"
DIALOGUES = 150
"""At most so many are asked, at equal distances."""
_AT_ONCE = 16


class Taught(BaseModel):
    """Answers to held-out dialogues, all lists in one order. ``articles``: what each is about."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter_sha256: str
    base_sha256: str
    dialogues: list[str]
    articles: list[str]
    wanted: list[str]
    base: list[str]
    candidate: list[str]

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        if len({len(one) for one in (self.dialogues, self.articles, self.wanted, self.base, self.candidate)}) > 1:
            raise ValueError("as many answers as dialogues are needed")
        return self

    def table(self) -> ScoreTable:
        """Token F1, BLEU and chrF of the answers without their citations, 0 to 1; clusters are articles."""
        figures = {"token_f1": token_f1, "bleu": Bleu().of, "chrf": Chrf().of}
        sides = [list(map(without_citation, side)) for side in (self.candidate, self.base)]
        wanted = list(map(without_citation, self.wanted))
        metrics = {}
        for name, figure in figures.items():
            ours, theirs = ([figure(*pair) for pair in zip(side, wanted, strict=True)] for side in sides)
            metrics[name] = Metric(name=name, better="higher", candidate=ours, champion=theirs)
        none = [""] * len(self.dialogues)
        return ScoreTable(
            metrics=metrics,
            items=self.dialogues,
            clusters=self.articles,
            groups={},
            pairs=none,
            kinds=none,
            labels={},
        )


async def ask_what_was_taught(
    adapter: Path,
    manifest: AdapterManifest,
    config: FinetuneConfig,
    out: Path,
    engine: Starting,
    most: int = DIALOGUES,
) -> Taught:
    """Ask base model and adapter, and write ``taught.json`` into ``out``; one of the same weights and dialogues stands.

    ``engine`` serves the base model of the config, whose ``held_out`` is asked. Raises ConfigurationError (dialogues or
    an earlier file cannot be read), EngineError.
    """
    asked = spread(load_dialogues(config.held_out), most)
    wanted = [item.answer for item in asked]
    kept = read_taught(out)
    same = kept is not None and (kept.adapter_sha256, kept.base_sha256) == (
        manifest.content_sha256,
        manifest.base_sha256,
    )
    if kept is not None and same and (kept.dialogues, kept.wanted) == ([item.id for item in asked], wanted):
        return kept
    running = await engine()
    if manifest.version not in await running.list_adapters():
        await running.load_adapter(manifest.version, str(await asyncio.to_thread(adapter.resolve)))
    taught = Taught(
        adapter_sha256=manifest.content_sha256,
        base_sha256=manifest.base_sha256,
        dialogues=[item.id for item in asked],
        articles=[item.article_id for item in asked],
        wanted=wanted,
        base=await said(running, None, asked, config.site, at_once=_AT_ONCE),
        candidate=await said(running, manifest.version, asked, config.site, at_once=_AT_ONCE),
    )
    write_text(out / TAUGHT, as_json(taught))
    return taught


def read_taught(folder: Path) -> Taught | None:
    """What ``folder`` has of an earlier look, or None. Raises ConfigurationError for a broken file."""
    path = folder / TAUGHT
    if not path.is_file():
        return None
    try:
        return Taught.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise ConfigurationError(f"{path} is broken; delete it, the gate makes it anew") from None
