from __future__ import annotations

import pytest

from app.encoder.encoder import TurnEncoder
from app.guardrails.active import triage_of
from app.guardrails.injection import Injection
from app.guardrails.policy import PolicyBundle, default_bundle_folder, load_bundle
from app.guardrails.scope import Scope
from app.guardrails.triage import Triage


@pytest.fixture(scope="session")
def bundle() -> PolicyBundle:
    return load_bundle(default_bundle_folder())


@pytest.fixture(scope="session")
def triage(bundle: PolicyBundle) -> Triage:
    return Triage(bundle)


@pytest.fixture(scope="session")
def whole(bundle: PolicyBundle, turn_encoder: TurnEncoder) -> Triage:
    """Triage as it is served: rules and learned raise."""
    return triage_of(bundle, turn_encoder)


@pytest.fixture(scope="session")
def scope(bundle: PolicyBundle) -> Scope:
    return Scope(bundle)


@pytest.fixture(scope="session")
def injection(bundle: PolicyBundle) -> Injection:
    return Injection(bundle)
