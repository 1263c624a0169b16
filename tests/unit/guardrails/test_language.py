"""The language of a message, by its common words."""

from __future__ import annotations

import pytest

from app.guardrails.language import languages


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
