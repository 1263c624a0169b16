"""docs/clinical-safety.md cannot rot: what it names exists, its risks add up, and it leaves nothing out."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from app.guardrails.policy import default_bundle_folder

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs/clinical-safety.md").read_text(encoding="utf-8")
TEST_ID = re.compile(r"tests/[\w/]+\.py::\w+")
RISK = re.compile(r"([1-5]) × ([1-5]) = (\d+) (low|medium|high|extreme)")
FIGURE = re.compile(r"(?:[a-z]+ )?\d[\d,]* of [\d,]*\d|p99 \d+ ms|[a-z]+ \.\d+")
BANDS = ((15, "extreme"), (10, "high"), (5, "medium"), (1, "low"))


def section(title: str) -> str:
    """The text under a heading of the second level."""
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Cells of all table rows, headings among them."""
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [cells for cells in table if set("".join(cells)) != {"-"}]


def ids(letter: str, text: str) -> list[str]:
    """All ids of a kind in a text, such as C1."""
    return re.findall(rf"\b{letter}\d+\b", text)


def number(identifier: str) -> int:
    """The number of an id."""
    return int(identifier[1:])


class Hazard(NamedTuple):
    """A row of the hazard log."""

    id: str
    hazard: str
    cause: str
    effect: str
    before: str
    controls: str
    after: str
    owner: str
    open: str


HAZARDS = [Hazard(*cells) for cells in rows(section("Hazard log")) if re.fullmatch(r"H\d+", cells[0])]
CONTROLS = dict(
    re.findall(
        r"^\*\*(C\d+)\. (.+?)(?=^\*\*C\d+\. |^### |\Z)", section("Controls and their proofs"), re.MULTILINE | re.DOTALL
    )
)
ACTIONS = [cells for cells in rows(section("Open actions")) if re.fullmatch(r"A\d+", cells[0])]


@functools.cache
def functions_of(name: str) -> frozenset[str]:
    """Names of the test functions of a file."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


@pytest.mark.parametrize("test_id", sorted(set(TEST_ID.findall(TEXT))))
def test_every_named_test_exists(test_id: str) -> None:
    name, _, function = test_id.partition("::")
    assert (ROOT / name).is_file(), f"there is no {name}"
    assert function in functions_of(name), f"{name} has no {function}"


def test_every_named_file_exists() -> None:
    paths = {span.partition("::")[0] for span in re.findall(r"`([^`\s]+)`", TEXT) if re.match(r"[\w.]+/", span)}
    assert len(paths) > 50
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_every_named_metric_and_setting_exists() -> None:
    measured = (ROOT / "app/api/measurements.py").read_text(encoding="utf-8")
    assert [name for name in re.findall(r"`(bedside_\w+)`", TEXT) if f'"{name}"' not in measured] == []
    settings = (ROOT / "app/settings.py").read_text(encoding="utf-8")
    named = re.findall(r"`BEDSIDE_(\w+)", TEXT)
    assert [name for name in named if not re.search(rf"^    {name.lower()}: ", settings, re.MULTILINE)] == []


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard.id)
def test_a_hazard_is_whole_and_its_risks_add_up(hazard: Hazard) -> None:
    assert all((hazard.hazard, hazard.cause, hazard.effect))
    assert hazard.owner in {"M", "H"}
    risks = []
    for said in (hazard.before, hazard.after):
        found = RISK.fullmatch(said)
        assert found, said
        severity, likelihood, risk = map(int, found.groups()[:3])
        assert risk == severity * likelihood, said
        assert found[4] == next(band for least, band in BANDS if risk >= least), said
        risks.append(risk)
    assert risks[1] <= risks[0]
    assert ids("C", hazard.controls), "no control"
    assert set(hazard.controls.split()) <= set(CONTROLS)
    assert set(hazard.open.split()) <= {action[0] for action in ACTIONS}
    assert risks[1] < 10 or hazard.open, "a high or extreme risk needs an action"


def test_hazards_controls_and_actions_are_numbered_and_none_is_idle() -> None:
    assert len(HAZARDS) >= 25
    for letter, known in (("H", [h.id for h in HAZARDS]), ("C", [*CONTROLS]), ("A", [a[0] for a in ACTIONS])):
        assert sorted(map(number, known)) == list(range(1, len(known) + 1)), letter
        assert Counter(known).most_common(1)[0][1] == 1
    assert {c for h in HAZARDS for c in h.controls.split()} == set(CONTROLS)
    assert {a for h in HAZARDS for a in h.open.split()} == {action[0] for action in ACTIONS}
    assert set(ids("A", TEXT)) <= {action[0] for action in ACTIONS}
    assert set(ids("C", TEXT)) <= set(CONTROLS)
    assert {action[2] for action in ACTIONS} <= {"M", "H"}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_names_its_file_and_its_proof(control: str) -> None:
    said, _, proofs = CONTROLS[control].partition("\n\n- ")
    assert re.search(r"`(app|training|tests)/[\w./-]+`", said), "which file does it?"
    assert TEST_ID.search(proofs), "which test proves it?"


def test_the_conclusion_names_the_extreme_hazards() -> None:
    conclusion = " ".join(line.removeprefix("> ") for line in TEXT.splitlines() if line.startswith("> "))
    named = set(ids("H", conclusion))
    for first, last in re.findall(r"H(\d+) to H(\d+)", conclusion):
        named |= {f"H{n}" for n in range(int(first), int(last) + 1)}
    assert named == {hazard.id for hazard in HAZARDS if hazard.after.endswith("extreme")}


def test_every_category_of_triage_has_one_hazard() -> None:
    missed = section("Hazard log").split("\n### ")[1]
    named = [name for hazard in rows(missed) for name in re.findall(r"\b[a-z_]+\b", "".join(hazard[1].split("(")[1:]))]
    header = yaml.safe_load((default_bundle_folder() / "bundle.yaml").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(header["category_order"])


def test_every_stage_of_a_turn_is_described_in_order() -> None:
    source = "".join((ROOT / f"app/chat/{name}.py").read_text(encoding="utf-8") for name in ("pipeline", "generation"))
    run = list(dict.fromkeys(re.findall(r'steps\.(?:run|wait)\("(\w+)"', source)))
    described = [cells[0].strip("`") for cells in rows(section("The system")) if cells[0].startswith("`")]
    assert described == run


def test_figures_are_those_of_the_measurements() -> None:
    """A figure that was measured anew must be read anew here, with the scores that rest on it."""
    measured = " ".join((ROOT / "docs/measurements.md").read_text(encoding="utf-8").replace("*", "").split())
    cells = [cells[2].replace("*", "") for cells in rows(section("What was measured"))[1:]]
    figures = [figure for cell in cells for figure in FIGURE.findall(cell)]
    assert len(figures) >= len(cells) >= 7
    assert [figure for figure in figures if not stands(figure, measured)] == []


def stands(figure: str, measured: str) -> bool:
    """Whether a figure stands in the measurements, which tell "0 of 1,111" as "of 1,111 ... 0"."""
    if figure.startswith("0 of "):
        return f"{figure.removeprefix('0 ')} " in measured
    return re.search(rf"(?<![\w.]){re.escape(figure)}\b", measured) is not None
