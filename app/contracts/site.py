"""``site.yaml``: all that is specific to one hospital, validated with the field's name in each error."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from app.errors import ConfigurationError

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


class Contact(BaseModel):
    """A route that a patient can be sent to. ``phone`` is written as it is shown; ``hours`` is plain words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    label_es: str = ""
    phone: str | None = None
    hours: str = ""
    note: str = ""


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
    """One hospital. Texts marked ``_es`` are its Spanish forms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")
    name: str
    short_name: str
    tagline: str = ""
    timezone: str
    country: str = "US"
    address: str
    phone: str
    website: str
    portal_name: str
    languages: list[str]
    demonstration: bool = False
    assistant_name: str = "AI assistant"
    retention_days: int = Field(default=90, ge=1)
    contacts: dict[Route, Contact]
    chat_hours: list[OpenBlock]
    departments: list[Department] = Field(default_factory=list)
    allowed_links: list[str] = Field(default_factory=list)
    frame_ancestors: list[str] = Field(default_factory=list)

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except Exception as error:
            raise ValueError(f"{value!r} is not a time zone of the tz database, such as America/Chicago") from error
        return value

    @field_validator("contacts")
    @classmethod
    def _routes_complete(cls, value: dict[Route, Contact]) -> dict[Route, Contact]:
        missing = {"911", "988", "poison_control", "nurse_line", "care_team", "human"} - set(value)
        if missing:
            raise ValueError(f"contacts must name these routes too: {', '.join(sorted(missing))}")
        return value


def load_site(folder: Path) -> Site:
    """Read ``folder/site.yaml``.

    Raises ConfigurationError that names the file, the field and the mend.
    """
    path = folder / "site.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path} does not exist; --site (BEDSIDE_SITE) must name a folder with site.yaml and articles/"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid UTF-8 YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path} must hold a mapping of fields such as id, name and contacts")
    try:
        return Site.model_validate(data)
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(str(p) for p in e['loc']) or 'site'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"{path}: {lines}") from error
