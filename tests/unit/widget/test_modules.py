"""The widget's own modules, run in a real Chromium: the stream's parser and the fold over events."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def parsed(page: Page, text: str, size: int) -> list[Any]:
    """Events that the parser finds in ``text`` cut into chunks of ``size``."""
    script = """async ([text, size]) => {
        const { parser } = await import('/widget/stream.js');
        const events = [], feed = parser(event => events.push([event.id, event.type, event.data]));
        for (let at = 0; at < text.length; at += size) feed(text.slice(at, at + size));
        return events;
    }"""
    return list(page.evaluate(script, [text, size]))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_parser_gives_the_same_events_at_every_split(page: Page, end: str) -> None:
    lines = [": keep-alive", "", "event: message.delta", "id: 7", 'data: {"text":"a: b",', 'data:"more":1}', "",
             "event: typing", 'data: {"on":true}', "", "id: 8", "event: resync", "data: {}", "", "", ""]  # fmt: skip
    text = end.join(lines)
    whole = parsed(page, text, len(text))
    assert [event[1:] for event in whole] == [
        ["message.delta", {"text": "a: b", "more": 1}],
        ["typing", {"on": True}],
        ["resync", {}],
    ]
    assert whole[0][0] == 7
    assert whole[2][0] == 8
    for size in range(1, 12):
        assert [event[1:] for event in parsed(page, text, size)] == [event[1:] for event in whole]


def test_half_an_event_is_no_event(page: Page) -> None:
    assert parsed(page, 'event: message.delta\nid: 1\ndata: {"text":"torn', 5) == []


def fold(page: Page, events: list[tuple[str, dict[str, Any]]], start: list[dict[str, Any]] | None = None) -> list[Any]:
    """What the log shows after ``events``: (id, text, status, kind)."""
    script = """async ([start, events]) => {
        const { Log } = await import('/widget/log.js');
        const log = new Log();
        log.reset(start);
        for (const [type, data] of events) log.apply(type, data);
        return log.list.map(m => [m.id, m.text, m.status, m.kind]);
    }"""
    return list(page.evaluate(script, [start or [], events]))


def message(id_: str, position: int, **values: Any) -> dict[str, Any]:
    base = {"id": id_, "position": position, "author": "assistant", "text": "", "status": "streaming", "kind": ""}
    return {**base, "routes": [], "citations": [], **values}


def test_completion_replaces_what_was_streamed(page: Page) -> None:
    events = [
        ("message.created", {"message": message("a", 2)}),
        ("message.delta", {"message_id": "a", "text": "One."}),
        ("message.delta", {"message_id": "a", "text": " Two."}),
    ]
    assert fold(page, events) == [["a", "One. Two.", "streaming", ""]]
    done = ("message.completed", {"message": message("a", 2, text="One. Two!", status="complete", kind="answer")})
    assert fold(page, [*events, done]) == [["a", "One. Two!", "complete", "answer"]]


def test_order_is_by_position_not_by_arrival(page: Page) -> None:
    late = [("message.created", {"message": message(i, p, text=i, status="complete")}) for i, p in (("c", 9), ("a", 1))]
    assert [row[0] for row in fold(page, [*late, ("message.created", {"message": message("b", 4)})])] == ["a", "b", "c"]


def test_a_repeated_created_does_not_blank_the_stream(page: Page) -> None:
    start = [message("a", 1, text="One.")]
    assert fold(page, [("message.created", {"message": message("a", 1)})], start) == [["a", "One.", "streaming", ""]]


def test_retracted_text_is_gone_and_can_begin_anew(page: Page) -> None:
    start = [message("a", 1, text="Wrong.")]
    retracted = ("message.retracted", {"message_id": "a", "reason": "restarted"})
    assert fold(page, [retracted], start) == [["a", "", "retracted", ""]]
    again = ("message.delta", {"message_id": "a", "text": "Right."})
    assert fold(page, [retracted, again], start) == [["a", "Right.", "streaming", ""]]


def test_superseded_answer_is_not_shown(page: Page) -> None:
    assert (
        fold(page, [("message.completed", {"message": message("a", 1, status="superseded")})], [message("a", 1)]) == []
    )


def test_crisis_card_shows_before_its_message_and_is_never_blanked(page: Page) -> None:
    card = {"message_id": "a", "tier": "emergency", "category": "cardiac", "text": "Call 911.", "routes": []}
    crisis = ("safety.crisis", card)
    shown = [["a", "Call 911.", "complete", "emergency"]]
    assert fold(page, [crisis]) == shown
    assert fold(page, [crisis, ("message.created", {"message": message("a", 3)})]) == shown
    full = message("a", 3, text="Call 911.", status="complete", kind="emergency")
    assert fold(page, [crisis, ("message.completed", {"message": full})]) == shown
    assert fold(page, [("message.completed", {"message": full}), crisis]) == shown
