"""Errors as ``application/problem+json`` (RFC 9457): the one place where an error class gets a status."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from starlette.exceptions import HTTPException

from app import errors
from app.api.refusals import Aid, aid_for
from app.logging import logger

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[errors.BedsideError], int] = {
    errors.MessageTooLong: 413,
    errors.MessageEmpty: 422,
    errors.InvalidContent: 422,
    errors.ConfigurationError: 422,
    errors.InputError: 422,
    errors.NotSignedIn: 401,
    errors.SessionExpired: 401,
    errors.Forbidden: 403,
    errors.ConsentRequired: 403,
    errors.TooManyRequests: 429,
    errors.AccessError: 403,
    errors.NotFound: 404,
    errors.VersionConflict: 412,
    errors.AlreadyClaimed: 409,
    errors.IdempotencyMismatch: 422,
    errors.ConversationClosed: 409,
    errors.NotPromotable: 409,
    errors.ConflictError: 409,
    errors.AdapterInvalid: 422,
    errors.DependencyError: 503,
    errors.BedsideError: 500,
}
"""Status by class; a class that is not here has its nearest ancestor's."""

_TITLES = {
    400: "Bad request",
    401: "Sign-in needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Changed meanwhile",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not acceptable as sent",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}


class Problem(Aid):
    """What every error answer holds."""

    type: str = Field(description="/problems/<name>, or about:blank")
    title: str = Field(description="what the status means, in words")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="one sentence for whoever can mend it; never a patient's words")
    name: str = Field(description="stable name, such as message_too_long")
    mend: str | None = Field(None, description="what to do, where that is known")
    reasons: list[str] | None = Field(None, description="every fault, where there may be several")


def name_of(error: type[BaseException]) -> str:
    """``MessageTooLong`` -> ``message_too_long``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).lower()


def status_of(error: type[BaseException]) -> int:
    """The status of an error class."""
    return next((STATUS[base] for base in error.__mro__ if base in STATUS), 500)


def problem(
    status: int,
    name: str,
    detail: str,
    *,
    mend: str | None = None,
    reasons: Sequence[str] | None = None,
    headers: dict[str, str] | None = None,
    aid: Aid | None = None,
) -> Response:
    """A problem answer; ``aid`` is what the refusal of a patient's message holds too."""
    type_ = f"/problems/{name}" if name != "about_blank" else "about:blank"
    body = Problem(
        type=type_, title=_TITLES.get(status, "Error"), status=status, detail=detail, name=name, mend=mend,
        reasons=None if reasons is None else list(reasons), **dict(aid or Aid()),
    )  # fmt: skip
    content = body.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, status, {"Cache-Control": "no-store"} | (headers or {}), media_type=MEDIA_TYPE)


def documented(
    *kinds: type[errors.BedsideError], also: Mapping[int | str, dict[str, Any]] | None = None
) -> dict[int | str, dict[str, Any]]:
    """OpenAPI ``responses`` for the errors that a route may give, beside ``also``."""
    found: dict[int | str, dict[str, Any]] = dict(also or {})
    for kind in kinds:
        status = status_of(kind)
        names = found.get(status, {"description": ""})["description"]
        text = (kind.__doc__ or "").strip().splitlines()[0]
        found[status] = {
            "model": Problem,
            "description": f"{names} `{name_of(kind)}`: {text}".strip(),
            "content": {MEDIA_TYPE: {}},
        }
    return found


def install(app: FastAPI) -> None:
    """Answer all errors of ``app`` as problems."""
    log = logger(__name__)

    @app.exception_handler(errors.BedsideError)
    async def ours(request: Request, error: Exception) -> Response:
        status, headers = status_of(type(error)), {}
        if isinstance(error, errors.TooManyRequests):
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if status >= 500:
            headers["Retry-After"] = "2"
            log.error("request failed", route=_route(request), method=request.method, status=status, exc_info=error)
        reasons = error.reasons if isinstance(error, errors.PolicyRefused) else None
        aid = await aid_for(request.scope)
        return problem(status, name_of(type(error)), str(error), reasons=reasons, headers=headers, aid=aid)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found, aid = error.errors(), await aid_for(request.scope)
        if any(item["type"] == "json_invalid" for item in found):
            return problem(400, "invalid_json", "the body is not valid JSON", aid=aid)
        return problem(422, "invalid_request", _places(found), aid=aid)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        names = {400: "invalid_json", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
        headers, aid = dict(error.headers or {}), await aid_for(request.scope)
        name = names.get(error.status_code, "http_error")
        return problem(error.status_code, name, str(error.detail), headers=headers, aid=aid)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("request failed unexpectedly", route=_route(request), method=request.method, exc_info=error)
        aid = await aid_for(request.scope)
        return problem(500, "internal_error", "something failed that should not; it was logged", aid=aid)


def _places(found: Sequence[Any]) -> str:
    """Which fields are wrong and how; what was sent is not repeated."""
    return "; ".join(f"{_place(item)}: {_fault(item)}"[:200] for item in found[:5])[:800]


def _place(item: Any) -> str:
    """Where the fault is; the name of an unknown field is the caller's words too."""
    known = item["loc"][:-1] if item["type"] == "extra_forbidden" else item["loc"]
    return ".".join(str(part) for part in known[:6])


def _fault(item: Any) -> str:
    """Pydantic's words, save where they are those of an exception, which may quote the input."""
    if item["type"] == "extra_forbidden":
        return "there is a field that is not known here; leave it out"
    if item["type"] in ("value_error", "assertion_error"):
        return "it is not of the form that is asked for here"
    return str(item["msg"])


def _route(request: Request) -> str:
    """The route's template, never the path itself."""
    return str(getattr(request.scope.get("route"), "path", ""))
