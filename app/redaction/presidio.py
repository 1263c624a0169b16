"""The one door to Presidio.

Importing presidio-analyzer also imports torch and transformers wherever they are installed (measured: 6.5 s instead of
1.0 s), for recognizers that are not used here. The api process must stay free of torch, so these optional packages are
hidden from Presidio while it is imported; it then takes them as not installed. What is loaded already is left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OPTIONAL = ("torch", "transformers", "stanza", "gliner", "spacy_huggingface_pipelines", "tensorflow", "cupy", "mxnet")


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    absent = [name for name in names if name not in sys.modules]
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    for name in absent:
        modules[name] = None
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


with _hidden(_OPTIONAL):
    from presidio_analyzer import EntityRecognizer, PatternRecognizer, RecognizerResult
    from presidio_analyzer.predefined_recognizers import CreditCardRecognizer, IpRecognizer, UsMbiRecognizer
    from presidio_anonymizer import AnonymizerEngine
    from presidio_anonymizer.entities import OperatorConfig
    from presidio_anonymizer.entities import RecognizerResult as AnonymizerSpan

__all__ = [
    "AnonymizerEngine",
    "AnonymizerSpan",
    "CreditCardRecognizer",
    "EntityRecognizer",
    "IpRecognizer",
    "OperatorConfig",
    "PatternRecognizer",
    "RecognizerResult",
    "UsMbiRecognizer",
]
