"""Structured logs that cannot carry a patient's words.

Events are names, values are numbers, ids and enumerations. A processor drops every field that is not on
:data:`ALLOWED_FIELDS` and notes that it did, so that a careless ``log.info("x", text=message)`` loses the text
instead of leaking it; exceptions are logged by type and place, without their message.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog

ALLOWED_FIELDS = frozenset(
    """event level timestamp logger error error_type where dropped
    conversation_id message_id escalation_id article_id adapter adapter_id user_id role route method path status
    milliseconds stage tier category rules kind handler epoch version count pid port address state detail_code
    attempt delay_s model engine signal exit_code line source stages site reason_code policy_hash replica action
    """.split()
)
"""Field names that may be logged. Values are cut to 200 characters."""

_SAFE_EVENT = re.compile(r"^[A-Za-z0-9 _.:,()/+-]{1,120}$")


def only_allowed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: keep the allowed fields, count the rest."""
    dropped = sorted(name for name in event if name not in ALLOWED_FIELDS)
    for name in dropped:
        del event[name]
    if dropped:
        event["dropped"] = len(dropped)
    for name, value in event.items():
        if isinstance(value, str) and len(value) > 200:
            event[name] = value[:200]
    if not _SAFE_EVENT.match(str(event.get("event", ""))):
        event["event"] = "event name withheld"
    return event


def error_without_words(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor: an exception becomes its type and its last place in our code, never its message."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info if isinstance(info, BaseException) else (info[1] if isinstance(info, tuple) else None)
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if "/app/" in f.filename] or frames
        event["error_type"] = type(error).__name__
        if ours:
            event["where"] = f"{ours[-1].filename.rsplit('/', 1)[-1]}:{ours[-1].lineno}"
    return event


class _Plain(logging.Formatter):
    """Records of other libraries: level, logger, and their template's first line, without arguments and traceback.

    asyncio puts the message of a lost exception in the lines after the first. The type of an exception is kept.
    """

    def format(self, record: logging.LogRecord) -> str:
        first = (str(record.msg).strip().splitlines() or [""])[0]
        kind = record.exc_info[0] if record.exc_info else None
        return f"{record.levelname.lower()} {record.name}: {first[:200]}{f' ({kind.__name__})' if kind else ''}"


class _StandardError:
    """Standard error as it is at the moment of writing: tests and supervisors may replace it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(level: str = "info", style: Literal["auto", "json", "text"] = "auto") -> None:
    """Set up structlog and the standard library's root logger, both to standard error."""
    terminal = sys.stderr.isatty()
    as_json = style == "json" or (style == "auto" and not terminal)
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            error_without_words,
            only_allowed,
            structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=terminal),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(_StandardError())
    handler.setFormatter(_Plain())
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger bound to a module's name."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(logger=name)
    return bound
