"""The language of a message, by its common words."""

from __future__ import annotations

import pytest

from app.guardrails.language import language_of, languages


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("ayuda no respira", ("es",)),
        ("no respira", ("es",)),
        ("Mi bebé no respira", ("es",)),
        ("mi bebe no respira", ("es",)),
        ("me quiero morir", ("es",)),
        ("NO PUEDO MÁS", ("es",)),
        ("¿911?", ("es",)),
        ("mi esposo me pega y tengo miedo", ("es",)),
        ("help not breathing", ("en",)),
        ("he hits me", ("en",)),
        ("I can’t breathe", ("en",)),
        ("cant breathe", ("en",)),
        ("I want to die", ("en",)),
        ("I had an MI last year", ("en",)),
        ("3 yo swallowed it", ("en",)),
        ("my mom no puede respirar", ("en", "es")),
        ("tengo chest pain", ("en", "es")),
        ("no", ()),
        ("911", ()),
        ("", ()),
        ("🆘🆘", ()),
    ],
)
def test_languages(message: str, found: tuple[str, ...]) -> None:
    assert languages(message) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("Llame al 911 ahora.", "es"), ("Call 911 now.", "en"), ("911", "xx"), ("tengo chest pain", "xx")],
)
def test_a_text_that_tells_no_one_language_is_in_the_other(text: str, found: str) -> None:
    assert language_of(text, "xx") == found
