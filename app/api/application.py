"""The HTTP side as one function: routes, error answers, limits and headers on an application."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app.api import (
    adapters,
    articles,
    audit,
    conversations,
    errors,
    escalations,
    health,
    metrics,
    policies,
    sessions,
    staff_sessions,
    unanswered,
)
from app.api.measurements import Metrics
from app.api.middleware import BodyLimit, Headers

ROUTERS = (
    sessions, conversations, staff_sessions, escalations, adapters, articles, unanswered, policies, audit, health,
    metrics,
)  # fmt: skip


class Api(FastAPI):
    """FastAPI whose document tells errors as they are answered: as problems, that of a malformed request too."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if not self.openapi_schema:
            self.openapi_schema = corrected(super().openapi())
        return self.openapi_schema


def corrected(document: dict[str, Any]) -> dict[str, Any]:
    """The document, changed in place, with our answer to a request of another form, where FastAPI tells of its own."""
    for operations in document["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            if "parameters" in operation or "requestBody" in operation:
                refused = answers.setdefault("422", {"description": ""})
                words = refused["description"].removeprefix("Validation Error")
                text = "A parameter or a field is not of the form that is told here; `detail` names it."
                refused["description"] = f"{words} `invalid_request`: {text}".strip()
                refused["content"] = {errors.MEDIA_TYPE: {}}
            for answer in answers.values():
                if errors.MEDIA_TYPE in answer.get("content", {}):
                    answer["content"] = {errors.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for name in ("HTTPValidationError", "ValidationError"):
        document.get("components", {}).get("schemas", {}).pop(name, None)
    return document


def install(app: FastAPI, *, measured: Metrics, https: bool = False) -> None:
    """Give ``app`` the API. ``app.state.services`` (deps.Services) must be set before the first request."""
    for module in ROUTERS:
        app.include_router(module.build_router())
    errors.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Headers, metrics=measured, secure=https)
