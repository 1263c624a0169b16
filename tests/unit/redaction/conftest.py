"""One detector for all tests of redaction: building it takes a second."""

from __future__ import annotations

import pytest

from app.redaction.detector import Detector
from app.redaction.redactor import Redactor, build_detector

ALLOWED = (
    "515-555-0111",
    "515-555-0100",
    "400 Cedar Valley Parkway, Cedar Valley, IA 50100",
    "www.cedarvalley.example",
)


@pytest.fixture(scope="session")
def detector() -> Detector:
    return build_detector(ALLOWED, timeout_s=20)


@pytest.fixture(scope="session")
def redactor(detector: Detector) -> Redactor:
    return Redactor(detector, "prompt")
