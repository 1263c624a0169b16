"""Resources of a FHIR bundle, and what references between them mean (FHIR R4, section 2.3, References)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

_IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_STATES = frozenset(("SS", "DL", "PPN"))
_ASKED = re.compile(r"[^?]*\?(?:.*&)?identifier=(?:[^|&]*(?:\||%7C))?(?P<value>[^|&]+)", re.IGNORECASE)

Resource = Mapping[str, Any]
Placed = tuple[int, Resource]


class Entries:
    """The resources of a bundle, each under one name, and what references mean there: ``Patient/5``, or the address of
    an entry without an id. A resource inside another has the name ``place#id``.
    """

    def __init__(self, placed: Iterable[Placed], addresses: Mapping[int, str]) -> None:
        self.named: dict[int, str] = {}
        """Names by place."""
        self._addresses = addresses
        self._home: dict[str, str] = {}
        self._resources: dict[str, Resource] = {}
        self._names: dict[str, str] = {}
        self._numbers: dict[tuple[str, str], str] = {}
        for place, resource in placed:
            address = _address(addresses.get(place))
            kind, number = text_of(resource, "resourceType"), text_of(resource, "id")
            typed = f"{kind}/{number or place}"
            # The same id at two servers is not the same resource.
            home = self._home.get(typed, "")
            elsewhere = bool(home and address and home != address)
            name = address if elsewhere or (address and not number) else typed
            self._home.setdefault(name, address)
            self._add(name, resource, filter(None, (address, typed if number else "", reference_of(address))))
            self.named[place] = name
            for inner in items_of(resource.get("contained")):
                self._add(f"{place}#{text_of(inner, 'id')}", inner, ())

    def _add(self, name: str, resource: Resource, names: Iterable[str]) -> None:
        self._resources[name] = resource
        for one in names:
            self._names.setdefault(one, name)
        for _, number in identifiers_of(resource):
            self._numbers.setdefault((text_of(resource, "resourceType"), number), name)

    def name(self, place: int, reference: Any, kind: str = "Patient") -> str:
        """The name of what the resource at a place refers to; '' where that is nobody. What is in no entry is called by
        its kind and id, or its kind, a question mark and its identifier; an identifier by itself is one of ``kind``.
        """
        address = _address(text_of(inside(reference), "reference"))
        if address.startswith("#"):
            return f"{place}{address}" if f"{place}{address}" in self._resources else ""
        if (not address or "?" in address) and (number := identifier_of(reference)):
            told_kind = address.partition("?")[0] or text_of(inside(reference), "type")
            return self._numbers.get((told_kind or kind, number), f"{told_kind}?{number}")
        home = self._addresses.get(place, "").rsplit("/", 2)[0]
        short = reference_of(address)
        found = self._names.get(address if ":" in address else f"{home}/{address}") or self._names.get(short)
        return (found or short) if address else ""

    def resource(self, name: str) -> Resource:
        """What has a name; empty for what is in no entry."""
        return self._resources.get(name, {})

    def kind(self, name: str) -> str:
        """The kind of what has a name, in the bundle or by the name alone."""
        return text_of(self.resource(name), "resourceType") or kind_of(name)


def _address(value: Any) -> str:
    """An address without blanks and version; an URN has no capitals that count."""
    text = value.strip().partition("/_history")[0] if isinstance(value, str) else ""
    return text.casefold() if text[:4].casefold() == "urn:" else text


def identifier_of(who: Any) -> str:
    """The identifier by which a reference names somebody, by itself (``Patient?identifier=system|value``) or beside the
    address; '' for none.
    """
    asked = _ASKED.match(text_of(inside(who), "reference"))
    return unquote(asked["value"]) if asked else text_of(inside(inside(who).get("identifier")), "value")


def reference_of(address: Any) -> str:
    """Kind and id out of an address, absolute or not, of any version of a resource; other addresses as they are."""
    text = _address(address)
    return "/".join(text.split("/")[-2:]) if "/" in text else text


def number_of(resource: Resource) -> str:
    """The identifier by which the hospital's other files most likely know a patient: the medical record number, else
    the first that is no number of the state's (social security, driver's licence, passport), else the first; '' for
    none.
    """
    return min(identifiers_of(resource), key=lambda found: found[0], default=(0, ""))[1]


def identifiers_of(resource: Resource) -> Iterator[tuple[int, str]]:
    """Each identifier with its rank: 0 the medical record number, 2 a number of the state's, 1 any other."""
    for item in items_of(resource.get("identifier")):
        if value := text_of(item, "value"):
            codings = items_of(inside(item.get("type")).get("coding"))
            codes = {
                text_of(coding, "code") for coding in codings if text_of(coding, "system") in ("", _IDENTIFIER_TYPES)
            }
            states = bool(codes & _STATES) or "ssn" in text_of(item, "system").casefold()
            yield (0 if "MR" in codes else 2 if states else 1), value


def kind_of(name: str) -> str:
    """The kind of resource that a name or an address tells; '' where it tells none."""
    return name.partition("?")[0] if "?" in name else name.split("/")[-2] if "/" in name else ""


def text_of(item: Resource, key: str) -> str:
    """The text under a key; '' for anything else."""
    value = item.get(key)
    return value if isinstance(value, str) else ""


def inside(value: Any) -> Resource:
    """The object that a value is; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def items_of(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def words_of(value: Any) -> list[str]:
    """The texts of a list; none for anything else."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
