"""Logs cannot carry a patient's words, whatever a careless call passes."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import logging as app_logging

SECRET = "Maria Gonzalez has chest pain, call 515-555-0199"


def emitted(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]


def test_unknown_fields_and_free_text_events_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    app_logging.configure("info", "json")
    app_logging.logger("test").info("turn ended", text=SECRET, body=SECRET, conversation_id="c1", milliseconds=3)
    app_logging.logger("test").info(SECRET + "!?")
    first, second = emitted(capsys)
    assert first["conversation_id"] == "c1"
    assert first["dropped"] == 2
    assert second["event"] == "event name withheld"
    assert "Maria" not in json.dumps([first, second])


def test_exceptions_are_logged_by_type_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    app_logging.configure("info", "json")
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        app_logging.logger("test").error("step failed", exc_info=error)
    line = capsys.readouterr().err
    assert "ValueError" in line
    assert "Maria" not in line


def test_other_libraries_lose_their_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    app_logging.configure("info", "json")
    logging.getLogger("library").warning("could not parse %s", SECRET)
    assert "Maria" not in capsys.readouterr().err


def test_lost_exceptions_of_tasks_keep_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    app_logging.configure("info", "json")
    error = ValueError(SECRET)
    logging.getLogger("asyncio").error(f"Task exception was never retrieved\nfuture: {error!r}", exc_info=error)
    line = capsys.readouterr().err
    assert "Task exception was never retrieved (ValueError)" in line
    assert "Maria" not in line


@given(st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=20)))
def test_only_allowed_fields_are_left(fields: dict[str, str]) -> None:
    left = app_logging.only_allowed(None, "info", {"event": "x", **fields})
    assert set(left) <= app_logging.ALLOWED_FIELDS


def test_what_is_written_for_people_into_a_file_has_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    app_logging.configure("info", "text")
    app_logging.logger("x").info("engine ready", count=3)
    assert "\x1b" not in (shown := capsys.readouterr().err)
    assert "engine ready" in shown
