"""The policy bundle: every safety rule and text as data, read, checked, hashed and, in strict mode, signed.

A bundle is a folder of YAML files: ``bundle.yaml`` (version, limits), ``lexicon*.yaml`` (concepts), ``context*.yaml``
(cues), ``triage_*.yaml`` (red flags), ``scope.yaml``, ``injection.yaml`` and ``texts_*.yaml`` (what patients read);
``learned.yaml`` with ``learned.safetensors`` (the learned raise), ``wishes.yaml`` with ``wishes.safetensors`` (the
learned wish for a person), ``protected.txt`` (words that are never mended) and, where it is signed, ``bundle.sig`` lie
beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field

from app.errors import PolicyRefused
from app.guardrails import signing
from app.guardrails.bundle_checks import cross_faults, expired, unreviewed
from app.guardrails.bundle_parts import as_lists, as_rules, read_parts
from app.guardrails.bundle_source import Fault, digest, read_files
from app.guardrails.learned import LearnedPolicy
from app.guardrails.rules import BundleHeader, InjectionRule, Rule, ScopeKind, ScopeRule, Source, TriageRule
from app.guardrails.wishes import WishPolicy

__all__ = [
    "BundleHeader",
    "InjectionRule",
    "PolicyBundle",
    "Rule",
    "ScopeKind",
    "ScopeRule",
    "Source",
    "TriageRule",
    "default_bundle_folder",
    "load_bundle",
]

POLICY_VERSION = "v1"


def default_bundle_folder() -> Path:
    """The bundle that is shipped with this version of the service."""
    return Path(__file__).parent / "policies" / POLICY_VERSION


class PolicyBundle(BaseModel):
    """A checked bundle. ``hash`` is SHA-256 (hex) over names and bytes of its files; ``warnings`` are plain sentences."""  # noqa: E501

    model_config = ConfigDict(frozen=True)

    hash: str
    header: BundleHeader
    protected: frozenset[str]
    lexicon: dict[str, list[str]]
    context: dict[str, list[str]]
    triage: list[TriageRule]
    scope: list[ScopeRule]
    injection: list[InjectionRule]
    texts: dict[str, dict[str, str]]
    learned: LearnedPolicy | None = None
    learned_weights: bytes = Field(default=b"", repr=False)
    wishes: WishPolicy | None = None
    wishes_weights: bytes = Field(default=b"", repr=False)
    signature: signing.Signature = "unsigned"
    warnings: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The name of the bundle."""
        return self.header.version

    @property
    def unreviewed(self) -> tuple[str, ...]:
        """Ids of active rules that no clinician has signed."""
        return tuple(rule.id for rule in self.triage if not rule.clinically_reviewed)

    @property
    def rules(self) -> list[Rule]:
        """All rules: triage, scope, injection."""
        return [*self.triage, *self.scope, *self.injection]

    def concepts(self) -> dict[str, list[str]]:
        """The lexicon, with the cues of the context as concepts ``cue_<kind>``."""
        return {**self.lexicon, **{f"cue_{kind}": phrases for kind, phrases in self.context.items() if phrases}}


def load_bundle(
    folder: Path, *, strict: bool = False, key: Ed25519PublicKey | None = None, today: date | None = None
) -> PolicyBundle:
    """Read and check a bundle, each file once: the hash is that of the bytes that were parsed.

    ``strict`` refuses what else is a warning: no signature by ``key``, rules that have expired (otherwise an old red
    flag is better than none), rules that no clinician has reviewed. Raises ConfigurationError where the folder is not
    a bundle, and PolicyRefused with all faults that were found, each with file and line.
    """
    files = read_files(folder)
    faults: list[Fault] = []
    parts = read_parts(files, faults)
    if faults or parts.header is None:
        raise PolicyRefused(folder.name, _sorted(faults))
    if faults := cross_faults(parts, parts.header):
        raise PolicyRefused(folder.name, _sorted(faults))
    found = digest(files)
    signature = signing.check(folder, found, key)
    late, open_ = expired(parts, today or date.today()), unreviewed(parts)
    unsigned = [Fault(signing.SIGNATURE_FILE, None, signature.said)] if signature.state != "valid" else []
    if strict and (faults := [*unsigned, *late, *open_]):
        raise PolicyRefused(folder.name, [str(fault) for fault in faults])
    bundle = PolicyBundle(
        hash=found,
        header=parts.header,
        protected=parts.protected,
        lexicon=as_lists(parts.lexicon),
        context=as_lists(parts.context),
        triage=as_rules(parts.triage),
        scope=as_rules(parts.scope),
        injection=as_rules(parts.injection),
        texts={name: text.forms for name, text in parts.texts.items()},
        learned=parts.learned.policy if parts.learned else None,
        learned_weights=parts.learned.weights if parts.learned else b"",
        wishes=parts.wishes.policy if parts.wishes else None,
        wishes_weights=parts.wishes.weights if parts.wishes else b"",
        signature=signature.state,
    )
    return bundle.model_copy(update={"warnings": _warnings(bundle, unsigned, late)})


def _warnings(bundle: PolicyBundle, unsigned: Sequence[Fault], late: Sequence[Fault]) -> tuple[str, ...]:
    count = len(bundle.unreviewed)
    open_ = [f"{count} of {len(bundle.triage)} triage rules are not reviewed by a clinician"] if count else []
    if bundle.learned is not None and not bundle.learned.clinically_reviewed:
        open_.append("the learned raise is not reviewed by a clinician")
    return (*map(str, unsigned), *map(str, late), *open_)


def _sorted(faults: Sequence[Fault]) -> list[str]:
    return [str(fault) for fault in sorted(faults, key=lambda fault: (fault.file, fault.line or 0))]
