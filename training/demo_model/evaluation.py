"""Measure a demo base model on documents and questions that no training saw.

    bedside-train demo-model-evaluate demo/model --data DIR --against OTHER

Three sets. ``hospital``: passages of an invented hospital in another style with patients' questions
(``held_out/hospital.jsonl``). ``none``: questions on its subjects that none of the four passages answers.
``extractive``: held-out contexts of the public extractive sets, if ``--data`` has them. Each prompt has four passages,
the right one in any place, near ones first. Beside the model stand two baselines that read nothing: the first
sentence of the first passage, and one of a random passage.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

from app.contracts.prompt import NOT_IN_ARTICLES, PromptMessage
from app.engine.protocol import Delta, Engine, Limits
from training.demo_model.exercises import user_message
from training.demo_model.sources import read, sentences

HOSPITAL = Path(__file__).with_name("held_out") / "hospital.jsonl"
PASSAGES = 4
_SPEED = Limits(max_tokens=64, first_token_s=120, token_s=60, total_s=240)
_CITED = re.compile(r"\s*\[(\d{1,2})\]\s*$")


@dataclass(frozen=True, slots=True)
class Item:
    """One question. ``right`` is the number of the passage that answers it (None: no passage does).

    ``fact`` is the piece of text that the reader wants, which stands in that passage.
    """

    group: str
    passages: tuple[str, ...]
    question: str
    right: int | None = None
    fact: str = ""

    @property
    def prompt(self) -> str:
        """The user's message in the served format."""
        return user_message(self.passages, self.question)


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares over the items of a group; ``items`` says how many. A share that does not apply is None.

    - ``cited``: the right passage is cited.
    - ``supported``: every run of eight words of the answer stands in the cited passage (answers that are not the fixed
      sentence).
    - ``fact``: the answer holds the wanted fact.
    - ``abstained``: the answer is the fixed sentence: right in ``none``, wrong elsewhere.
    - ``changed_numbers``: of the numbers in the answers, those that do not stand in the cited passage.
    """

    items: int
    cited: float | None
    supported: float | None
    fact: float | None
    abstained: float
    changed_numbers: float | None


def items(data: Path | None, *, seed: int = 1) -> list[Item]:
    """All items, in a fixed order. Without ``data`` the extractive set is left out. Raises ConfigurationError."""
    rng = Random(seed)
    found = _hospital(rng)
    return found if data is None else found + _extractive(data, rng)


def _hospital(rng: Random) -> list[Item]:
    pages = [json.loads(line) for line in HOSPITAL.read_text(encoding="utf-8").splitlines()]
    found = []
    for at, page in enumerate(pages):
        for asked in page["asked"]:
            texts, right = _among(page["text"], _near(pages, at, rng), rng)
            found.append(Item(f"hospital {asked['kind']}", texts, asked["question"], right, asked["fact"]))
        for question in page["none"]:
            texts, _ = _among(page["text"], _near(pages, at, rng), rng)
            found.append(Item("none", texts, question))
    return found


def _near(pages: Sequence[dict[str, str]], at: int, rng: Random) -> list[str]:
    """Three other passages: a neighbour in the file, where subjects are sorted, and two from anywhere."""
    neighbour = at + 1 if at % 2 == 0 and at + 1 < len(pages) else at - 1
    others = [index for index in range(len(pages)) if index not in (at, neighbour)]
    return [pages[index]["text"] for index in (neighbour, *rng.sample(others, PASSAGES - 2))]


def _among(text: str, others: list[str], rng: Random) -> tuple[tuple[str, ...], int]:
    place = rng.randrange(len(others) + 1)
    others = list(others)
    rng.shuffle(others)
    return (*others[:place], text, *others[place:]), place + 1


def _extractive(data: Path, rng: Random) -> list[Item]:
    extracts = [item for item in read(data, measuring=True).extracts if len(item.sentences) > 1]
    found = []
    for item in extracts:
        low = max(0, min(item.target - 1, len(item.sentences) - 3))
        text = " ".join(item.sentences[low : low + 3])
        others = [other for other in extracts if text not in " ".join(other.sentences)]
        near = [" ".join(other.sentences[:3]) for other in rng.sample(others, PASSAGES - 1)]
        texts, right = _among(text, near, rng)
        found.append(Item("extractive", texts, item.question, right, item.answer))
    return found


Answer = Callable[[Sequence[Item]], list[str]]
"""Answers to the items, in their order."""


def first_passage(asked: Sequence[Item]) -> list[str]:
    """Baseline: the first sentence of the first passage."""
    return [f"{sentences(item.passages[0])[0]} [1]" for item in asked]


def random_passage(asked: Sequence[Item]) -> list[str]:
    """Baseline: the first sentence of a random passage."""
    rng = Random(2)
    places = [rng.randrange(len(item.passages)) for item in asked]
    return [f"{sentences(item.passages[at])[0]} [{at + 1}]" for item, at in zip(asked, places, strict=True)]


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that was trained over the measured model: its served name (``<name>@<12 hex>``) and its folder."""

    version: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second of one stream alone, through vLLM: the median of ``streams``."""

    tokens_s: float
    streams: int


def through_vllm(
    model: Path, asked: Sequence[Item], done: Callable[[], None], adapter: Adapter | None = None
) -> tuple[list[str], Speed]:
    """Greedy answers of a model folder, with an adapter on it if one is given, through its own vLLM; and how fast one
    stream is. ``done`` after each answer.
    """
    from training.serving import answer_all, served

    name = None if adapter is None else adapter.version
    adapters = {} if adapter is None else {adapter.version: adapter.folder}

    async def run() -> tuple[list[str], Speed]:
        async with served(model, adapters) as engine:
            answers = await answer_all(engine, [item.prompt for item in asked], adapter=name, done=done)
            return answers, await _speed(engine, [item.prompt for item in asked[:8]], name)

    return asyncio.run(run())


async def _speed(engine: Engine, prompts: Sequence[str], adapter: str | None) -> Speed:
    """Time from the first token to the last, one prompt after another; answers of fewer than 12 tokens do not count."""
    rates = []
    for prompt in prompts:
        first, count = 0.0, 0
        async for item in engine.stream([PromptMessage("user", prompt)], adapter, _SPEED):
            if isinstance(item, Delta):
                first = first or time.perf_counter()
            else:
                count = item.completion_tokens
        if count >= 12:
            rates.append((count - 1) / (time.perf_counter() - first))
    return Speed(median(rates) if rates else 0.0, len(rates))


def judge(asked: Sequence[Item], answers: Sequence[str]) -> dict[str, Figures]:
    """Figures by group, and of all hospital groups together."""
    groups = sorted({item.group for item in asked})
    pairs = list(zip(asked, answers, strict=True))
    table = {group: _figures([pair for pair in pairs if pair[0].group == group]) for group in groups}
    hospital = [pair for pair in pairs if pair[0].group.startswith("hospital")]
    return {"hospital": _figures(hospital), **table} if hospital else table


def _figures(pairs: Sequence[tuple[Item, str]]) -> Figures:
    judged = [_judge(item, answer) for item, answer in pairs]
    answerable = [verdict for (item, _), verdict in zip(pairs, judged, strict=True) if item.right is not None]
    said = [verdict for verdict in judged if not verdict.abstained]
    numbers = sum(verdict.numbers for verdict in said)
    return Figures(
        items=len(pairs),
        cited=_share([verdict.cited for verdict in answerable]),
        supported=_share([verdict.supported for verdict in said]),
        fact=_share([verdict.fact for verdict in answerable]),
        abstained=sum(verdict.abstained for verdict in judged) / len(judged),
        changed_numbers=sum(verdict.changed for verdict in said) / numbers if numbers else None,
    )


@dataclass(frozen=True, slots=True)
class _Verdict:
    abstained: bool
    cited: bool
    supported: bool
    fact: bool
    numbers: int
    changed: int


def _judge(item: Item, answer: str) -> _Verdict:
    answer = answer.strip()
    mark = _CITED.search(answer)
    text = _CITED.sub("", answer)
    number = int(mark.group(1)) if mark else 0
    passage = item.passages[number - 1] if 1 <= number <= len(item.passages) else ""
    numbers = _numbers(text)
    return _Verdict(
        abstained=text == NOT_IN_ARTICLES,
        cited=number == item.right,
        supported=bool(passage) and supported(text, passage),
        fact=bool(item.fact) and _plain(item.fact) in _plain(text),
        numbers=len(numbers),
        changed=sum(value not in _numbers(passage) for value in numbers),
    )


def supported(text: str, passage: str, size: int = 8) -> bool:
    """Whether every run of ``size`` words stands in the passage; a shorter text must stand there whole."""
    words, source = _plain(text).split(), f" {_plain(passage)} "
    runs = [words[at : at + size] for at in range(max(1, len(words) - size + 1))]
    return bool(words) and all(f" {' '.join(run)} " in source for run in runs)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _numbers(text: str) -> list[str]:
    return re.findall(r"\d+(?:[.,:/-]\d+)*", text)


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def table(results: dict[str, dict[str, Figures]]) -> str:
    """Markdown: one row for each group and subject (model or baseline)."""
    lines = [
        "| set | answers by | items | right passage | supported | fact | says none | numbers changed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group in next(iter(results.values())):
        for name, figures in results.items():
            one = figures[group]
            cells = (one.cited, one.supported, one.fact, one.abstained, one.changed_numbers)
            shares = " | ".join("" if value is None else f"{value:.3f}" for value in cells)
            lines.append(f"| {group} | {name} | {one.items} | {shares} |")
    return "\n".join(lines)
