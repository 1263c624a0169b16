"""Opening hours of a site's people, from ``site.yaml``: pure functions of the site and a moment."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.contracts.site import OpenBlock, Site, Weekday

_DAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
}
_WORDS = {
    "en": ("{first} to {last}", "{days} {opens} to {closes}"),
    "es": ("{first} a {last}", "{days} de {opens} a {closes}"),
}


def is_open(site: Site, at: datetime) -> bool:
    """Whether people answer chats at ``at`` (any time zone)."""
    local = at.astimezone(ZoneInfo(site.timezone))
    return any(opens <= local < closes for opens, closes in _blocks_around(site, local))


def next_open(site: Site, at: datetime) -> datetime | None:
    """``at`` itself while open, else when the next block opens (in ``at``'s zone); None if no hours are given."""
    local = at.astimezone(ZoneInfo(site.timezone))
    if is_open(site, at):
        return at
    later = sorted(opens for opens, _closes in _blocks_around(site, local) if opens > local)
    return later[0].astimezone(at.tzinfo) if later else None


def hours_text(site: Site, language: str = "en") -> str:
    """The hours in plain words: ``Monday to Friday 7:00 a.m. to 7:00 p.m.; Saturday 8:00 a.m. to noon``."""
    language = language if language in _NAMES else "en"
    return "; ".join(_block_text(block, language) for block in site.chat_hours)


def _blocks_around(site: Site, local: datetime) -> list[tuple[datetime, datetime]]:
    """Opening and closing of all blocks from yesterday to eight days ahead, local time."""
    found = []
    for offset in range(-1, 9):
        day = local.date() + timedelta(days=offset)
        for block in site.chat_hours:
            if _DAYS[day.weekday()] in block.days:
                opens = datetime.combine(day, _time(block.opens), local.tzinfo)
                closes = datetime.combine(day, _time(block.closes), local.tzinfo)
                found.append((opens, closes + timedelta(days=1) if block.closes.startswith("24") else closes))
    return found


def _time(value: str) -> time:
    hour, minute = value.split(":")
    return time(int(hour) % 24, int(minute))


def _block_text(block: OpenBlock, language: str) -> str:
    numbers = sorted(_DAYS.index(day) for day in block.days)
    names = _NAMES[language]
    to, whole = _WORDS[language]
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        days = to.format(first=names[numbers[0]], last=names[numbers[-1]])
    else:
        days = ", ".join(names[number] for number in numbers)
    return whole.format(days=days, opens=_clock(block.opens, language), closes=_clock(block.closes, language))


def _clock(value: str, language: str) -> str:
    hour, minute = int(value[:2]), value[3:]
    if language == "es":
        return f"{hour}:{minute}"
    if (hour % 24, minute) in {(12, "00"), (0, "00")}:
        return "noon" if hour == 12 else "midnight"
    return f"{hour % 12 or 12}:{minute} {'a.m.' if hour < 12 else 'p.m.'}"
