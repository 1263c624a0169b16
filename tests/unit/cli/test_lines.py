"""JSON lines: order is kept, and one bad line harms no other."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest

from app.cli.lines import BadLine, Line, convert, convert_together, open_source, parse_line, read_lines, write
from app.errors import InvalidContent, MessageEmpty


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"{", "not JSON"),
        (b"[1]", "must be an object"),
        (b'{"id": 1}', '"text" must be a string'),
        (b'{"id": 1, "turns": []}', '"turns" a list'),
        (b'{"id": 1, "text": 5}', '"text" must be a string'),
        (b"[" * 100_000, "not JSON"),
        (b'{"id":1,"text":"cut \\ud83d"}', "half of a surrogate pair"),
        (b'{"id":1,"text":"x","k\\udc00":[]}', "half of a surrogate pair"),
        (b'{"id":"\\ud83d","text":"x"}', "half of a surrogate pair"),
        (b'{"id":NaN,"text":"x"}', "NaN"),
        (b'{"id":1,"text":"x","more":[-Infinity]}', "NaN"),
        (b'{"id":1e999,"text":"x"}', "NaN"),
        (b'{"id":1,"text":"' + b"x" * 1_000_001 + b'"}', "bytes"),
    ],
)
def test_bad_lines_say_what_is_wrong(raw: bytes, said: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    line = parse_line(raw, 7)
    assert isinstance(line, BadLine)
    assert said in line.error
    assert line.as_json()["line"] == 7
    write(line.as_json())
    json.loads(capfdbinary.readouterr().out.decode(), parse_constant=pytest.fail)


def test_a_bad_line_keeps_its_id_and_a_whole_pair_is_no_fault() -> None:
    assert parse_line(b'{"id": "a7", "text": "cut \\ud83d"}', 1).id == "a7"
    whole = parse_line(b'{"id": 1, "text": "\\ud83d\\ude00"}', 1)
    assert isinstance(whole, Line)
    assert whole.text == "\U0001f600"


def test_text_and_turns_are_read() -> None:
    source = io.BytesIO(b'{"id": "a", "text": "hi"}\n\n{"id": "b", "turns": ["one", "two"]}\n')
    first, second = list(read_lines(source))
    assert isinstance(first, Line)
    assert isinstance(second, Line)
    assert (first.text, second.text) == ("hi", "two")
    assert (first.number, second.number) == (1, 3)


def test_one_error_leaves_the_other_lines(capsys: pytest.CaptureFixture[str]) -> None:
    def work(line: Line) -> dict[str, Any]:
        if line.id == 2:
            raise MessageEmpty("nothing is left")
        return {"id": line.id}

    assert not convert([Line(1, ["a"]), Line(2, ["b"]), Line(3, ["c"])], work)
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [item["id"] for item in out] == [1, 2, 3]
    assert out[1]["error"] == "nothing is left"


def test_an_error_names_the_line_of_the_input_blank_ones_counted(capsys: pytest.CaptureFixture[str]) -> None:
    def work(line: Line) -> dict[str, Any]:
        raise MessageEmpty("nothing is left")

    assert not convert(read_lines(io.BytesIO(b'\n\n{"id": 1, "text": "hi"}\n\nno\n')), work)
    assert [json.loads(line)["line"] for line in capsys.readouterr().out.splitlines()] == [3, 5]


@pytest.mark.anyio
async def test_together_keeps_the_order(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(line: Line) -> dict[str, Any]:
        await asyncio.sleep(0.02 if line.id % 2 else 0.0)
        return {"id": line.id}

    lines: list[Line | BadLine] = [Line(n, ["x"]) for n in range(20)]
    assert await convert_together(lines, work, at_once=5)
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == list(range(20))


def test_a_message_in_the_place_of_a_file_is_told_what_a_line_looks_like(tmp_path: Path) -> None:
    with pytest.raises(InvalidContent, match=r'cannot be read: .* such as \{"id": 1, "text": "my message"\}'):
        open_source(str(tmp_path / "my chest hurts"))
