"""Two clinicians sign for an adapter: Ed25519 signatures over the hashes of all that they judged.

`bedside-train signoff` makes them; the service asks for them at promotion where it is told who may sign.

Who may sign stands in a YAML file that the hospital keeps::

    signers:
      - id: u-104                # the hospital's own id of this person
        name: Dr. Ines Calloway
        profession: physician
        keys:
          - key: 3q2+7w...       # base64, or the path of the .pub file, relative to this file
            until: 2027-12-31    # last day on which the key counts; may be left out
          - key: old.pub
            revoked: true        # nothing that this key has signed counts

Keys are those of `bedside policies keygen` (:mod:`app.guardrails.signing`). A signature is over the subject, the
signer, the day and the last day on which it counts. It stops counting when anything that it covers has changed, when
its day is over, and when its key is no longer registered. Two different people are needed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.contracts.adapters import GateReport
from app.errors import ConfigurationError
from app.files import canonical, replace_file
from app.guardrails.signing import key_id, read_public

SIGNOFF_FILE = "signoffs.json"
NEEDED = 2
VALID_DAYS, MOST_DAYS = 90, 365
_DOMAIN = b"bedside adapter sign-off, version 2: "
_Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
_PARTS = {
    "adapter_sha256": "the adapter",
    "dataset_sha256": "the dataset",
    "evaluation_sha256": "the evaluation set",
    "policy_hash": "the policy bundle",
    "prompt_version": "the prompt version",
    "report_sha256": "the report",
    "gate_sha256": "the gate's verdict",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Subject(_Frozen):
    """What is signed for. ``report_sha256`` is of the content of ``report.json``, as ``gate_report.json`` names it, and
    ``gate_sha256`` of the latter (:func:`gate_hash`): verdict, rules and conditions by which the service promotes.
    """

    adapter_sha256: _Hash
    dataset_sha256: _Hash
    evaluation_sha256: _Hash
    policy_hash: str = Field(min_length=1)
    prompt_version: str = Field(min_length=1)
    report_sha256: _Hash
    gate_sha256: _Hash


class SignerKey(_Frozen):
    """A registered public key."""

    key: str
    until: date | None = None
    revoked: bool = False


class Signer(_Frozen):
    """A person who may sign."""

    id: _Name
    name: _Name
    profession: _Name
    keys: list[SignerKey] = Field(min_length=1)


class _Register(_Frozen):
    signers: list[Signer] = Field(min_length=1)


class Statement(_Frozen):
    """What a signature is over."""

    subject: Subject
    signer: str
    name: str
    signed_on: date
    counts_until: date


class Signoff(_Frozen):
    """A statement, the key that signed it (for the words of an error), and the signature in base64."""

    statement: Statement
    key: str
    signature: str


class Signoffs(_Frozen):
    """The file beside the report."""

    format: Literal[2] = 2
    signoffs: list[Signoff] = []


class Checked(_Frozen):
    """One signature: who it says it is from, whether it counts, and if not why."""

    signer: str
    name: str
    profession: str
    key: str
    signed_on: date
    counts_until: date
    counts: bool
    why_not: str


class Verification(_Frozen):
    """``complete``: enough different people have signed for just this."""

    complete: bool
    said: str
    subject: Subject
    checked: list[Checked]


@dataclass(frozen=True, slots=True)
class _Known:
    """A registered key and its owner."""

    signer: Signer
    terms: SignerKey
    public: Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Register:
    """Registered keys by :func:`key_id`."""

    keys: Mapping[str, _Known]


def gate_hash(report: GateReport) -> str:
    """SHA-256 (hex) over all that ``gate_report.json`` says."""
    return hashlib.sha256(canonical(report.model_dump(mode="json"))).hexdigest()


def load_register(path: Path) -> Register:
    """Read who may sign. Raises ConfigurationError, also for an id, a name or a key that stands there twice."""
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        register = _Register.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigurationError(f"{path}: {'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: a day that is none, say
        raise ConfigurationError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    keys: dict[str, _Known] = {}
    people: dict[str, str] = {}
    for signer in register.signers:
        for what, value in (("id", signer.id), ("name", signer.name)):
            told = f"{what} {' '.join(value.split()).casefold()}"
            if told in people:
                raise ConfigurationError(
                    f"{path}: the {what} {value!r} stands there twice; list all keys of one person together, and tell "
                    "people of the same name apart by an initial"
                )
            people[told] = signer.id
        for terms in signer.keys:
            public = _public(path, signer, terms.key)
            name = key_id(public)
            if name in keys:
                raise ConfigurationError(
                    f"{path}: {keys[name].signer.name} and {signer.name} share the key {name}; each makes her own"
                )
            keys[name] = _Known(signer, terms, public)
    return Register(keys)


def load_signoffs(path: Path) -> Signoffs:
    """The signatures of a report; none if the file does not exist. Raises ConfigurationError."""
    if not path.exists():
        return Signoffs()
    try:
        return Signoffs.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"{path} is not a file of sign-offs: {str(error).splitlines()[0]}") from None


def sign(
    subject: Subject, key: Ed25519PrivateKey, register: Register, path: Path, *, today: date, days: int = VALID_DAYS
) -> Signoff:
    """Sign for the subject and add it to the file.

    Raises ConfigurationError if the signature would not count or cannot be kept.
    """
    known = register.keys.get(key_id(key.public_key()))
    if known is None:
        raise ConfigurationError(
            f"the key {key_id(key.public_key())} is not registered; add its .pub to the file of signers first"
        )
    if not 1 <= days <= MOST_DAYS:
        raise ConfigurationError(f"a sign-off counts for 1 to {MOST_DAYS} days, not {days}")
    statement = Statement(
        subject=subject,
        signer=known.signer.id,
        name=known.signer.name,
        signed_on=today,
        counts_until=today + timedelta(days=days),
    )
    made = Signoff(
        statement=statement,
        key=key_id(key.public_key()),
        signature=base64.b64encode(key.sign(_signed(statement))).decode("ascii"),
    )
    before = load_signoffs(path).signoffs
    counted = [one for one in verify(before, subject, register, today=today).checked if one.counts]
    if any(one.signer == known.signer.id for one in counted):
        raise ConfigurationError(f"{known.signer.name} has signed for this already; another person must be the second")
    if why := _why_not(made, subject, register, today):
        raise ConfigurationError(f"the signature would not count: {why}")
    data = Signoffs(signoffs=[*before, made]).model_dump_json(indent=1) + "\n"
    try:
        replace_file(path, data.encode(), mode=0o644)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return made


def verify(signoffs: Sequence[Signoff], subject: Subject, register: Register, *, today: date) -> Verification:
    """Which signatures count for the subject as it is now, and why each of the others does not."""
    checked: list[Checked] = []
    people: dict[str, str] = {}
    for one in signoffs:
        known = register.keys.get(one.key)
        why = _why_not(one, subject, register, today)
        if not why and known and known.signer.id in people:
            why = f"the same person twice: {known.signer.name} signed on {people[known.signer.id]} already"
        if not why and known:
            people[known.signer.id] = one.statement.signed_on.isoformat()
        checked.append(
            Checked(
                signer=one.statement.signer,
                name=one.statement.name,
                profession=known.signer.profession if known else "",
                key=one.key,
                signed_on=one.statement.signed_on,
                counts_until=one.statement.counts_until,
                counts=not why,
                why_not=why,
            )
        )
    names = [one.name for one in checked if one.counts]
    complete = len(names) >= NEEDED
    said = f"signed by {' and '.join(names)}" if complete else f"{len(names)} of {NEEDED} sign-offs count"
    return Verification(complete=complete, said=said, subject=subject, checked=checked)


def _why_not(one: Signoff, subject: Subject, register: Register, today: date) -> str:
    """Why a signature does not count; empty if it does. The signature comes first: what it covers is believed then."""
    known = register.keys.get(one.key)
    if known is None:
        return f"unknown key {one.key}: it is not registered"
    try:
        known.public.verify(base64.b64decode(one.signature, validate=True), _signed(one.statement))
    except (InvalidSignature, binascii.Error, ValueError):
        return "the signature is wrong: the statement was changed, or another key has signed it"
    if (one.statement.signer, one.statement.name) != (known.signer.id, known.signer.name):
        return f"the key belongs to {known.signer.name} now, and was used as {one.statement.name}"
    if one.statement.counts_until > one.statement.signed_on + timedelta(days=MOST_DAYS):
        return f"it was to count for more than {MOST_DAYS} days; sign again"
    if known.terms.revoked:
        return f"the key {one.key} was revoked; sign again with a new one"
    changed = [
        f"{said} ({_short(getattr(one.statement.subject, name))} was signed, {_short(getattr(subject, name))} is there)"
        for name, said in _PARTS.items()
        if getattr(one.statement.subject, name) != getattr(subject, name)
    ]
    if changed:
        return f"changed since: {', '.join(changed)}; review it and sign again"
    if one.statement.signed_on > today:
        return f"dated {one.statement.signed_on}, which is still to come; check the clock and sign again"
    if one.statement.counts_until < today:
        return f"expired: it counted until {one.statement.counts_until}; sign again"
    if known.terms.until and known.terms.until < max(today, one.statement.signed_on):
        return f"the key {one.key} counted until {known.terms.until}; sign again with a new one"
    return ""


def _signed(statement: Statement) -> bytes:
    return _DOMAIN + canonical(statement.model_dump(mode="json"))


def _short(value: str) -> str:
    return value[:12]


def _public(path: Path, signer: Signer, given: str) -> Ed25519PublicKey:
    """The key as base64, or as a file beside the register."""
    beside = path.parent / given
    try:
        return read_public(str(beside) if len(given) < 200 and beside.is_file() else given)
    except ConfigurationError:
        raise ConfigurationError(
            f"{path}: {signer.name}: {given[:60]!r} is neither an Ed25519 public key in base64 nor a .pub file; "
            "`bedside policies keygen` makes one"
        ) from None
