"""Compacting and joining leave the program as it is."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from app.widget.assets import asset, compact, compact_script, compact_style, join_modules, load_assets


def test_compact_removes_comments_and_indentation_only() -> None:
    source = (
        "// @ts-check\n/** A block\n * of lines. */\n/** @type {any} */ let one = null;\n"
        'const two = "http://a//b"; // stays\n\n  if (one) {\n    /* gone */\n    two = /** @type {any} */ (1);\n  }\n'
    )
    assert compact(source) == ('let one = null;\nconst two = "http://a//b"; // stays\nif (one) {\ntwo = (1);\n}\n')


def test_scripts_lose_the_spaces_around_an_assignment_only_outside_of_strings() -> None:
    source = 'const one = "a = b";\n  two.three = one;\nf("a = b");\nconst four = (five = 5) => five === 5;\n'
    assert compact_script(source) == (
        'const one="a = b";\ntwo.three=one;\nf("a = b");\nconst four=(five = 5) => five === 5;\n'
    )


def test_styles_lose_the_spaces_that_nobody_needs() -> None:
    source = "/* why */\n.a, .b > i:first-child {\n  color: red;\n  margin: 0 auto;\n}\n"
    source += "@media (width: 1px) { a { top: 0; } }"
    assert compact_style(source) == (".a,.b > i:first-child{color:red;margin:0 auto}@media (width:1px){a{top:0}}")


def test_join_puts_dependencies_first_and_each_once() -> None:
    sources = {
        "a.js": 'import { b } from "./b.js";\nimport { c } from "./c.js";\nb(c);\n',
        "b.js": 'import { c } from "./c.js";\nexport const b = c;\n',
        "c.js": "export async function c() {}\nexport class D {}\n",
    }
    assert join_modules(sources, "a.js") == "async function c() {}\nclass D {}\nconst b = c;\nb(c);\n"


def test_join_refuses_an_unknown_module() -> None:
    with pytest.raises(KeyError):
        join_modules({"a.js": 'import { b } from "./b.js";\n'}, "a.js")


def test_assets_are_packed_and_other_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("/* why */\nb { color: red }\n", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("x", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    files = load_assets(tmp_path)
    assert list(files) == ["a.css"]
    assert files["a.css"].plain == b"b{color:red}"
    assert gzip.decompress(files["a.css"].packed) == files["a.css"].plain


def test_etag_follows_the_content() -> None:
    assert asset("a.js", b"let a;\n").etag == asset("b.js", b"let a;\n").etag != asset("a.js", b"let b;\n").etag
