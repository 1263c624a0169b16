"""FHIR R4: Communication and DocumentReference, with Patient and Consent of the same bundle.

Communications of one thread (by ``partOf`` or ``inResponseTo``, else by ``encounter``) become one record in the order
in which they were sent; a DocumentReference is a record of its own. What was not done, or was entered in error, is set
aside. ``Patient`` gives sex, language, age band and the name to look for, extensions give fields by the last part of
their address; ``Consent`` says whether the patient's texts may be used; what refuses counts for other files too
(:mod:`training.curate.formats.consents`). Other resources are not read, and neither are resources one a line (bulk
export), as a ``Consent`` has to be read together with those that it is about.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from training.curate.formats.contract import Refused, SourceRule
from training.curate.formats.drafts import Draft, Fault
from training.curate.formats.encoding import decoded
from training.curate.formats.facts import Gathered, facts, iso_date, whose, yes_or_no
from training.curate.formats.json_text import loaded
from training.curate.formats.reading import SourceFile, shown
from training.curate.formats.speech import labels_turns, merged, speaker
from training.curate.records import Speaker, Turn

_MOST_BYTES = 2_000_000
"""Decoded bytes of one attachment."""
ONE_A_LINE = "FHIR resources one a line are not read: put them into a Bundle"
"""The reason why they are set aside."""
_WITHDRAWN = ("entered-in-error", "not-done")
_PLAIN_TYPES = ("text/plain", "text/markdown", "")
_EXTENSIONS = {"us-core-race": "race", "us-core-ethnicity": "ethnicity", "us-core-birthsex": "birth_sex"}

Resource = Mapping[str, Any]
Placed = tuple[int, Resource]


def read(file: SourceFile, rule: SourceRule) -> Iterator[Draft | Fault]:
    """See Format. The place is the entry in the bundle; that of a thread is its first entry."""
    found = file.whole()
    if isinstance(found, Fault):
        yield found
        return
    text, repaired = found
    try:
        bundle = loaded(text)
        if not isinstance(bundle, dict) or not isinstance(bundle.get("resourceType"), str):
            raise Refused("no FHIR resource")
    except Refused as refused:
        whole = text.rstrip().endswith(("}", "]")) or not text.strip()
        reason = refused.reason if whole or "JSON" not in refused.reason else "cut off at the end of the file"
        yield Fault(0, ONE_A_LINE if _one_a_line(text) else reason, refused.detail, shown(text))
        return
    entries = bundle.get("entry", []) if bundle["resourceType"] == "Bundle" else [{"resource": bundle}]
    if not isinstance(entries, list):
        yield Fault(0, "no FHIR resource", "entry is no list")
        return
    placed: list[Placed] = []
    for place, entry in enumerate(entries, start=1):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            placed.append((place, resource))
        else:
            yield Fault(place, "an entry without a resource")
    for item in drafts(placed, rule):
        yield item if isinstance(item, Fault) or not repaired else _repaired(item)


def _one_a_line(text: str) -> bool:
    first, _, rest = text.lstrip().partition("\n")
    try:
        resource = loaded(first) if rest.strip() else None
    except Refused:
        return False
    return isinstance(resource, dict) and "resourceType" in resource


def _repaired(draft: Draft) -> Draft:
    return Draft(draft.place, draft.turns, draft.facts, repaired=True)


def drafts(resources: Iterable[Placed], rule: SourceRule) -> Iterator[Draft | Fault]:
    """Records of resources that belong together, in the order of their places."""
    people: dict[str, _Patient] = {}
    messages: list[Placed] = []
    documents: list[Placed] = []
    consents: list[Resource] = []
    for place, resource in resources:
        match resource.get("resourceType"):
            case "Patient":
                patient = _patient(resource)
                people[patient.reference] = patient
            case "Consent":
                consents.append(resource)
                if not permits(resource) and not _names_somebody(resource.get("patient")):
                    yield Fault(place, "a Consent that refuses and names no patient", raw=shown(str(resource)))
            case "Communication" | "DocumentReference" as kind:
                (messages if kind == "Communication" else documents).append((place, resource))
                if _withdrawn(resource):
                    yield Fault(place, "entered in error, or not done", raw=shown(str(resource)))
    agreed = _consents(consents)
    pieces = [*_threads(messages).items(), *(("", [document]) for document in documents)]
    # Withdrawn ones are left out only now: answers to them belong to their thread.
    valid = [(thread, [one for one in members if not _withdrawn(one[1])]) for thread, members in pieces]
    for thread, members in sorted(filter(lambda piece: piece[1], valid), key=lambda piece: piece[1][0][0]):
        yield _piece(thread, members, people, agreed, rule)


@dataclass(frozen=True, slots=True)
class _Patient:
    reference: str
    number: str
    names: tuple[str, ...]
    birth: str
    groups: Mapping[str, str]


def _piece(
    thread: str,
    members: list[Placed],
    people: Mapping[str, _Patient],
    agreed: Mapping[str, bool],
    rule: SourceRule,
) -> Draft | Fault:
    """The resources of a thread, or a document, as a record."""
    place, foremost = members[0]
    ordered = [member[1] for member in sorted(members, key=lambda member: (_sent(member[1]), member[0]))]
    named = next(filter(None, (_reference(one.get("subject")) for one in ordered)), "")
    subjects = [_reference(one.get("subject")) or named for one in ordered]
    parts = []
    for one, subject in zip(ordered, subjects, strict=True):
        patient = people.get(subject, _Patient(subject, _bare(subject), (), "", {}))
        parts.append(_fields(one, thread, patient, agreed.get(subject), rule))
    told = Gathered()
    try:
        turns, names = _turns(ordered, rule)
        for part in parts:
            told.add(facts(part, rule))
        called = [name for subject in dict.fromkeys(subjects) if subject in people for name in people[subject].names]
        return Draft(place, turns, told.facts([*called, *names]))
    except Refused as refused:
        for part in parts:
            told.add(whose(part, rule))
        return Fault(place, refused.reason, refused.detail, shown(str(foremost)), told.whose())


def _turns(ordered: list[Resource], rule: SourceRule) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    first = ordered[0]
    turns, names = _said(ordered, rule) if first["resourceType"] == "Communication" else _document(first, rule)
    if not turns:
        raise Refused("a FHIR resource without text")
    return turns, names


def _fields(
    resource: Resource, thread: str, patient: _Patient, agreed: bool | None, rule: SourceRule
) -> dict[str, Any]:
    """What one resource tells of its thread, by the keys of the rule; ``agreed`` is what the patient's Consent says."""
    get: dict[str, Any] = {
        "groups": {name: value for name, value in patient.groups.items() if name != "language"},
        "topic": _concept(resource.get("topic")),
        "language": patient.groups.get("language", ""),
        **_extensions(resource),
        rule.key("patient"): patient.number,
        rule.key("conversation"): _bare(thread),
        rule.key("date"): _text(resource, "sent") or _text(resource, "date"),
        rule.key("birth_date"): patient.birth,
    }
    agreements = {yes_or_no(get.get(rule.key("consent"))), agreed}
    get[rule.key("consent")] = False if False in agreements else True if True in agreements else None
    return get


def _withdrawn(resource: Resource) -> bool:
    return any(_text(resource, key) in _WITHDRAWN for key in ("status", "docStatus"))


def _sent(resource: Resource) -> datetime:
    """When a message was sent; before all others where that is not told. A time without a zone is taken for UTC."""
    text = _text(resource, "sent").strip()
    try:
        # A year or a month alone is its first day.
        moment = datetime.fromisoformat(f"{text}-01-01"[:10] if len(text) in (4, 7) else text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _extensions(resource: Resource) -> dict[str, Any]:
    """Simple values of extensions by the last part of their address."""
    found: dict[str, Any] = {}
    for extension in _items(resource.get("extension")):
        values = [value for key, value in extension.items() if key.startswith("value")]
        if values and isinstance(values[0], str | bool):
            found[_text(extension, "url").rsplit("/", 1)[-1]] = values[0]
    return found


def _bare(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def _said(messages: list[Resource], rule: SourceRule) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Turns of a thread; a message that holds a whole labelled transcript is taken apart."""
    said: list[tuple[Speaker, str]] = []
    names: list[str] = []
    for message in messages:
        text = "\n".join(_payload(part) for part in _items(message.get("payload")))
        if not text.strip():
            continue
        try:
            turns, found = labels_turns(text.split("\n"), rule)
            said += [(turn.speaker, turn.text) for turn in turns]
            names += found
            continue
        except Refused as refused:
            if refused.reason != "no speaker labels":
                raise
        sender = _reference(message.get("sender"))
        side = speaker(sender.split("/")[-2] if "/" in sender else "", rule)
        if side is None:
            raise Refused("unknown speaker", sender[:80])
        said.append((side[0], text))
        display = _inside(message.get("sender")).get("display")
        names += [display] if isinstance(display, str) else []
    return merged(said), tuple(dict.fromkeys(names))


def _document(document: Resource, rule: SourceRule) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    texts = [_attachment(content.get("attachment")) for content in _items(document.get("content"))]
    text = "\n".join(filter(None, texts))
    authors = [author.get("display") for author in _items(document.get("author"))]
    names = tuple(name for name in authors if isinstance(name, str))
    if rule.kind == "transcript":
        turns, found = labels_turns(text.split("\n"), rule)
        return turns, (*names, *found)
    return merged([("staff", text)]), names


def _payload(part: Resource) -> str:
    return _text(part, "contentString") or _attachment(part.get("contentAttachment"))


def _attachment(attachment: Any) -> str:
    """The text of an attachment. Raises Refused: not base64, too large, not plain text, only an address."""
    if not isinstance(attachment, dict):
        return ""
    kind = _text(attachment, "contentType").split(";")[0].strip().casefold()
    if kind not in _PLAIN_TYPES:
        raise Refused("an attachment that is no plain text", kind[:80])
    data = attachment.get("data")
    if not isinstance(data, str):
        raise Refused("an attachment without data")
    if len(data) > _MOST_BYTES * 4 // 3 + 4:
        raise Refused("an attachment that is too large")
    try:
        raw = base64.b64decode(re.sub(r"\s+", "", data), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("an attachment that is not base64") from None
    text = decoded(raw)
    if text is None or b"\0" in raw:
        raise Refused("an attachment that is no plain text")
    return text[0]


def _patient(resource: Resource) -> _Patient:
    numbers = [_text(item, "value") for item in _items(resource.get("identifier"))]
    names = []
    for name in _items(resource.get("name")):
        parts = [part for part in [*_words(name.get("given")), _text(name, "family")] if part]
        names.append(_text(name, "text") or " ".join(parts))
    groups = {"sex": _text(resource, "gender")}
    for item in _items(resource.get("communication")):
        code = next((_text(c, "code") for c in _items(_inside(item.get("language")).get("coding"))), "")
        groups.setdefault("language", code.split("-")[0])
    for extension in _items(resource.get("extension")):
        group = _EXTENSIONS.get(_text(extension, "url").rsplit("/", 1)[-1], "")
        texts = [_text(part, "valueString") for part in _items(extension.get("extension"))]
        if group:
            groups[group] = next(filter(None, texts), "") or _text(extension, "valueCode")
    reference = f"Patient/{_text(resource, 'id')}"
    number = next(filter(None, numbers), "") or _text(resource, "id")
    known = {group: value.casefold() for group, value in groups.items() if value}
    return _Patient(reference, number, tuple(filter(None, names)), iso_date(_text(resource, "birthDate")), known)


def _consents(resources: list[Resource]) -> dict[str, bool]:
    """By patient's reference; where consents contradict each other, no."""
    found: dict[str, bool] = {}
    for resource in resources:
        who = _reference(resource.get("patient"))
        found[who] = permits(resource) and found.get(who, True)
    return found


def permits(consent: Resource) -> bool:
    """Whether a Consent says yes; what is not active or not plainly yes says no."""
    kind = _text(_inside(consent.get("provision")), "type")
    return _text(consent, "status") == "active" and yes_or_no(kind or "permit") is True


def _names_somebody(who: Any) -> bool:
    return bool(_reference(who) or _text(_inside(_inside(who).get("identifier")), "value"))


def _threads(messages: list[Placed]) -> dict[str, list[Placed]]:
    """Messages by the one that they all go back to, or by its encounter."""
    by_name = {_name(placed): placed[1] for placed in messages}
    roots = _roots(by_name)
    threads: defaultdict[str, list[Placed]] = defaultdict(list)
    for placed in messages:
        root = roots[_name(placed)]
        threads[_reference(by_name.get(root, {}).get("encounter")) or root].append(placed)
    return dict(threads)


def _name(placed: Placed) -> str:
    place, message = placed
    return f"Communication/{_text(message, 'id') or place}"


def _roots(by_name: Mapping[str, Resource]) -> dict[str, str]:
    """For each message the one that it goes back to. Each is looked at once, however long the chains are; messages that
    answer each other in a circle go back to the same one of them.
    """
    roots: dict[str, str] = {}
    for name in by_name:
        way: dict[str, None] = {}
        while name not in roots and name not in way:
            way[name] = None
            name = _before(by_name.get(name, {})) or name
        roots.update(dict.fromkeys(way, roots.get(name, name)))
    return roots


def _before(message: Resource) -> str:
    for name in ("partOf", "inResponseTo"):
        for item in _items(message.get(name)):
            if reference := _reference(item):
                return reference
    return ""


def _reference(value: Any) -> str:
    return reference_of(_inside(value).get("reference"))


def reference_of(address: Any) -> str:
    """Kind and id out of an address, absolute or not, of any version of a resource; other addresses as they are."""
    text = address.strip().partition("/_history")[0] if isinstance(address, str) else ""
    return "/".join(text.split("/")[-2:]) if "/" in text else text


def _concept(value: Any) -> str:
    concept = _inside(value)
    codings = (_text(coding, "display") for coding in _items(concept.get("coding")))
    return _text(concept, "text") or next(filter(None, codings), "")


def _text(item: Resource, key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _inside(value: Any) -> Resource:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _words(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
