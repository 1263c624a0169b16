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
from training.curate.formats.field_names import told
from training.curate.formats.json_text import loaded
from training.curate.formats.reading import SourceFile, shown
from training.curate.formats.references import (
    Entries,
    Placed,
    Resource,
    identifier_of,
    inside,
    items_of,
    number_of,
    text_of,
    words_of,
)
from training.curate.formats.speech import labels_turns, merged, speaker
from training.curate.records import Speaker, Turn

_MOST_BYTES = 2_000_000
"""Decoded bytes of one attachment."""
ONE_A_LINE = "FHIR resources one a line are not read: put them into a Bundle"
"""The reason why they are set aside."""
_WITHDRAWN = ("entered-in-error", "not-done")
_PLAIN_TYPES = ("text/plain", "text/markdown", "")
_EXTENSIONS = {"us-core-race": "race", "us-core-ethnicity": "ethnicity", "us-core-birthsex": "birth_sex"}


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
    addresses: dict[int, str] = {}
    for place, entry in enumerate(entries, start=1):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            placed.append((place, resource))
            addresses[place] = text_of(entry, "fullUrl")
        else:
            yield Fault(place, "an entry without a resource")
    for item in drafts(placed, rule, addresses):
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


def drafts(
    resources: Iterable[Placed], rule: SourceRule, addresses: Mapping[int, str] | None = None
) -> Iterator[Draft | Fault]:
    """Records of resources that belong together, in the order of their places; ``addresses`` are the ``fullUrl`` of
    their entries by place.
    """
    placed = list(resources)
    entries = Entries(placed, addresses or {})
    messages: list[Placed] = []
    documents: list[Placed] = []
    consents: list[Placed] = []
    for place, resource in placed:
        match resource.get("resourceType"):
            case "Consent":
                consents.append((place, resource))
                if not permits(resource) and not _names_somebody(resource.get("patient")):
                    yield Fault(place, "a Consent that refuses and names no patient", raw=shown(str(resource)))
            case "Communication" | "DocumentReference" as kind:
                (messages if kind == "Communication" else documents).append((place, resource))
                if _withdrawn(resource):
                    yield Fault(place, "entered in error, or not done", raw=shown(str(resource)))
    agreed = _consents(consents, entries)
    pieces = [*_threads(messages, entries).items(), *(("", [document]) for document in documents)]
    # Withdrawn ones are left out only now: answers to them belong to their thread.
    valid = [(thread, [one for one in members if not _withdrawn(one[1])]) for thread, members in pieces]
    for thread, members in sorted(filter(lambda piece: piece[1], valid), key=lambda piece: piece[1][0][0]):
        yield _piece(thread, members, entries, agreed, rule)


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
    entries: Entries,
    agreed: Mapping[str, bool],
    rule: SourceRule,
) -> Draft | Fault:
    """The resources of a thread, or a document, as a record."""
    place, foremost = members[0]
    ordered = sorted(members, key=lambda member: (_sent(member[1]), member[0]))
    told_of = [entries.name(at, one.get("subject")) for at, one in ordered]
    named = next(filter(None, told_of), "")
    subjects = [subject or named for subject in told_of]
    people = {subject: _subject(subject, entries) for subject in dict.fromkeys(subjects)}
    parts = [
        _fields(one, thread, people[subject], agreed.get(subject), rule)
        for (_, one), subject in zip(ordered, subjects, strict=True)
    ]
    gathered = Gathered()
    try:
        turns, names = _turns(ordered, named, entries, rule)
        for part in parts:
            gathered.add(facts(part, rule))
        called = [name for patient in people.values() for name in patient.names]
        shown_as = [text_of(inside(one.get("subject")), "display") for _, one in ordered]
        return Draft(place, turns, gathered.facts(filter(None, dict.fromkeys([*called, *shown_as, *names]))))
    except Refused as refused:
        for part in parts:
            gathered.add(whose(part, rule))
        return Fault(place, refused.reason, refused.detail, shown(str(foremost)), gathered.whose())


def _subject(name: str, entries: Entries) -> _Patient:
    """The patient of an entry, or of one that is in none: what she is called is then all that is known."""
    resource = entries.resource(name)
    return _patient(resource, name) if resource.get("resourceType") == "Patient" else _nobody(name)


def _nobody(name: str) -> _Patient:
    return _Patient(name, _bare(name), (), "", {})


def _turns(
    ordered: list[Placed], patient: str, entries: Entries, rule: SourceRule
) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    first = ordered[0][1]
    said = _said(ordered, patient, entries, rule) if first["resourceType"] == "Communication" else None
    turns, names = said or _document(first, rule)
    if not turns:
        raise Refused("a FHIR resource without text")
    return turns, names


def _fields(
    resource: Resource, thread: str, patient: _Patient, agreed: bool | None, rule: SourceRule
) -> dict[str, Any]:
    """What one resource tells of its thread, by the keys of the rule; ``agreed`` is what the patient's Consent says."""
    own = [
        *_extensions(resource),
        ("topic", _concept(resource.get("topic"))),
        ("language", patient.groups.get("language", "")),
    ]
    get = told(own, rule)
    known = {
        rule.key("patient"): patient.number,
        rule.key("conversation"): _bare(thread),
        rule.key("date"): text_of(resource, "sent") or text_of(resource, "date"),
        rule.key("birth_date"): patient.birth,
    }
    get |= {key: value for key, value in known.items() if value}
    get["groups"] = {name: value for name, value in patient.groups.items() if name != "language"}
    agreements = {yes_or_no(get.get(rule.key("consent"))), agreed}
    if agreements != {None}:
        get[rule.key("consent")] = False not in agreements
    return get


def _withdrawn(resource: Resource) -> bool:
    return any(text_of(resource, key) in _WITHDRAWN for key in ("status", "docStatus"))


def _sent(resource: Resource) -> datetime:
    """When a message was sent; before all others where that is not told. A time without a zone is taken for UTC."""
    text = text_of(resource, "sent").strip()
    try:
        # A year or a month alone is its first day.
        moment = datetime.fromisoformat(f"{text}-01-01"[:10] if len(text) in (4, 7) else text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _extensions(resource: Resource) -> Iterator[tuple[str, str | bool]]:
    """Simple values of extensions by the last part of their address."""
    for extension in items_of(resource.get("extension")):
        values = [value for key, value in extension.items() if key.startswith("value")]
        if values and isinstance(values[0], str | bool):
            yield text_of(extension, "url").rsplit("/", 1)[-1], values[0]


def _bare(name: str) -> str:
    return name.partition("?")[2] or name.rsplit("/", 1)[-1]


def _said(
    messages: list[Placed], patient: str, entries: Entries, rule: SourceRule
) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Turns of a thread; a message that holds a whole labelled transcript is taken apart."""
    said: list[tuple[Speaker, str]] = []
    names: list[str] = []
    for place, message in messages:
        text = "\n".join(_payload(part) for part in items_of(message.get("payload")))
        if not text.strip():
            continue
        sender = message.get("sender")
        who = entries.name(place, sender)
        names += [text_of(inside(sender), "display"), *_names(entries.resource(who))]
        try:
            turns, found = labels_turns(text.split("\n"), rule)
            said += [(turn.speaker, turn.text) for turn in turns]
            names += found
            continue
        except Refused as refused:
            if refused.reason != "no speaker labels":
                raise
        kind = "Patient" if who and who == patient else entries.kind(who) or text_of(inside(sender), "type")
        side = speaker(kind, rule)
        if side is None:
            raise Refused("unknown speaker", who[:80])
        said.append((side[0], text))
    return merged(said), tuple(filter(None, dict.fromkeys(names)))


def _document(document: Resource, rule: SourceRule) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    texts = [_attachment(content.get("attachment")) for content in items_of(document.get("content"))]
    text = "\n".join(filter(None, texts))
    authors = [author.get("display") for author in items_of(document.get("author"))]
    names = tuple(name for name in authors if isinstance(name, str))
    if rule.kind == "transcript":
        turns, found = labels_turns(text.split("\n"), rule)
        return turns, (*names, *found)
    return merged([("staff", text)]), names


def _payload(part: Resource) -> str:
    return text_of(part, "contentString") or _attachment(part.get("contentAttachment"))


def _attachment(attachment: Any) -> str:
    """The text of an attachment. Raises Refused: not base64, too large, not plain text, only an address."""
    if not isinstance(attachment, dict):
        return ""
    kind = text_of(attachment, "contentType").split(";")[0].strip().casefold()
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


def _names(resource: Resource) -> list[str]:
    names = []
    for name in items_of(resource.get("name")):
        parts = [part for part in [*words_of(name.get("given")), text_of(name, "family")] if part]
        names.append(text_of(name, "text") or " ".join(parts))
    return [name for name in names if name]


def _patient(resource: Resource, name: str) -> _Patient:
    groups = {"sex": text_of(resource, "gender")}
    for item in items_of(resource.get("communication")):
        code = next((text_of(c, "code") for c in items_of(inside(item.get("language")).get("coding"))), "")
        groups.setdefault("language", code.split("-")[0])
    for extension in items_of(resource.get("extension")):
        group = _EXTENSIONS.get(text_of(extension, "url").rsplit("/", 1)[-1], "")
        texts = [text_of(part, "valueString") for part in items_of(extension.get("extension"))]
        if group:
            groups[group] = next(filter(None, texts), "") or text_of(extension, "valueCode")
    # The id of a resource inside another is nobody's elsewhere.
    number = number_of(resource) or ("" if "#" in name else text_of(resource, "id") or _bare(name))
    known = {group: value.casefold() for group, value in groups.items() if value}
    return _Patient(name, number, tuple(_names(resource)), iso_date(text_of(resource, "birthDate")), known)


def _consents(resources: list[Placed], entries: Entries) -> dict[str, bool]:
    """By patient; where consents contradict each other, no."""
    found: dict[str, bool] = {}
    for place, resource in resources:
        who = entries.name(place, resource.get("patient"))
        found[who] = permits(resource) and found.get(who, True)
    found.pop("", None)
    return found


def permits(consent: Resource) -> bool:
    """Whether a Consent says yes; what is not active or not plainly yes says no."""
    kind = text_of(inside(consent.get("provision")), "type")
    return text_of(consent, "status") == "active" and yes_or_no(kind or "permit") is True


def _names_somebody(who: Any) -> bool:
    return bool(text_of(inside(who), "reference").strip() or identifier_of(who))


def _threads(messages: list[Placed], entries: Entries) -> dict[str, list[Placed]]:
    """Messages by the one that they all go back to, or by its encounter."""
    by_name = {entries.named[placed[0]]: placed for placed in messages}
    before = {name: _before(placed, entries) for name, placed in by_name.items()}
    roots = _roots(before)
    threads: defaultdict[str, list[Placed]] = defaultdict(list)
    for placed in messages:
        root = roots[entries.named[placed[0]]]
        place, first = by_name.get(root, (0, {}))
        threads[entries.name(place, first.get("encounter"), "Encounter") or root].append(placed)
    return dict(threads)


def _before(placed: Placed, entries: Entries) -> str:
    place, message = placed
    for name in ("partOf", "inResponseTo"):
        for item in items_of(message.get(name)):
            if found := entries.name(place, item, "Communication"):
                return found
    return ""


def _roots(before: Mapping[str, str]) -> dict[str, str]:
    """For each message the one that it goes back to. Each is looked at once, however long the chains are; messages that
    answer each other in a circle go back to the same one of them.
    """
    roots: dict[str, str] = {}
    for name in before:
        way: dict[str, None] = {}
        while name not in roots and name not in way:
            way[name] = None
            name = before.get(name) or name
        roots.update(dict.fromkeys(way, roots.get(name, name)))
    return roots


def _concept(value: Any) -> str:
    concept = inside(value)
    codings = (text_of(coding, "display") for coding in items_of(concept.get("coding")))
    return text_of(concept, "text") or next(filter(None, codings), "")
