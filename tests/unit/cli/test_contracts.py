"""The JSON-line contracts of `bedside redact`, `triage` and `ask`, as scripts meet them: a process and its output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def bedside(*arguments: str, lines: bytes = b"", **environment: str) -> tuple[int, list[dict[str, Any]], str]:
    done = subprocess.run(
        [sys.executable, "-c", "from app.cli.program import main; main()", *arguments],
        input=lines, capture_output=True, env=os.environ | environment, timeout=120, check=False,
    )  # fmt: skip
    out = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
    return done.returncode, out, done.stderr.decode()


def as_lines(*items: dict[str, Any]) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def test_triage() -> None:
    code, out, _ = bedside(
        "triage",
        lines=as_lines(
            {"id": "a", "text": "I have crushing chest pain"},
            {"id": "b", "turns": ["my chest feels tight", "and now my left arm hurts and I am sweating"]},
            {"id": "c", "text": "Where do I park?"},
        ),
    )
    assert code == 0
    assert [item["id"] for item in out] == ["a", "b", "c"]
    assert [item["tier"] for item in out] == ["emergency", "emergency", "none"]
    assert out[0]["route"] == "911"
    assert out[0]["rules"]
    assert len({item["policy_hash"] for item in out}) == 1
    assert set(out[0]) == {"id", "tier", "route", "category", "rules", "policy_hash"}


def test_redact() -> None:
    text = "Hi, my name is Maria Gonzalez and my number is 515-555-0199. I take 500 mg."
    code, out, _ = bedside("redact", lines=as_lines({"id": 1, "text": text}))
    assert code == 0
    assert "Maria" not in out[0]["text"]
    assert "0199" not in out[0]["text"]
    assert "500 mg" in out[0]["text"]
    assert {text[e["start"] : e["end"]] for e in out[0]["entities"]} == {"Maria Gonzalez", "515-555-0199"}
    assert all(entity["replacement"] in out[0]["text"] for entity in out[0]["entities"])


def test_redact_refuses_turns_instead_of_leaving_some_out() -> None:
    code, out, _ = bedside("redact", lines=b'\n{"id": 1, "turns": ["I am Maria Gonzalez", "ok"]}\n')
    assert code == 2
    assert out == [
        {"id": 1, "line": 2, "error": '"turns" are not redacted: give each of them as "text" on a line of its own'}
    ]


def test_redact_ends_in_order_although_the_last_line_ran_into_the_limit() -> None:
    code, out, said = bedside("redact", lines=as_lines({"id": 1, "text": "Penny swallowed a dime. " * 30_000}))
    assert (code, said) == (2, "")
    assert "longer than" in out[0]["error"]


def test_bad_lines_are_answered_in_their_place() -> None:
    code, out, _ = bedside("triage", lines=b'{"id": 1, "text": "hello"}\nnot json\n{"id": 3, "text": "hello"}\n')
    assert code == 2
    assert [item.get("id") for item in out] == [1, None, 3]
    assert "not JSON" in out[1]["error"]


def test_unknown_site_and_settings_end_in_one_sentence() -> None:
    code, out, said = bedside("redact", "--site", "nowhere", lines=as_lines({"id": 1, "text": "x"}))
    assert (code, out) == (1, [])
    assert "site.yaml" in said
    assert "Traceback" not in said
    code, _, said = bedside("triage", BEDSIDE_PORT="99999")
    assert code == 1
    assert "BEDSIDE_PORT" in said
    assert "Traceback" not in said


@pytest.fixture(scope="module")
def another_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second hospital, of two articles."""
    import yaml

    folder = tmp_path_factory.mktemp("elsewhere")
    demo = Path(__file__).parents[3] / "demo"
    site = yaml.safe_load((demo / "site.yaml").read_text()) | {"id": "elsewhere", "name": "Elsewhere Clinic"}
    (folder / "site.yaml").write_text(yaml.safe_dump(site))
    (folder / "articles").mkdir()
    for name, title, words in (
        ("helipad", "Helipad noise", "The helipad is loud between 9 p.m. and 6 a.m. Earplugs are free at the desk."),
        ("aquarium", "Our aquarium", "The aquarium in the lobby holds forty fish. Children may feed them at noon."),
    ):
        (folder / "articles" / f"{name}.md").write_text(
            f"---\nid: {name}\ntitle: {title}\ntopic: visiting\naudience: patients\nowner: Desk\nreviewed: 2026-01-01\n"
            f'review_by: 2030-01-01\nsources: ["Policy"]\n---\n{words}\n'
        )
    return folder


def test_ask_for_another_hospital_without_an_engine(another_site: Path, database_url: str, tmp_path: Path) -> None:
    code, out, said = bedside(
        "ask", "--no-engine", "--site", str(another_site),
        lines=as_lines(
            {"id": "q1", "text": "When can children feed the fish?"}, {"id": "q2", "text": "I have crushing chest pain"}
        ),
        BEDSIDE_DATABASE_URL=database_url, BEDSIDE_STATE=str(tmp_path),
    )  # fmt: skip
    assert code == 0, said
    assert set(out[0]) == {"id", "text", "kind", "citations", "tier", "guardrails", "adapter", "milliseconds"}
    assert out[0]["kind"] == "fallback"
    assert "noon" in out[0]["text"]
    assert out[0]["citations"][0]["article_id"] == "aquarium"
    assert set(out[0]["citations"][0]) == {"article_id", "title", "quote"}
    assert (out[1]["kind"], out[1]["tier"]) == ("emergency", "emergency")
