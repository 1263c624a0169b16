"""``site.yaml``: all that is specific to one hospital, validated with the field's name in each error."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.errors import ConfigurationError, SiteRefused

Route = Literal[
    "911",
    "988",
    "poison_control",
    "maternal_mental_health",
    "domestic_violence",
    "child_abuse",
    "nurse_line",
    "pharmacist",
    "care_team",
    "human",
    "billing",
    "records",
    "portal_support",
]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


ALWAYS = "always"
"""The hours of a line that answers day and night; any other hours are plain words."""

_NUMBER = r"^[+(]?\d[\d ().-]*$"


class Contact(BaseModel):
    """A route that a patient can be sent to.

    ``phone`` and ``text_line`` are written as they are shown; ``text_word`` is what has to be sent to the text line.
    ``chat`` is a page of the line's own. Spanish forms (``_es``) may be left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    label_es: str = ""
    phone: str | None = Field(None, pattern=_NUMBER)
    text_line: str | None = Field(None, pattern=_NUMBER)
    text_word: str = Field("", pattern=r"^\w*$")
    chat: str | None = Field(None, pattern=r"^https://[^\s\"<>]+$")
    hours: str = ""
    hours_es: str = ""
    note: str = ""
    note_es: str = ""

    def label_in(self, language: str) -> str:
        """The name in a language (English where there is no Spanish form; the same for notes and hours)."""
        return (self.label_es if language == "es" else "") or self.label

    def note_in(self, language: str) -> str:
        """What the site says about the line."""
        return (self.note_es if language == "es" else "") or self.note

    def hours_in(self, language: str) -> str:
        """When it answers, in words."""
        if self.hours == ALWAYS:
            return "de día y de noche" if language == "es" else "day and night"
        return (self.hours_es if language == "es" else "") or self.hours


class OpenBlock(BaseModel):
    """One block in which people answer chats, local time of the site; a day may have several."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: list[Weekday]
    opens: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    closes: str = Field(pattern=r"^([01]\d|2[0-4]):[0-5]\d$")


class Department(BaseModel):
    """A department as patients know it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    phone: str
    location: str
    hours: str


class Site(BaseModel):
    """One hospital. Texts marked ``_es`` are its Spanish forms.

    National lines that ``contacts`` does not name come from the file of ``country`` (two letters, ISO 3166), if there
    is one; the lines of another country are never taken.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")
    name: str
    short_name: str
    tagline: str = ""
    timezone: str
    country: str = Field(pattern=r"^[A-Z]{2}$")
    address: str
    phone: str
    website: str
    portal_name: str
    languages: list[str] = Field(min_length=1)
    demonstration: bool = False
    assistant_name: str = "AI assistant"
    retention_days: int = Field(default=90, ge=1, le=36_500, strict=True)
    contacts: dict[Route, Contact]
    chat_hours: list[OpenBlock]
    departments: list[Department] = Field(default_factory=list)
    allowed_links: list[str] = Field(default_factory=list)
    frame_ancestors: list[str] = Field(default_factory=list)
    safe_exit_url: str = Field("https://www.weather.gov/", pattern=r"^https://[^\s\"<>]+$")

    @property
    def emergency_phone(self) -> str:
        """The number of the emergency services."""
        return self.contacts["911"].phone or ""

    @property
    def own_details(self) -> list[str]:
        """The hospital's own names, numbers, addresses and links, which are no identifiers of a patient."""
        contacts = [value for c in self.contacts.values() for value in (c.label, c.phone, c.text_line) if value]
        rooms = [detail for d in self.departments for detail in (d.name, d.phone, d.location)]
        names = (self.name, self.short_name, self.portal_name)
        return sorted({*contacts, *rooms, *names, self.phone, self.address, self.website, *self.allowed_links})

    @model_validator(mode="before")
    @classmethod
    def _national_lines(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("contacts"), dict):
            return data
        return {**data, "contacts": {**national_lines(str(data.get("country"))), **data["contacts"]}}

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except Exception as error:
            raise ValueError(f"{value!r} is not a time zone of the tz database, such as America/Chicago") from error
        return value

    @field_validator("frame_ancestors")
    @classmethod
    def _one_source_each(cls, value: list[str]) -> list[str]:
        for source in value:
            if not source or any(character in source for character in ";, \t\r\n"):
                raise ValueError(f"{source!r} is not one CSP source such as 'self' or https://www.example.org")
        return value

    @field_validator("contacts")
    @classmethod
    def _routes_complete(cls, value: dict[Route, Contact]) -> dict[Route, Contact]:
        missing = {"911", "988", "poison_control", "nurse_line", "care_team", "human"} - set(value)
        if missing:
            raise ValueError(f"contacts must name these routes too: {', '.join(sorted(missing))}")
        if not value["911"].phone:
            raise ValueError("the route 911 (emergency services) needs the phone that is called in your country")
        return value


@functools.cache
def _lines_of(country: str) -> dict[str, dict[str, Any]]:
    path = Path(__file__).parent / "countries" / f"{country.lower()}.yaml"
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def national_lines(country: str) -> dict[str, dict[str, Any]]:
    """Contacts by route that every site of a country has unless it names its own; none for an unknown country."""
    return dict(_lines_of(country)) if country.isalpha() and len(country) == 2 else {}


def load_site(folder: Path) -> Site:
    """Read ``folder/site.yaml``.

    Raises ConfigurationError that names the file and the mend; SiteRefused with every field that is wrong.
    """
    path, data = folder / "site.yaml", _read(folder)
    try:
        return Site.model_validate(data)
    except ValidationError as error:
        reasons = [f"{'.'.join(str(p) for p in e['loc']) or 'site'}: {e['msg']}" for e in error.errors()]
        raise SiteRefused(str(path), reasons) from error


def load_contacts(folder: Path) -> dict[Route, Contact]:
    """The contacts of ``folder/site.yaml`` that are right, with the national lines, whatever else is wrong in the file.

    Raises ConfigurationError where the file cannot be read at all.
    """
    data = _read(folder)
    given = data.get("contacts")
    named = {**national_lines(str(data.get("country"))), **(given if isinstance(given, dict) else {})}
    contacts: dict[Route, Contact] = {}
    for route in get_args(Route):
        with contextlib.suppress(ValidationError):
            contacts[route] = Contact.model_validate(named.get(route))
    return contacts


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "site.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path} does not exist; name a folder with site.yaml and articles/ (--site, BEDSIDE_SITE, a config's site)"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: wrong UTF-8, or a day that is none
        raise ConfigurationError(f"{path} is not valid UTF-8 YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path} must hold a mapping of fields such as id, name and contacts")
    return data
