"""The policies in force: one snapshot that a turn takes when it begins, and that a reload replaces as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.contracts.site import Site
from app.errors import PolicyRefused
from app.guardrails.catalogue import Catalogue
from app.guardrails.examples import failing
from app.guardrails.injection import Injection
from app.guardrails.learned import Classifier, LearnedRaise, TurnReader
from app.guardrails.output import OutputChecks
from app.guardrails.policy import PolicyBundle
from app.guardrails.scope import Scope
from app.guardrails.triage import Triage
from app.guardrails.wishes import LearnedWish


@dataclass(frozen=True, slots=True)
class Policies:
    """A bundle and everything that is compiled from it. Pure and thread-safe."""

    bundle: PolicyBundle
    triage: Triage
    scope: Scope
    injection: Injection
    catalogue: Catalogue
    checks: OutputChecks
    loaded_at: datetime


def compiled(bundle: PolicyBundle, site: Site, loaded_at: datetime, encoder: TurnReader | None = None) -> Policies:
    """A bundle made ready for a site. Takes about a second: call it in a thread where chats are answered.

    Without an encoder what is learned is left out.

    Raises PolicyRefused where a text needs a number that the site does not give, or what is learned another encoder.
    """
    catalogue = Catalogue(bundle.texts)
    catalogue.require(site, bundle.version)
    return Policies(
        bundle=bundle,
        triage=triage_of(bundle, encoder),
        scope=scope_of(bundle, encoder),
        injection=Injection(bundle),
        catalogue=catalogue,
        checks=OutputChecks(site, bundle.header.support_threshold),
        loaded_at=loaded_at,
    )


def triage_of(bundle: PolicyBundle, encoder: TurnReader | None) -> Triage:
    """The triage of a bundle: its rules and, given the encoder, its learned raise if it has one.

    Raises PolicyRefused where the raise was trained over another encoder: this one may be older than its files.
    """
    if bundle.learned is None or encoder is None:
        return Triage(bundle)
    _require_base(bundle, "learned.yaml", bundle.learned.base, encoder)
    return Triage(bundle, LearnedRaise(bundle.learned, Classifier(bundle.learned_weights), encoder))


def scope_of(bundle: PolicyBundle, encoder: TurnReader | None) -> Scope:
    """The scope of a bundle: its rules and, given the encoder, its learned wish if it has one.

    Raises PolicyRefused as :func:`triage_of` does.
    """
    if bundle.wishes is None or encoder is None:
        return Scope(bundle)
    _require_base(bundle, "wishes.yaml", bundle.wishes.base, encoder)
    return Scope(bundle, LearnedWish(bundle.wishes, Classifier(bundle.wishes_weights), encoder))


def _require_base(bundle: PolicyBundle, file: str, base: str, encoder: TurnReader) -> None:
    if base != encoder.identity:
        reason = f"{file}: the layers were trained over another encoder than runs here: restart the service"
        raise PolicyRefused(bundle.version, [reason])


def require_examples(policies: Policies, *, pause_s: float = 0.0) -> None:
    """Run the examples of every rule. Raises PolicyRefused with each rule that misses some."""
    bundle = policies.bundle
    reasons = list(failing(bundle, policies.triage, policies.scope, policies.injection, pause_s=pause_s))
    if reasons:
        raise PolicyRefused(bundle.version, reasons)


class ActivePolicies:
    """Holds the snapshot in force. Whoever takes ``current`` keeps it, whatever comes after."""

    def __init__(self, first: Policies) -> None:
        self._current = first
        self._previous: str | None = None

    @property
    def current(self) -> Policies:
        """The policies for a turn that begins now."""
        return self._current

    @property
    def previous_hash(self) -> str | None:
        """Hash of the bundle that was in force before; None since the start."""
        return self._previous

    def swap(self, new: Policies) -> None:
        """Put other policies in force for every turn that begins from now on."""
        if new.bundle.hash != self._current.bundle.hash:
            self._previous = self._current.bundle.hash
        self._current = new
