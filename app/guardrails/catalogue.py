"""The fixed texts that patients read in place of the model's words: English and Spanish, from the bundle."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import get_args

from app.contracts.site import Route, Site
from app.errors import ConfigurationError


class Catalogue:
    """Renders texts with a site's names and numbers.

    A text may use ``{name}``, ``{short_name}``, ``{portal}``, ``{phone}``, ``{retention_days}``, ``{assistant}`` and,
    for each route, ``{route_label}``, ``{route_phone}`` and ``{route_hours}`` (``{r911_phone}`` for 911 and 988).
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
        spanish = code == "es" and "es" in forms
        try:
            return string.Formatter().vformat(form, (), _values(site, spanish))
        except (KeyError, ValueError, IndexError) as error:
            raise ConfigurationError(
                f"the text {text_id!r} uses a field that this site does not have: {error}"
            ) from error


def _values(site: Site, spanish: bool) -> dict[str, str]:
    values = {
        "name": site.name,
        "short_name": site.short_name,
        "portal": site.portal_name,
        "phone": site.phone,
        "retention_days": str(site.retention_days),
        "assistant": site.assistant_name,
    }
    for route in get_args(Route):
        contact = site.contacts.get(route) or site.contacts["human"]
        key = f"r{route}" if route[0].isdigit() else route
        values[f"{key}_label"] = (contact.label_es if spanish else "") or contact.label
        values[f"{key}_phone"] = contact.phone or site.phone
        values[f"{key}_hours"] = contact.hours
    return values
