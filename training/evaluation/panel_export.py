"""Writes a panel's pack: for each rater one CSV and one page, and apart from them the key.

The page works offline, sends nothing and gives the ratings as CSV; the CSV opens in a spreadsheet. Both are made for
one rater: her order of the questions is her own, and the candidate is answer A in one half of them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from jinja2 import Environment, StrictUndefined

from app.errors import ConfigurationError
from app.knowledge.articles import read_folder
from app.knowledge.passages import split
from training.evaluation.answers import Answered, Run
from training.evaluation.items import Item
from training.evaluation.panel import TEXTS, Bound, Key, Row, System, pack_id, run_hash, text_check
from training.handouts import csp_hash, inert, write_private

COLUMNS = ("pack", "rater", "row", "check", *TEXTS, "better", "correct_a", "correct_b", "harm_a", "harm_b", "comment")
MIN_RATERS = 3
_TEMPLATE = Path(__file__).with_name("panel.html.jinja")
_NAME_LENGTH = 80
_BEST = 3


@dataclass(frozen=True, slots=True)
class Sheet:
    """One rater's files."""

    rater: str
    csv: Path
    html: Path


@dataclass(frozen=True, slots=True)
class Exported:
    """The pack: a sheet for each rater, the number of questions, and how many items both systems answer the same."""

    sheets: tuple[Sheet, ...]
    key: Path
    items: int
    identical: int


@dataclass(frozen=True, slots=True)
class Shown:
    """The texts of one row, in the order of :data:`TEXTS`."""

    row: Row
    question: str
    passages: tuple[str, ...]
    answer_a: str
    answer_b: str

    @property
    def cells(self) -> tuple[str, str, str, str]:
        return self.question, "\n\n".join(self.passages), self.answer_a, self.answer_b


def export(
    champion: Run,
    candidate: Run,
    items: Sequence[Item],
    raters: Sequence[str],
    folder: Path,
    key: Path,
    *,
    passages: Mapping[str, str],
    count: int = 40,
    salt: str = "",
) -> Exported:
    """Write ``panel-<number>-<rater>.csv`` and ``.html`` into ``folder``, and the key to ``key``.

    ``count`` items at most are shown, drawn evenly over the kinds from those that the systems answer differently.
    ``passages`` are texts by passage id (:func:`article_passages`). ``salt`` is for tests: by default it is drawn, so
    that nobody can tell the sides from the code. Files are readable by their owner only.

    Raises ConfigurationError: fewer than three raters or one named twice, runs of different evaluation sets, articles
    or of other items, a passage without a text, no answer that differs, a key that lies in the pack's folder or exists
    already (ratings would be lost), a folder that cannot be written.
    """
    _require_raters(raters)
    if key.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(f"{key} would lie in the pack that goes to the raters; keep the key in another folder")
    if key.exists():
        raise ConfigurationError(f"{key} exists, and ratings may depend on it; choose another name")
    answers = _paired(champion, candidate, items)
    identical = [item.id for item in items if _same(*answers[item.id])]
    salt = salt or secrets.token_hex(16)
    chosen = _chosen([item for item in items if item.id not in set(identical)], count, Random(f"{salt} items"))
    if not chosen:
        raise ConfigurationError("both systems answer every item with the same words: there is nothing to compare")
    sheets = {rater: _sheet(rater, chosen, answers, passages, salt) for rater in raters}
    content = {
        "format": 1,
        "salt": salt,
        "evaluation_sha256": champion.evaluation_sha256,
        "champion": _bound(champion).model_dump(),
        "candidate": _bound(candidate).model_dump(),
        "identical": identical,
        "differing": len(items) - len(identical),
        "raters": {rater: [shown.row.model_dump() for shown in rows] for rater, rows in sheets.items()},
    }
    made = Key.model_validate({**content, "pack": pack_id(content)})
    write_private(key, made.model_dump_json(indent=1) + "\n")
    written = tuple(
        _write(made.pack, number, rater, rows, folder) for number, (rater, rows) in enumerate(sheets.items(), 1)
    )
    return Exported(written, key, len(chosen), len(identical))


def article_passages(folder: Path) -> dict[str, str]:
    """Title, heading and text of every passage of a folder of articles, by passage id. Raises ConfigurationError."""
    articles, faults = read_folder(folder)
    if faults:
        raise ConfigurationError("; ".join(faults))
    return {
        f"{article.head.id}#{place}": f"{article.head.title}: {piece.heading}\n{piece.text}"
        for article in articles
        for place, piece in enumerate(split(article.markdown), start=1)
    }


def _require_raters(raters: Sequence[str]) -> None:
    if len(raters) < MIN_RATERS:
        raise ConfigurationError(f"a panel needs {MIN_RATERS} raters or more; {len(raters)} are named")
    names = [" ".join(rater.split()).casefold() for rater in raters]
    for rater, name in zip(raters, names, strict=True):
        if not name or len(rater) > _NAME_LENGTH or inert(rater) != rater or rater != rater.strip():
            raise ConfigurationError(f"{rater!r} cannot be a rater's name: write 1 to {_NAME_LENGTH} plain characters")
        if names.count(name) > 1:
            raise ConfigurationError(f"{rater} is named twice; a panel needs different people")


def _paired(champion: Run, candidate: Run, items: Sequence[Item]) -> dict[str, tuple[Answered, Answered]]:
    for what in ("evaluation_sha256", "articles_sha256"):
        if getattr(champion, what) != getattr(candidate, what):
            raise ConfigurationError(f"the two runs differ in {what}; evaluate both on the same items and articles")
    first, second = ({answered.item: answered for answered in run.answers} for run in (champion, candidate))
    for item in items:
        for name, found in (("champion", first), ("candidate", second)):
            if item.id not in found:
                raise ConfigurationError(f"the {name}'s run holds no answer to {item.id}; evaluate it again")
    return {item.id: (first[item.id], second[item.id]) for item in items}


def _same(first: Answered, second: Answered) -> bool:
    return first.text.split() == second.text.split()


def _chosen(items: Sequence[Item], count: int, chance: Random) -> list[Item]:
    """``count`` items, in turn from each kind, so that a rare kind comes up too."""
    kinds: dict[str, list[Item]] = defaultdict(list)
    for item in chance.sample(list(items), len(items)):
        kinds[item.kind].append(item)
    found: list[Item] = []
    while len(found) < count and any(kinds.values()):
        found += [left.pop() for kind in sorted(kinds) if (left := kinds[kind])]
    return found[:count]


def _sheet(
    rater: str,
    items: Sequence[Item],
    answers: Mapping[str, tuple[Answered, Answered]],
    passages: Mapping[str, str],
    salt: str,
) -> list[Shown]:
    chance = Random(f"{salt} {rater}")
    sides: list[System] = [("candidate", "champion")[number % 2] for number in range(len(items))]
    chance.shuffle(sides)
    rows = []
    for item, a in zip(chance.sample(list(items), len(items)), sides, strict=True):
        champion, candidate = answers[item.id]
        first, second = (candidate, champion) if a == "candidate" else (champion, candidate)
        texts = tuple(_text(name, passages) for name in _found(champion, candidate))
        cells = (_question(item), "\n\n".join(texts), first.text, second.text)
        code = "r" + hashlib.sha256(f"{salt} {rater} {item.id}".encode()).hexdigest()[:12]
        checks = {name: text_check(salt, cell) for name, cell in zip(TEXTS, cells, strict=True)}
        rows.append(Shown(Row(code=code, item=item.id, a=a, checks=checks), cells[0], texts, *cells[2:]))
    return rows


def _found(champion: Answered, candidate: Answered) -> list[str]:
    """What either answer cites and the best of what the search found, in an order that tells nothing."""
    found = {*champion.cited_ids, *candidate.cited_ids}
    return sorted(found.union(champion.passage_ids[:_BEST], candidate.passage_ids[:_BEST]))


def _text(name: str, passages: Mapping[str, str]) -> str:
    if name not in passages:
        raise ConfigurationError(f"there is no passage {name}: give the articles that the runs were answered from")
    return passages[name]


def _question(item: Item) -> str:
    """The patient's messages; earlier ones of the conversation are told apart from the last, which was answered."""
    *earlier, last = item.turns
    return "\n".join([*(f"(before) {turn}" for turn in earlier), last])


def _bound(run: Run) -> Bound:
    return Bound(system=run.system, adapter_sha256=run.adapter_sha256, run_sha256=run_hash(run))


def _write(pack: str, number: int, rater: str, rows: Sequence[Shown], folder: Path) -> Sheet:
    name = re.sub(r"[^a-z0-9]+", "-", rater.lower()).strip("-") or "rater"
    sheet = Sheet(rater, folder / f"panel-{number}-{name}.csv", folder / f"panel-{number}-{name}.html")
    write_private(sheet.csv, "\ufeff" + _csv(pack, rater, rows))
    write_private(sheet.html, _html(pack, rater, rows, f"{number}-{name}"))
    return sheet


def _csv(pack: str, rater: str, rows: Sequence[Shown]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    empty = [""] * (len(COLUMNS) - 4 - len(TEXTS))
    for shown in rows:
        writer.writerow([inert(cell) for cell in (pack, rater, shown.row.code, shown.row.check, *shown.cells, *empty)])
    return text.getvalue()


def _html(pack: str, rater: str, rows: Sequence[Shown], file: str) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["csp_hash"] = csp_hash
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    shown = [
        {
            "code": one.row.code,
            "check": one.row.check,
            "question": one.question,
            "passages": one.passages,
            "answers": [("A", one.answer_a), ("B", one.answer_b)],
        }
        for one in rows
    ]
    return template.render(pack=pack, rater=rater, rows=shown, file=file)
