"""Who refuses consent by a FHIR ``Consent``, in whatever file of the sources it stands.

What permits counts in its own bundle only (:mod:`training.curate.formats.fhir`): the same number may be another patient
elsewhere. A refusal counts everywhere, also in resources one a line, which are otherwise not read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from training.curate.formats.contract import FormatName, Refused
from training.curate.formats.drafts import Fault
from training.curate.formats.encoding import cleaned
from training.curate.formats.fhir import permits
from training.curate.formats.json_text import loaded
from training.curate.formats.reading import Line, SourceFile
from training.curate.formats.references import Resource, identifier_of, reference_of

_Name = tuple[str, str]
"""A patient's reference or number, and which of them it is: the same word may be another patient's number."""
_KINDS = ("Patient", "Consent")


class Refusals:
    """Grows file by file; :meth:`numbers` then names the patients who refuse. Holds ids alone."""

    def __init__(self) -> None:
        self._patients: list[tuple[frozenset[str], frozenset[str]]] = []
        self._references: set[str] = set()
        self._numbers: set[str] = set()

    def read(self, file: SourceFile, name: FormatName) -> None:
        """Take in a file's patients and their refusals; nothing of other formats. OSError where it cannot be read."""
        for address, resource in _resources(file, name):
            if resource["resourceType"] == "Patient":
                references = {f"Patient/{_word(resource.get('id'))}", reference_of(address)} - {"", "Patient/"}
                self._patients.append((frozenset(references), frozenset(_identifiers(resource.get("identifier")))))
            elif not permits(resource):
                who = resource.get("patient")
                if isinstance(who, Mapping):
                    self._references |= {_word(reference_of(who.get("reference")))} - {""}
                    self._numbers |= _identifiers([who.get("identifier")]) | {_word(identifier_of(who))} - {""}
                    self._numbers |= _inside_it(resource)

    def numbers(self) -> frozenset[str]:
        """How records name the patients who refuse: by an identifier, or by what their reference ends with."""
        # Each patient is looked at once for each of her names, however long the chains of shared identifiers are.
        called: defaultdict[_Name, list[_Name]] = defaultdict(list)
        for known, identifiers in self._patients:
            names = [*(("reference", one) for one in known), *(("number", one) for one in identifiers)]
            for name in names:
                called[name] += names if name == names[0] else names[:1]
        found: set[_Name] = set()
        waiting = [*(("reference", one) for one in self._references), *(("number", one) for one in self._numbers)]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += called.get(name, ())
        return frozenset(_word(one.rsplit("/", 1)[-1]) if kind == "reference" else one for kind, one in found)


def _resources(file: SourceFile, name: FormatName) -> Iterator[tuple[str, Resource]]:
    """Patients and consents of a file, each with its address in the bundle; what cannot be read is passed over here, as
    reading the records sets it aside.
    """
    if name == "jsonl":
        texts: Iterable[str] = (line.text for line in file.lines() if isinstance(line, Line))
        yield from _one_a_line(texts)
    elif name == "fhir":
        found = file.whole()
        if isinstance(found, Fault):
            return
        try:
            yield from _inside(loaded(found[0]))
        except Refused:
            yield from _one_a_line(found[0].split("\n"))


def _one_a_line(lines: Iterable[str]) -> Iterator[tuple[str, Resource]]:
    for line in lines:
        if "resourceType" in line and any(kind in line for kind in _KINDS):
            try:
                yield from _inside(loaded(line))
            except Refused:
                continue


def _inside(value: Any) -> Iterator[tuple[str, Resource]]:
    if not isinstance(value, Mapping):
        return
    entries = value.get("entry") if value.get("resourceType") == "Bundle" else [{"resource": value}]
    for entry in entries if isinstance(entries, list) else ():
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if isinstance(resource, Mapping) and resource.get("resourceType") in _KINDS:
            yield _word(entry.get("fullUrl")), resource


def _inside_it(consent: Resource) -> set[str]:
    """Identifiers of the patients that a Consent contains."""
    items = consent.get("contained")
    patients = [one for one in (items if isinstance(items, list) else ()) if isinstance(one, Mapping)]
    found = (_identifiers(one.get("identifier")) for one in patients if one.get("resourceType") == "Patient")
    return {number for numbers in found for number in numbers}


def _identifiers(value: Any) -> set[str]:
    items = value if isinstance(value, list) else ()
    return {_word(item.get("value")) for item in items if isinstance(item, Mapping)} - {""}


def _word(value: Any) -> str:
    """As a record holds it."""
    return cleaned(value)[0].replace("\n", " ") if isinstance(value, str) else ""
