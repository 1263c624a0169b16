"""The fixed texts that patients read in place of the model's words: English and Spanish, from the bundle."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from typing import get_args

from app.contracts.site import Contact, Route, Site
from app.errors import ConfigurationError, PolicyRefused

_SITE = ("name", "short_name", "portal", "phone", "retention_days", "assistant")
_PARTS = ("label", "phone", "reach", "Reach", "hours", "note")
_NEEDED = {"phone": "phone", "reach": "phone or text_line", "Reach": "phone or text_line", "hours": "hours"}
_ORDER = ("label", *dict.fromkeys(_NEEDED.values()))
_LITERAL_NUMBER = re.compile(r"\d{3,}|\d-\d")


def _key(route: str) -> str:
    """The name of a route in a field, which cannot begin with a digit."""
    return f"r{route}" if route[0].isdigit() else route


_ROUTE_FIELDS = {f"{_key(route)}_{part}": (route, part) for route in get_args(Route) for part in _PARTS}
FIELDS = frozenset({*_SITE, *_ROUTE_FIELDS})
"""The fields that a text may use."""


class Catalogue:
    """Renders texts with a site's names and numbers.

    A text may use ``{name}``, ``{short_name}``, ``{portal}``, ``{phone}``, ``{retention_days}``, ``{assistant}`` and,
    for each route (``r911`` and ``r988`` for those two):

    - ``{route_label}``, ``{route_phone}`` and ``{route_hours}`` ("day and night" for a line that always answers),
    - ``{route_reach}``: how it is reached, "call or text 988" ("Call or text 988" as ``{route_Reach}``),
    - ``{route_note}``: whole sentences of the site about the line, often none.
    """

    def __init__(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        self._texts = texts

    @property
    def ids(self) -> tuple[str, ...]:
        """All text ids."""
        return tuple(self._texts)

    def render(self, text_id: str, language: str, site: Site) -> str:
        """The text in ``language`` (English where it has no such form). Raises ConfigurationError for an unknown id or field."""  # noqa: E501
        forms = self._texts.get(text_id)
        if forms is None:
            raise ConfigurationError(f"the policy bundle has no text {text_id!r}")
        code = language.split("-")[0].lower()
        form = forms.get(code) or forms["en"]
        try:
            said = string.Formatter().vformat(form, (), _values(site, code if code in forms else "en"))
        except (KeyError, ValueError, IndexError) as error:
            raise ConfigurationError(
                f"the text {text_id!r} uses a field that this site does not have: {error}"
            ) from error
        return re.sub(r" {2,}", " ", said).strip()

    def require(self, site: Site, bundle: str) -> None:
        """Raise PolicyRefused that names, for each route, what the texts need and the site does not give.

        A text that writes a number itself is refused too: it would be shown to patients of every country.
        """
        if faults := self.faults(site.contacts):
            raise PolicyRefused(f"{bundle} for the site {site.id}", faults, lister="bedside site check")

    def faults(self, contacts: Mapping[Route, Contact]) -> list[str]:
        """A sentence, with the mend, for each number that a text writes itself, and each route of which the texts need
        what ``contacts`` do not give.
        """
        return [*self._written_out(), *self._lacking(contacts)]

    def _lacking(self, contacts: Mapping[Route, Contact]) -> list[str]:
        missing: dict[Route, dict[str, None]] = {}
        users: dict[Route, dict[str, None]] = {}
        for text_id, forms in self._texts.items():
            for language, form in forms.items():
                filled = _values_of(contacts, language)
                for field in _fields(form):
                    if field in _ROUTE_FIELDS and field not in filled:
                        route, part = _ROUTE_FIELDS[field]
                        missing.setdefault(route, {})[_NEEDED.get(part, part)] = None
                        users.setdefault(route, {})[text_id] = None
        return [_lacks(route, list(parts), list(users[route]), contacts) for route, parts in missing.items()]

    def _written_out(self) -> Iterator[str]:
        for text_id, forms in self._texts.items():
            for language, form in forms.items():
                for literal, _, _, _ in string.Formatter().parse(form):
                    if number := _LITERAL_NUMBER.search(literal):
                        yield f"text {text_id}, {language}: write {number[0]!r} as a field, such as {{r911_phone}}"


def _fields(form: str) -> list[str]:
    return [field for _, field, _, _ in string.Formatter().parse(form) if field is not None]


def _lacks(route: Route, parts: list[str], texts: list[str], contacts: Mapping[Route, Contact]) -> str:
    if route in contacts:
        state = f"lacks {', '.join(parts)}"
    else:
        needed = {"label", *parts} - {"note"}  # a contact always has a label, and may do without a note
        if "phone" in needed:
            needed.discard(_NEEDED["reach"])
        state = f"is missing (needed: {', '.join(part for part in _ORDER if part in needed)})"
    others = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
    return f"contacts.{route} {state}, used in the text {texts[0]}{others}; give it in site.yaml"


def _values(site: Site, language: str) -> dict[str, str]:
    """The fields that the site can fill; one that it cannot fill is missing."""
    return {
        "name": site.name,
        "short_name": site.short_name,
        "portal": site.portal_name,
        "phone": site.phone,
        "retention_days": str(site.retention_days),
        "assistant": site.assistant_name,
        **_values_of(site.contacts, language),
    }


def _values_of(contacts: Mapping[Route, Contact], language: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for route, contact in contacts.items():
        given = {
            "label": contact.label_in(language),
            "phone": contact.phone or "",
            "reach": (reach := _reach(contact, spanish=language == "es")),
            "Reach": reach[:1].upper() + reach[1:],
            "hours": contact.hours_in(language),
        }
        values |= {f"{_key(route)}_{part}": words for part, words in given.items() if words}
        values[f"{_key(route)}_note"] = contact.note_in(language)
    return values


def _reach(contact: Contact, *, spanish: bool) -> str:
    """How a line is reached, as the end of a sentence: by phone, by text, or both."""
    phone, line, word = contact.phone, contact.text_line, contact.text_word
    if phone and phone == line and not word:
        return f"llame o escriba al {phone}" if spanish else f"call or text {phone}"
    ways = []
    if phone:
        ways.append(f"llame al {phone}" if spanish else f"call {phone}")
    if line and spanish:
        ways.append(f"envíe la palabra {word} al {line}" if word else f"escriba al {line}")
    elif line:
        ways.append(f"text {word} to {line}" if word else f"text {line}")
    return (" o " if spanish else " or ").join(ways)
