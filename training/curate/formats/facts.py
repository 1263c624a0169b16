"""Beside the words: who, when, about what, and whether it may be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from training.curate.formats.contract import FieldName, Refused, SourceRule
from training.curate.formats.drafts import Facts
from training.curate.formats.encoding import cleaned

_YES = frozenset("true yes y 1 given granted active permit consented opt-in optin si sí".split())
_ISO = re.compile(r"(?P<year>(?:19|20)[0-9]{2})(?:-?(?P<month>[0-9]{2})(?:-?(?P<day>[0-9]{2}))?)?(?:[T ].*)?\Z")
_US = re.compile(r"(?P<month>[0-9]{1,2})[/.\-](?P<day>[0-9]{1,2})[/.\-](?P<year>(?:19|20)[0-9]{2})\b")
_LONGEST = 200
"""Characters of a value; before it is cleaned, ten times as many."""
MOST_GROUPS = 50
"""Groups that one record names: each is looked at for identifiers, and is a dimension of bias."""
AGE_BANDS = ((18, "0-17"), (35, "18-34"), (50, "35-49"), (65, "50-64"), (80, "65-79"), (90, "80-89"))
"""First age that is no longer in a band, and the band's name; from 90 on all ages are one."""


def facts(get: Mapping[str, Any], rule: SourceRule, names: Iterable[str] = ()) -> Facts:
    """Facts of a record by the rule's keys (:func:`training.curate.formats.field_names.told`). ``names`` are those that
    stood elsewhere. Raises Refused where a value is too long or the groups are too many.
    """

    def word(key: str) -> str:
        return _word(get.get(key), key)

    when = iso_date(word(rule.key("date")))
    groups = {name: word(key).casefold() for name, key in rule.groups.items()}
    given = get.get("groups")
    if isinstance(given, Mapping):
        if len(given) > MOST_GROUPS:
            raise Refused("too many groups", f"{len(given)}, at most {MOST_GROUPS}")
        told = {_word(name, "groups"): _word(value, "groups").casefold() for name, value in given.items()}
        groups = told | {name: value for name, value in groups.items() if value}
    band = age_band(word(rule.key("age")), iso_date(word(rule.key("birth_date"))), when)
    if band and not groups.get("age_band"):
        groups["age_band"] = band
    named = [word(rule.key("name")), *(_word(name, "name") for name in names)]
    return Facts(
        patient=word(rule.key("patient")) or None,
        conversation=word(rule.key("conversation")) or None,
        topic=word(rule.key("topic")).casefold() or rule.topic,
        language=word(rule.key("language")).casefold() or rule.language,
        date=when,
        licence=word(rule.key("licence")) or rule.licence,
        consent=yes_or_no(get.get(rule.key("consent"))),
        resolved=yes_or_no(get.get(rule.key("resolved"))),
        names=tuple(dict.fromkeys(name for name in named if name)),
        groups={name: value for name, value in sorted(groups.items()) if name and value},
        seen=frozenset(get),
    )


def whose(get: Mapping[str, Any], rule: SourceRule) -> Facts:
    """Of a piece that is set aside, what counts for others all the same: patient, conversation and consent. A value
    that is too long is left out.
    """

    def word(name: FieldName) -> str | None:
        try:
            return _word(get.get(rule.key(name)), name) or None
        except Refused:
            return None

    consent = yes_or_no(get.get(rule.key("consent")))
    return Facts(patient=word("patient"), conversation=word("conversation"), consent=consent, seen=frozenset(get))


class Gathered:
    """Facts of a record that comes in parts (rows, messages): each part tells its own."""

    def __init__(self) -> None:
        self._first: Facts | None = None
        self._patients: dict[str, None] = {}
        self._names: dict[str, None] = {}
        self._licences: dict[str, None] = {}
        self._consents: set[bool | None] = set()
        self._seen: frozenset[str] = frozenset()

    def add(self, part: Facts) -> None:
        """Take in the facts of the next part."""
        self._first = self._first or part
        self._patients |= {part.patient: None} if part.patient else {}
        self._names |= dict.fromkeys(part.names)
        self._licences[part.licence] = None
        self._consents.add(part.consent)
        self._seen |= part.seen

    def facts(self, names: Iterable[str] = ()) -> Facts:
        """Those of the first part, with what counts whichever part says it: all patients and names, also ``names`` that
        stood elsewhere; no consent where one part refuses, and none told where one does not tell; no licence where one
        has none. Raises Refused for parts under several licences and for a name that is too long.
        """
        if "" not in self._licences and len(self._licences) > 1:
            raise Refused("several licences in one record")
        told = self.whose()
        return replace(
            self._first or Facts(),
            patient=told.patient,
            others=told.others,
            names=tuple(self._names | dict.fromkeys(word for name in names if (word := _word(name, "name")))),
            licence=min(self._licences, default=""),
            consent=told.consent,
            seen=told.seen,
        )

    def whose(self) -> Facts:
        """What counts for others even where the record is set aside, see :func:`whose`."""
        patients, consents = tuple(self._patients), self._consents
        return Facts(
            patient=patients[0] if patients else None,
            others=patients[1:],
            conversation=self._first.conversation if self._first else None,
            consent=False if False in consents else True if consents == {True} else None,
            seen=self._seen,
        )


def _word(value: Any, key: str) -> str:
    """A value as one clean line, '' for none and for what holds others. Raises Refused, with the key, if too long."""
    if value is None or isinstance(value, list | dict):
        return ""
    text = str(value)
    if len(text) <= 10 * _LONGEST:
        text = cleaned(text)[0].replace("\n", " ")
    if len(text) > _LONGEST:
        raise Refused("a field is too long", key)
    return text


def yes_or_no(value: Any) -> bool | None:
    """What a field of consent or outcome says; what is not plainly yes counts as no. None where it is empty."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, list | dict):
        return False
    word = str(value).strip().casefold()
    return (word in _YES) if word else None


def iso_date(text: str) -> str:
    """A date as YYYY-MM-DD, YYYY-MM or YYYY; '' if it is none. Written with slashes, the month comes first."""
    match = _ISO.match(text.strip()) or _US.match(text.strip())
    if match is None:
        return ""
    year, month, day = match["year"], match["month"], match["day"]
    try:
        whole = date(int(year), int(month or 1), int(day or 1)).isoformat()
    except ValueError:
        return ""
    return whole if day else whole[:7] if month else year


def age_band(age: str, birth: str, when: str) -> str:
    """The band of an age in years, or of a birth date on a day (both ISO); '' where neither is known."""
    if age.isdecimal():
        years = int(age)
    elif len(birth) >= 4 and len(when) >= 4:
        years = int(when[:4]) - int(birth[:4]) - (len(birth) == len(when) == 10 and when[5:] < birth[5:])
    else:
        return ""
    if not 0 <= years <= 130:
        return ""
    return next((band for below, band in AGE_BANDS if years < below), "90+")
