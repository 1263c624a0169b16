"""`bedside policies` and what `bedside triage` compares, on a small bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli.program import app
from app.errors import BedsideError
from tests.policy_files import edit, reviewed, write_bundle

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "tiny")


@pytest.fixture
def run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with the small bundle as that of the installation."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEDSIDE_POLICY_FOLDER", str(folder))

    def command(*arguments: str, lines: list[dict[str, Any]] | str = "") -> Result:
        given = lines if isinstance(lines, str) else "".join(json.dumps(line) + "\n" for line in lines)
        return CliRunner().invoke(app, arguments, input=given)

    return command


def objects(result: Result) -> list[dict[str, Any]]:
    """The JSON lines of standard output."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_check_says_what_a_bundle_holds_and_warns(run: Run) -> None:
    result = run("policies", "check", "--examples")
    assert result.exit_code == 0
    assert "is right: 2 triage, 2 scope and 1 attack rules" in result.stdout
    assert "warning: 2 of 2 triage rules are not reviewed" in result.stderr


def test_check_lists_every_fault_with_its_line(run: Run, folder: Path) -> None:
    edit(folder / "triage_1.yaml", "tier: urgent", "tier: huge")
    edit(folder / "scope.yaml", "kind: greeting", "kind: farewell")
    result = run("policies", "check", str(folder))
    assert (result.exit_code, result.stdout) == (1, "2 faults\n")
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["scope.yaml", "triage_1.yaml"]


def test_check_runs_the_examples_when_asked(run: Run, folder: Path) -> None:
    edit(folder / "triage_1.yaml", 'guards: ["warfarin"]', 'guards: ["heparin"]')
    assert run("policies", "check").exit_code == 0
    result = run("policies", "check", "--examples")
    assert result.exit_code == 1
    assert "rule bleeding.thinner: positive examples 1, 2, 3 and others do not reach the tier urgent" in result.stderr


def test_keygen_sign_verify_and_a_change_afterwards(run: Run, folder: Path, tmp_path: Path) -> None:
    key = tmp_path / "k"
    public = run("policies", "keygen", str(key)).stdout.strip()
    reviewed(folder)
    assert run("policies", "check", "--strict").exit_code == 1
    signed = run("policies", "sign", str(folder), "--key", str(key))
    assert (signed.exit_code, signed.stderr) == (0, "")
    for given in (public, f"{key}.pub"):
        assert run("policies", "verify", "--key", given).exit_code == 0
    edit(folder / "lexicon.yaml", "breastbone", "sternum")
    late = run("policies", "verify", "--key", public)
    assert "somebody changed them after the signature" in str(late.exception)


def test_verify_needs_a_key(run: Run) -> None:
    assert "--key or BEDSIDE_POLICY_KEY" in str(run("policies", "verify").exception)


def test_strict_settings_refuse_the_bundle_and_accept_it_once_signed(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = run("policies", "keygen", str(tmp_path / "k")).stdout.strip()
    monkeypatch.setenv("BEDSIDE_POLICY_STRICT", "true")
    monkeypatch.setenv("BEDSIDE_POLICY_KEY", public)
    line = [{"id": 1, "text": "angina"}]
    refused = run("triage", lines=line)
    assert isinstance(refused.exception, BedsideError)
    assert "bundle.sig: the bundle is not signed" in str(refused.exception)
    run("policies", "sign", str(reviewed(folder)), "--key", str(tmp_path / "k"))
    assert objects(run("triage", lines=line))[0]["tier"] == "emergency"


def test_explain_adds_reasons_with_offsets_and_no_words(run: Run) -> None:
    (item,) = objects(run("triage", "--explain", lines=[{"id": 1, "turns": ["Zoe", "no angina"]}]))
    assert item["tier"] == "none"
    assert item["explain"] == [
        {
            "rule": "cardiac.chest-pain", "tier": "emergency", "outcome": "denied", "trigger": "@chest_pain", "back": 0,
            "spans": [{"turn": 1, "start": 3, "end": 9, "flags": ["denied"]}], "because": [],
        }
    ]  # fmt: skip
    assert "Zoe" not in json.dumps(item)


def recorded(run: Run, tmp_path: Path, *texts: str) -> Path:
    """A file of decisions by the small bundle as it is."""
    result = run("triage", "--record", lines=[{"id": n, "text": text} for n, text in enumerate(texts)])
    path = tmp_path / "decisions.jsonl"
    path.write_text(result.stdout)
    return path


CASES = ("my breastbone hurts", "warfarin and bleeding", "chest pain", "where do I park")


def test_replay_of_the_same_bundle_differs_in_nothing(run: Run, tmp_path: Path) -> None:
    result = run("triage", "--replay", str(recorded(run, tmp_path, *CASES)))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "4 decisions: 4 same, 0 raised, 0 lowered, 0 rules changed; 0 by another bundle\n"


def test_replay_prints_what_differs_and_says_if_anything_is_lower(run: Run, folder: Path, tmp_path: Path) -> None:
    stored = recorded(run, tmp_path, *CASES)
    edit(folder / "triage_1.yaml", "tier: urgent", "tier: emergency")
    edit(folder / "triage_1.yaml", "cardiac.chest-pain", "cardiac.pain")
    result = run("triage", "--replay", str(stored))
    assert result.exit_code == 1
    assert "1 same, 1 raised, 0 lowered, 2 rules changed; 4 by another bundle" in result.stderr
    chest, blood, _ = objects(result)
    assert chest["changed"] == {"rules": {"was": ["cardiac.chest-pain"], "now": ["cardiac.pain"]}}
    assert blood["changed"] == {"tier": {"was": "urgent", "now": "emergency"}}
    assert blood["policy_hash"]["was"] != blood["policy_hash"]["now"]
    edit(folder / "lexicon.yaml", "breastbone", "sternum")
    lowered = run("triage", "--replay", str(stored))
    assert lowered.exit_code == 3
    assert "1 lowered" in lowered.stderr
    assert objects(lowered)[0]["changed"]["tier"] == {"was": "emergency", "now": "none"}
    assert "breastbone" not in lowered.output


def test_replay_names_lines_that_hold_no_decision(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_text(
        '{"id": 1, "text": "x"}\n\nnonsense\n{"id": 3, "text": "x", "tier": "huge", "rules": [], "policy_hash": ""}\n'
        '{"id": 4, "text": "x", "tier": "none", "rules": [], "policy_hash": 4}\n'
        '{"id": 5, "text": "x", "tier": "none", "rules": [], "policy_hash": "a"}\n'
    )
    result = run("triage", "--replay", str(path))
    assert result.exit_code == 2
    assert [(item["line"], item["id"]) for item in objects(result)] == [(1, 1), (3, None), (4, 3), (5, 4)]
    assert "1 decisions: 1 same" in result.stderr
    assert "4 lines could not be used" in result.stderr


def test_replay_and_lines_to_judge_exclude_each_other(run: Run, tmp_path: Path) -> None:
    assert "not both" in str(run("triage", "other.jsonl", "--replay", str(tmp_path)).exception)


def test_diff_for_people_and_for_scripts(run: Run, folder: Path, tmp_path: Path) -> None:
    new = write_bundle(tmp_path / "new")
    edit(new / "triage_1.yaml", "tier: urgent", "tier: same_day")
    assert "tier: urgent -> same_day" in run("policies", "diff", str(folder), str(new)).stdout
    (found,) = objects(run("policies", "diff", str(folder), str(new), "--json"))
    assert found["changes"] == [
        {
            "section": "triage", "name": "bleeding.thinner", "kind": "changed",
            "fields": [{"field": "tier", "was": "urgent", "now": "same_day"}],
        }
    ]  # fmt: skip


def test_dry_run_prints_cases_that_differ_without_their_words(run: Run, tmp_path: Path) -> None:
    new = write_bundle(tmp_path / "new")
    cases = tmp_path / "cases.jsonl"
    cases.write_text("".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(CASES)))
    same = run("policies", "dry-run", str(new), "--input", str(cases))
    assert (same.exit_code, same.stdout) == (0, "")
    edit(new / "triage_1.yaml", "tier: urgent", "tier: emergency")
    raised = run("policies", "dry-run", str(new), "--input", str(cases))
    assert (raised.exit_code, [item["id"] for item in objects(raised)]) == (0, [1])
    edit(new / "lexicon.yaml", "breastbone", "sternum")
    lowered = run("policies", "dry-run", str(new), "--input", str(cases))
    assert lowered.exit_code == 3
    assert [item["id"] for item in objects(lowered)] == [0, 1]
    assert "breastbone" not in lowered.output
    rows = {
        line.split()[0]: line.split()[1:] for line in lowered.stderr.splitlines() if line.startswith(("urg", "eme"))
    }
    assert rows == {"urgent": [".", ".", ".", ".", "1"], "emergency": ["1", ".", ".", ".", "1"]}
    words = run("policies", "dry-run", str(new), "--input", str(cases), "--show-text")
    assert objects(words)[0]["turns"] == ["my breastbone hurts"]
    cases.write_text("nonsense\n")
    assert run("policies", "dry-run", str(new), "--input", str(cases)).exit_code == 2
