"""Sign-offs: who signed what, and why a signature does not count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import ConfigurationError
from app.guardrails.signing import make_key, read_private
from app.guardrails.signoff import (
    Register,
    Signoff,
    Subject,
    Verification,
    load_register,
    load_signoffs,
    sign,
    verify,
)

TODAY = date(2026, 11, 26)
SUBJECT = Subject(
    adapter_sha256="a" * 64,
    dataset_sha256="b" * 64,
    evaluation_sha256="c" * 64,
    policy_hash="policy-1",
    prompt_version="prompt-3",
    report_sha256="d" * 64,
    gate_sha256="e" * 64,
)
PEOPLE = {"ines": "Dr. Ines Calloway", "omar": "Dr. Omar Whitfield", "petra": "Petra Lindqvist"}


@dataclass
class Hospital:
    """A file of signers and the keys that its people keep."""

    folder: Path
    public: dict[str, str]

    @property
    def path(self) -> Path:
        return self.folder / "signoffs.json"

    def private(self, key: str) -> Ed25519PrivateKey:
        return read_private(self.folder / key)

    def register(self, keys: dict[str, Sequence[dict[str, Any]]] | None = None) -> Register:
        own: dict[str, Sequence[dict[str, Any]]] = {name: [{"key": self.public[name]}] for name in PEOPLE}
        signers = [
            {"id": f"u-{name}", "name": PEOPLE[name], "profession": "physician", "keys": list(listed)}
            for name, listed in {**own, **(keys or {})}.items()
            if listed
        ]
        (self.folder / "signers.yaml").write_text(json.dumps({"signers": signers}))
        return load_register(self.folder / "signers.yaml")

    def sign(self, *names: str, subject: Subject = SUBJECT, register: Register | None = None, **more: Any) -> None:
        for name in names:
            sign(subject, self.private(name), register or self.register(), self.path, **{"today": TODAY, **more})

    def verify(self, subject: Subject = SUBJECT, register: Register | None = None, today: date = TODAY) -> Verification:
        return verify(load_signoffs(self.path).signoffs, subject, register or self.register(), today=today)


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path, {name: make_key(tmp_path / name) for name in (*PEOPLE, "spare", "stranger")})


def why(found: Verification) -> list[str]:
    return [one.why_not for one in found.checked]


def test_two_people_complete_it(hospital: Hospital) -> None:
    assert (hospital.verify().complete, hospital.verify().said) == (False, "0 of 2 sign-offs count")
    hospital.sign("ines")
    assert (hospital.verify().complete, hospital.verify().said) == (False, "1 of 2 sign-offs count")
    hospital.sign("omar")
    found = hospital.verify()
    assert (found.complete, found.said) == (True, "signed by Dr. Ines Calloway and Dr. Omar Whitfield")
    assert [(one.signer, one.profession, one.signed_on, one.counts) for one in found.checked] == [
        ("u-ines", "physician", TODAY, True),
        ("u-omar", "physician", TODAY, True),
    ]
    assert found.subject == SUBJECT


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("adapter_sha256", "changed since: the adapter (aaaaaaaaaaaa was signed, 000000000000 is there)"),
        ("dataset_sha256", "changed since: the dataset"),
        ("evaluation_sha256", "changed since: the evaluation set"),
        ("policy_hash", "changed since: the policy bundle (policy-1 was signed, 000000000000 is there)"),
        ("prompt_version", "changed since: the prompt version"),
        ("report_sha256", "changed since: the report"),
    ],
)
def test_any_change_revokes(hospital: Hospital, field: str, said: str) -> None:
    hospital.sign("ines", "omar")
    found = hospital.verify(SUBJECT.model_copy(update={field: "0" * 64}))
    assert not found.complete
    assert all(reason.startswith(said) for reason in why(found))
    assert all(reason.endswith("review it and sign again") for reason in why(found))


def test_after_a_change_the_same_people_sign_again(hospital: Hospital) -> None:
    hospital.sign("ines", "omar")
    new = SUBJECT.model_copy(update={"report_sha256": "e" * 64})
    hospital.sign("ines", "omar", subject=new)
    found = hospital.verify(new)
    assert found.complete
    assert [one.counts for one in found.checked] == [False, False, True, True]


def edited(hospital: Hospital, place: int, **statement: Any) -> None:
    content = json.loads(hospital.path.read_text())
    content["signoffs"][place]["statement"] |= statement
    hospital.path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "statement",
    [
        {"counts_until": "2030-01-01"},
        {"signed_on": "2026-11-25"},
        {"name": "Somebody Else"},
        {"signer": "u-petra"},
        {"subject": {**SUBJECT.model_dump(), "adapter_sha256": "0" * 64}},
    ],
)
def test_an_edited_statement_does_not_count(hospital: Hospital, statement: dict[str, Any]) -> None:
    hospital.sign("ines", "omar")
    edited(hospital, 0, **statement)
    found = hospital.verify()
    assert [one.counts for one in found.checked] == [False, True]
    assert why(found)[0] == "the signature is wrong: the statement was changed, or another key has signed it"


def test_a_signature_of_another_key_does_not_count(hospital: Hospital) -> None:
    hospital.sign("ines", "omar")
    content = json.loads(hospital.path.read_text())
    content["signoffs"][1]["signature"] = content["signoffs"][0]["signature"]
    hospital.path.write_text(json.dumps(content))
    assert [one.counts for one in hospital.verify().checked] == [True, False]
    content["signoffs"][1]["signature"] = "no base64!"
    hospital.path.write_text(json.dumps(content))
    assert "the signature is wrong" in why(hospital.verify())[1]


def test_an_unknown_key_cannot_sign_and_does_not_count(hospital: Hospital) -> None:
    with pytest.raises(ConfigurationError, match=r"is not registered; add its \.pub"):
        hospital.sign("stranger")
    hospital.sign("ines", "omar")
    found = hospital.verify(register=hospital.register({"omar": []}))
    assert not found.complete
    assert why(found)[1].startswith("unknown key ")


def test_the_same_person_counts_once(hospital: Hospital) -> None:
    register = hospital.register({"ines": [{"key": hospital.public["ines"]}, {"key": hospital.public["spare"]}]})
    hospital.sign("ines", register=register)
    with pytest.raises(ConfigurationError, match=r"Dr\. Ines Calloway has signed for this already; another person"):
        hospital.sign("spare", register=register)
    # Somebody who writes the file by hand gains nothing: two keys of one person, and one signature twice.
    other = hospital.folder / "other.json"
    second = sign(SUBJECT, hospital.private("spare"), register, other, today=TODAY)
    both = [*load_signoffs(hospital.path).signoffs, second, second]
    found = verify(both, SUBJECT, register, today=TODAY)
    assert (found.complete, [one.counts for one in found.checked]) == (False, [True, False, False])
    assert why(found)[1] == "the same person twice: Dr. Ines Calloway signed on 2026-11-26 already"


def test_it_expires(hospital: Hospital) -> None:
    hospital.sign("ines", days=30)
    hospital.sign("omar", days=31)
    assert hospital.verify(today=TODAY + timedelta(30)).complete
    found = hospital.verify(today=TODAY + timedelta(31))
    assert why(found) == ["expired: it counted until 2026-12-26; sign again", ""]
    found = hospital.verify(today=TODAY - timedelta(1))
    assert all("still to come" in reason for reason in why(found))
    with pytest.raises(ConfigurationError, match="1 to 365 days, not 400"):
        hospital.sign("petra", days=400)


def test_keys_end_and_are_revoked(hospital: Hospital) -> None:
    hospital.sign("ines", "omar")
    public = hospital.public["omar"]
    for terms, said in (
        ({"until": "2026-11-25"}, "counted until 2026-11-25; sign again with a new one"),
        ({"revoked": True}, "was revoked; sign again with a new one"),
    ):
        register = hospital.register({"omar": [{"key": public, **terms}]})
        assert why(hospital.verify(register=register))[1].endswith(said)
        with pytest.raises(ConfigurationError, match=r"would not count: .* again with a new one"):
            sign(SUBJECT, hospital.private("omar"), register, hospital.folder / "new.json", today=TODAY)
        assert not (hospital.folder / "new.json").exists()
    register = hospital.register({"omar": [{"key": public, "until": "2026-11-26"}]})
    assert hospital.verify(register=register).complete


def test_a_key_that_goes_to_another_person_signs_for_neither(hospital: Hospital) -> None:
    hospital.sign("ines", "omar")
    register = hospital.register(
        {"omar": [{"key": hospital.public["spare"]}], "petra": [{"key": hospital.public["omar"]}]}
    )
    assert why(hospital.verify(register=register))[1] == (
        "the key belongs to Petra Lindqvist now, and was used as Dr. Omar Whitfield"
    )


def test_keys_may_be_files_beside_the_register(hospital: Hospital) -> None:
    register = hospital.register({"omar": [{"key": "omar.pub"}]})
    hospital.sign("ines", "omar", register=register)
    assert hospital.verify(register=register).complete


@pytest.mark.parametrize(
    ("signers", "said"),
    [
        ([("u-1", "Ann", "ines"), ("u-1", "Bea", "omar")], "the id 'u-1' stands there twice"),
        ([("u-1", "Ann Lee", "ines"), ("u-2", "ann  lee", "omar")], "the name 'ann  lee' stands there twice"),
        ([("u-1", "Ann", "ines"), ("u-2", "Bea", "ines")], "Ann and Bea share the key"),
        ([("u-1", "Ann", "nothing")], "Ann: '' is neither an Ed25519 public key"),
        ([("u-1", " ", "ines")], "signers.0.name"),
        ([], "signers: List should have at least 1 item"),
    ],
)
def test_a_register_that_would_deceive_is_refused(
    hospital: Hospital, signers: list[tuple[str, str, str]], said: str
) -> None:
    path = hospital.folder / "signers.yaml"
    listed = [
        {"id": number, "name": name, "profession": "nurse", "keys": [{"key": hospital.public.get(key, "")}]}
        for number, name, key in signers
    ]
    path.write_text(json.dumps({"signers": listed}))
    with pytest.raises(ConfigurationError, match=said):
        load_register(path)


def test_a_file_that_is_none_is_told(hospital: Hospital) -> None:
    hospital.path.write_text("{}x")
    with pytest.raises(ConfigurationError, match="is not a file of sign-offs"):
        load_signoffs(hospital.path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_register(hospital.folder / "absent.yaml")


def test_other_signatures_of_the_same_key_are_worth_nothing(hospital: Hospital) -> None:
    """A key that also signs policy bundles cannot be made to sign an adapter through them."""
    import base64

    from app.files import canonical

    hospital.sign("ines", "omar")
    first = load_signoffs(hospital.path).signoffs[0]
    plain = hospital.private("ines").sign(canonical(first.statement.model_dump(mode="json")))
    forged = Signoff(statement=first.statement, key=first.key, signature=base64.b64encode(plain).decode())
    assert not verify([forged], SUBJECT, hospital.register(), today=TODAY).checked[0].counts
