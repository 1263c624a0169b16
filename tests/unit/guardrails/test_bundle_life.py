"""A policy bundle's life: faults that name their line, signatures, strict mode, differences, and what is in force."""

from __future__ import annotations

import base64
import json
import re
import stat
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from app.contracts.site import load_site
from app.errors import ConfigurationError, PolicyRefused
from app.guardrails import signing
from app.guardrails.active import ActivePolicies, Policies, compiled, require_examples
from app.guardrails.bundle_checks import NEEDED_TEXTS
from app.guardrails.changes import compare
from app.guardrails.facts import FACTS
from app.guardrails.policy import load_bundle
from tests.policy_files import edit, reviewed, write_bundle

SITE = load_site(Path(__file__).parents[3] / "demo")
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "tiny")


def refused(folder: Path, **conditions: object) -> tuple[str, ...]:
    """The reasons for which a bundle is refused."""
    with pytest.raises(PolicyRefused) as found:
        load_bundle(folder, **conditions)  # type: ignore[arg-type]
    return found.value.reasons


def line_of(path: Path, needle: str) -> int:
    """The only line of a file that holds the needle."""
    lines = [n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1) if needle in line]
    assert len(lines) == 1, (needle, lines)
    return lines[0]


BROKEN = [
    # file, old, new, what stands in the faulty line, what is said
    ("triage_1.yaml", "  unless: [", "  unless: [[", "  tier: emergency", "not valid YAML"),
    ("triage_1.yaml", "expires: 2032-01-01", "expires: 2032-13-41", "2032-13-41", "not valid YAML: month must be"),
    ("triage_1.yaml", "reviewer: none yet", "reviewer: \x07", "reviewer:", "a control character"),
    ("triage_1.yaml", '  guards: ["warfarin"]', '  guard: ["warfarin"]', "guard:", "bleeding.thinner: guard: Extra"),
    ("triage_1.yaml", "defaults: {", "defaults: {colour: red, ", "colour", "defaults: colour: Extra"),
    ("triage_1.yaml", "rules:\n", "rule: 1\nrules:\n", "rule: 1", "rule: unknown beside rules and defaults"),
    ("triage_1.yaml", "tier: urgent", "tier: huge", "huge", "'huge' is not a tier"),
    ("triage_1.yaml", "routes: [nurse_line]", 'routes: ["912"]', "912", "routes.0"),
    ("triage_1.yaml", '- "nosebleed"', "- [1, 2]", "[1, 2]", "triggers.1: Input should be a valid string"),
    ("triage_1.yaml", '- "nosebleed"', '- "@nose ~3 blood"', "@nose", "unknown concept @nose in '@nose ~3 blood'"),
    ("triage_1.yaml", '- "nosebleed"', '- "#pulze>=150"', "#pulze", "unknown fact #pulze>=150"),
    ("triage_1.yaml", '- "nosebleed"', '- "nose||blood"', "nose||blood", "empty or broken item"),
    ("triage_1.yaml", '- "nosebleed"', '- "¿?"', "¿?", "the phrase '¿?' is empty"),
    ("triage_1.yaml", "text: emergency_bleeding", "text: nowhere", "nowhere", "the text 'nowhere' is not in"),
    ("triage_1.yaml", "category: bleeding", "category: feet", "feet", "category 'feet' is not in category_order"),
    ("triage_1.yaml", "- id: bleeding.thinner", "- id: cardiac.chest-pain # 2", "# 2", "occurs twice; the first is in"),
    ("triage_1.yaml", "  tier: urgent\n", "  tier: urgent\n  tier: routine\n", "tier: routine", "tier stands here"),
    ("triage_1.yaml", "  text: emergency_bleeding\n", "", "- id: bleeding.thinner", "text: Field required"),
    ("triage_1.yaml", "clinically_reviewed: false", "clinically_reviewed: perhaps", "perhaps", "defaults: clinical"),
    ("scope.yaml", "kind: greeting", "kind: farewell", "farewell", "rule scope.greeting: kind"),
    ("scope.yaml", "- id: scope.greeting", "- id: scope.human # 2", "# 2", "rule scope.human: occurs twice"),
    ("injection.yaml", '"system:"', '"system:("', "system:(", "not a regular expression"),
    ("bundle.yaml", "injection_threshold: 0.6", "injection_threshold: 7", "injection", "less than or equal to 1"),
    ("lexicon.yaml", "  - angina\n", '  - angina\n  - "@heart ~ 3"\n', "@heart", "chest_pain: unknown concept @heart"),
    ("lexicon.yaml", "ache, hurts,\n  dolor", "ache,\n  @hurts,\n  dolor", "@hurts", "pain: unknown concept @hurts"),
    ("lexicon.yaml", '"@pain ~3 @chest"', '"@pain ~3 @chest_pain"', "~3", "@chest_pain refers to itself"),
    ("lexicon.yaml", 'chest: "chest, breast', 'chest: "chest,, breast', "chest,,", "a comma too many"),
    ("lexicon.yaml", "  - angina", "  - 911", "911", "must be phrases (write numbers"),
    ("context.yaml", "mask:", "masks:", "masks:", "masks is not a kind of cue"),
    ("texts_1.yaml", "  es: Llame al {r911_phone}. human\n", "", "human:", "text human: needs both en and es"),
    ("texts_1.yaml", "al {r911_phone}. human", "al {r112_phone}. human", "r112", "no site has a field 'r112_phone'"),
    ("texts_1.yaml", "Llame al {r911_phone}. human", "Llame {. human", "Llame {.", "text human, es:"),
    ("texts_1.yaml", "greeting:\n", "human:  # 2\n", "# 2", "human stands here a second time"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "marked", "said"), BROKEN, ids=[f"{b[0]}-{b[4]}" for b in BROKEN])
def test_a_fault_names_its_file_and_its_line(
    folder: Path, name: str, old: str, new: str, marked: str, said: str
) -> None:
    edit(folder / name, old, new)
    reasons = refused(folder)
    assert reasons[0].startswith(f"{name}:{line_of(folder / name, marked)}: "), reasons
    assert said in reasons[0]
    assert len(reasons) == 1


def test_all_faults_are_found_at_once_in_the_order_of_the_files(folder: Path) -> None:
    edit(folder / "triage_1.yaml", "tier: urgent", "tier: huge")
    edit(folder / "scope.yaml", "kind: greeting", "kind: farewell")
    edit(folder / "bundle.yaml", "version: tiny", "version: 3")
    reasons = refused(folder)
    assert [reason.split(":")[0] for reason in reasons] == ["bundle.yaml", "scope.yaml", "triage_1.yaml"]


def test_bytes_that_are_not_text_name_their_line(folder: Path) -> None:
    path = folder / "lexicon.yaml"
    path.write_bytes(path.read_bytes() + b"heart: \xff\n")
    assert refused(folder) == (
        f"lexicon.yaml:{len(path.read_bytes().splitlines())}: not UTF-8; save the file as UTF-8 text",
    )


def test_a_second_text_in_another_file_names_both(folder: Path) -> None:
    (folder / "texts_2.yaml").write_text("other: {en: a, es: b}\nhuman: {en: a, es: b}\n")
    assert refused(folder) == ("texts_2.yaml:2: text human occurs twice; it stands in texts_1.yaml too",)


def test_a_file_that_nothing_would_read_is_a_fault(folder: Path) -> None:
    (folder / "triage_1.yaml").rename(folder / "triage-1.yaml")
    assert "triage-1.yaml: nothing reads a file of this name" in refused(folder)[0]


@pytest.mark.parametrize("name", ["scope.yaml", "injection.yaml", "protected.txt"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refused(folder) == (f"{name}: is missing from the bundle",)


def test_a_text_that_every_conversation_may_need_must_be_there(folder: Path) -> None:
    edit(folder / "texts_1.yaml", "handoff_closed:", "handoff_shut:")
    assert "the text 'handoff_closed' is missing" in refused(folder)[0]


def test_the_texts_that_a_turn_asks_for_by_itself_are_needed() -> None:
    sources = (Path(__file__).parents[3] / "app/chat").glob("*.py")
    asked = re.compile(r"_(?:text|safety)\(([^()]*)\)|reply\(ReplyKind\.\w+, (\"\w+\")")
    calls = [match for path in sources for match in asked.findall(path.read_text(encoding="utf-8"))]
    names = {name for call in calls for name in re.findall(r'"(\w+)"', " ".join(call))}
    assert {"error", "handoff_open", "consent_required"} <= names <= NEEDED_TEXTS


def test_the_known_facts_are_those_that_are_read() -> None:
    source = (Path(__file__).parents[3] / "app/guardrails/facts.py").read_text(encoding="utf-8")
    assert {part.split('"')[0] for part in source.split('Fact("')[1:]} == FACTS


class Keys:
    """A key pair on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.public = signing.make_key(path)
        self.key = signing.read_public(self.public)

    def sign(self, folder: Path) -> None:
        signing.sign(folder, load_bundle(folder).hash, signing.read_private(self.path))


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "policy.key")


def test_a_signed_and_reviewed_bundle_passes_strict_mode_and_keeps_its_hash(folder: Path, keys: Keys) -> None:
    before = load_bundle(reviewed(folder)).hash
    keys.sign(folder)
    bundle = load_bundle(folder, strict=True, key=keys.key, today=NOW.date())
    assert (bundle.hash, bundle.signature, bundle.warnings) == (before, "valid", ())


def test_an_unsigned_bundle_is_only_refused_in_strict_mode(folder: Path, keys: Keys) -> None:
    assert "bundle.sig: the bundle is not signed" in load_bundle(reviewed(folder)).warnings[0]
    (reason,) = refused(folder, strict=True, key=keys.key)
    assert reason.startswith("bundle.sig: the bundle is not signed: run `bedside policies sign`")


def _append(folder: Path, keys: Keys) -> None:
    edit(folder / "protected.txt", "chess", "chess\nchest")


def _add_file(folder: Path, keys: Keys) -> None:
    (folder / "lexicon_2.yaml").write_text('nose: "nose"\n')


def _rename(folder: Path, keys: Keys) -> None:
    (folder / "triage_1.yaml").rename(folder / "triage_2.yaml")


def _other_key(folder: Path, keys: Keys) -> None:
    Keys(folder.parent / "other.key").sign(folder)


def _garbled(folder: Path, keys: Keys) -> None:
    content = json.loads((folder / "bundle.sig").read_text())
    flipped = bytearray(base64.b64decode(content["signature"]))
    flipped[0] ^= 1
    content["signature"] = base64.b64encode(flipped).decode()
    (folder / "bundle.sig").write_text(json.dumps(content))


def _renamed_hash(folder: Path, keys: Keys) -> None:
    """An attacker who changes the files and writes the new hash beside the old signature."""
    _append(folder, keys)
    content = json.loads((folder / "bundle.sig").read_text())
    (folder / "bundle.sig").write_text(json.dumps(content | {"bundle": load_bundle(folder).hash}))


def _nonsense(folder: Path, keys: Keys) -> None:
    (folder / "bundle.sig").write_text("[]")


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_append, "somebody changed them after the signature"),
        (_add_file, "somebody changed them after the signature"),
        (_rename, "somebody changed them after the signature"),
        (_other_key, "sign with the right key"),
        (_garbled, "the signature is wrong"),
        (_renamed_hash, "the signature is wrong"),
        (_nonsense, "this is not a signature"),
    ],
)
def test_every_tampering_is_refused_in_strict_mode_and_warned_of_otherwise(
    folder: Path, keys: Keys, tamper: Callable[[Path, Keys], None], said: str
) -> None:
    keys.sign(reviewed(folder))
    tamper(folder, keys)
    (reason,) = refused(folder, strict=True, key=keys.key)
    assert reason.startswith("bundle.sig: ")
    assert said in reason
    bundle = load_bundle(folder, key=keys.key)
    assert bundle.signature == "invalid"
    assert said in bundle.warnings[0]


def test_a_signature_without_a_key_to_verify_it_is_worth_nothing(folder: Path, keys: Keys) -> None:
    keys.sign(reviewed(folder))
    assert load_bundle(folder).signature == "unverified"
    assert "set BEDSIDE_POLICY_KEY" in refused(folder, strict=True)[0]


def test_strict_mode_names_rule_and_line_of_what_is_expired_or_unreviewed(folder: Path, keys: Keys) -> None:
    keys.sign(folder)
    path = folder / "triage_1.yaml"
    late, open_ = refused(folder, strict=True, key=keys.key, today=date(2031, 6, 1))
    assert late == (
        f"triage_1.yaml:{line_of(path, 'expires: 2031')}: rule cardiac.chest-pain expired on 2031-01-01: "
        "have it reviewed and renewed"
    )
    assert open_.startswith(
        "triage_1.yaml:1: 2 rules (cardiac.chest-pain, bleeding.thinner) are not clinically reviewed"
    )
    edit(path, "expires: 2032-01-01", "expires: 2030-01-01")
    found = refused(folder, strict=True, key=keys.key, today=date(2031, 6, 1))
    assert f"triage_1.yaml:{line_of(path, 'expires: 2030')}: rule bleeding.thinner expired on 2030-01-01" in found[2]


def test_without_strict_mode_expiry_and_review_are_warnings(folder: Path) -> None:
    warnings = load_bundle(folder, today=date(2031, 6, 1)).warnings
    assert ["not signed" in warnings[0], "expired" in warnings[1], "2 of 2" in warnings[2]] == [True, True, True]


def test_keys_are_private_and_never_overwritten(keys: Keys) -> None:
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert keys.path.with_name("policy.key.pub").read_text().strip() == keys.public
    with pytest.raises(ConfigurationError, match="never overwritten"):
        signing.make_key(keys.path)
    keys.path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        signing.read_private(keys.path)


def test_a_public_key_may_be_base64_or_a_file(keys: Keys, tmp_path: Path) -> None:
    pem = tmp_path / "public.pem"
    pem.write_bytes(keys.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    ids = {signing.key_id(signing.read_public(given)) for given in (keys.public, f"{keys.path}.pub", str(pem))}
    assert ids == {signing.key_id(keys.key)}
    for wrong in ("nonsense", base64.b64encode(b"short").decode(), str(tmp_path), str(keys.path)):
        with pytest.raises(ConfigurationError):
            signing.read_public(wrong)


def test_a_key_of_another_kind_does_not_sign(tmp_path: Path) -> None:
    path = tmp_path / "ec.key"
    path.touch(0o600)
    key = generate_private_key(SECP256R1())
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(ConfigurationError, match="not an Ed25519 key"):
        signing.read_private(path)


def test_a_difference_is_told_rule_by_rule_and_field_by_field(folder: Path, tmp_path: Path) -> None:
    new = write_bundle(tmp_path / "new")
    edit(new / "bundle.yaml", "version: tiny", "version: next")
    edit(new / "triage_1.yaml", "tier: urgent", "tier: same_day")
    edit(new / "triage_1.yaml", '- "nosebleed"', '- "nose bleeds"')
    edit(new / "lexicon.yaml", "breastbone", "sternum")
    edit(new / "texts_1.yaml", "Call {r911_phone}. human", "Call us. human")
    edit(new / "scope.yaml", "scope.greeting", "scope.hello")
    found = compare(load_bundle(folder), load_bundle(new))
    assert [(c.section, c.name, c.kind) for c in found.changes] == [
        ("bundle", "bundle.yaml", "changed"), ("triage", "bleeding.thinner", "changed"),
        ("scope", "scope.greeting", "removed"), ("scope", "scope.hello", "added"), ("texts", "human", "changed"),
        ("lexicon", "chest", "changed"),
    ]  # fmt: skip
    fields = {f.field: (f.was, f.now) for f in found.changes[1].fields}
    assert fields == {"tier": ("urgent", "same_day"), "triggers": (["nosebleed"], ["nose bleeds"])}
    shown = "\n".join(found.as_lines())
    for line in ("tier: urgent -> same_day", "triggers: + nose bleeds", "phrases: - breastbone", "- scope.greeting"):
        assert line in shown
    assert json.loads(json.dumps(found.as_json()))["new"]["version"] == "next"


def test_the_order_of_scope_rules_is_a_difference_and_equal_bundles_have_none(folder: Path, tmp_path: Path) -> None:
    new = write_bundle(tmp_path / "new")
    assert list(compare(load_bundle(folder), load_bundle(new)).as_lines())[1:] == ["no difference"]
    head, first, second = (new / "scope.yaml").read_text().split("- id: ")
    (new / "scope.yaml").write_text(f"{head}- id: {second}- id: {first}")
    (change,) = compare(load_bundle(folder), load_bundle(new)).changes
    assert (change.name, change.fields[0].now) == ("order of the rules", ["scope.greeting", "scope.human"])


def in_force(folder: Path) -> Policies:
    """The bundle of a folder, compiled."""
    return compiled(load_bundle(folder), SITE, NOW)


def test_examples_that_a_rule_misses_refuse_the_bundle(folder: Path) -> None:
    require_examples(in_force(folder))
    edit(folder / "triage_1.yaml", 'guards: ["warfarin"]', 'guards: ["heparin"]')
    edit(folder / "scope.yaml", '"real person"', '"real human"')
    edit(folder / "injection.yaml", '"ignore rules"', '"ignore laws"')
    with pytest.raises(PolicyRefused) as found:
        require_examples(in_force(folder))
    assert [reason.split(":")[0] for reason in found.value.reasons] == [
        "rule bleeding.thinner", "rule scope.human", "rule injection.override",
    ]  # fmt: skip
    assert "positive examples 1, 2, 3 and others do not reach the tier urgent" in found.value.reasons[0]


def test_whoever_took_the_policies_keeps_them_after_a_swap(folder: Path) -> None:
    first = in_force(folder)
    active = ActivePolicies(first)
    taken = active.current
    edit(folder / "lexicon.yaml", "breastbone", "sternum")
    second = in_force(folder)
    active.swap(second)
    assert (taken, active.current, active.previous_hash) == (first, second, first.bundle.hash)
    assert taken.triage.assess(["my breastbone hurts"]).policy_hash == first.bundle.hash
    active.swap(in_force(folder))  # the same bundle again, signed meanwhile, say
    assert active.previous_hash == first.bundle.hash
