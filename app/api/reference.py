"""``/docs``: the API as one page without script, made from the OpenAPI document. Nothing is loaded from elsewhere.

A text of the page may hold words of code in backticks; those that name a model become links to it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, StrictUndefined

from app.api.errors import MEDIA_TYPE
from app.api.reference_page import PAGE, STYLE

Json = dict[str, Any]

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

GROUPS = {
    "patient": ("Patients", "For the program that a patient writes in, such as the widget.", ""),
    "staff": ("Staff", "For members of staff.", "with the role `staff`, unless the text says otherwise"),
    "admin": ("Admins", "For members of staff who look after the service.", "with the role `admin`"),
    "operations": ("Operations", "For whoever runs the service. Keep them off the public network.", ""),
}
"""Heading of each tag, for whom it is, and the role that its sessions must have, of which OpenAPI tells nothing.
Operations of any other tag come last, under its own name."""

_QUOTED = re.compile(r"`{1,2}([^`]+)`{1,2}")
_ERROR = re.compile(r"`(\w+)`: ")
_NO_WORDS = "Successful Response"
"""FastAPI's descriptions of answers that were given none."""


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a model. ``notes`` are its limits, values and default."""

    name: str
    type: str
    required: bool
    notes: list[str]
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """A body, sent or answered. ``fields`` are those of the model itself, where they are shown in place."""

    status: str
    media: str
    type: str
    text: str = ""
    required: bool = True
    fields: list[Field] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that an operation may answer with."""

    status: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``callers`` are names of security schemes, any of which will do; none: anybody."""

    anchor: str
    method: str
    path: str
    summary: str
    paragraphs: list[str]
    callers: list[list[str]]
    parameters: list[tuple[str, list[Field]]]
    bodies: list[Content]
    answers: list[Content]
    faults: list[Fault]


@dataclass(frozen=True, slots=True)
class Group:
    """The operations of one tag."""

    tag: str
    title: str
    note: str
    role: str
    operations: list[Operation]


@dataclass(frozen=True, slots=True)
class Model:
    """One of the document's schemas. ``type`` and ``notes``: of one that is no object; ``closed``: no other fields."""

    name: str
    paragraphs: list[str]
    type: str
    notes: list[str]
    fields: list[Field]
    closed: bool


def build_router() -> APIRouter:
    """``/docs``."""
    router = APIRouter(include_in_schema=False)

    @functools.cache
    def page(app: FastAPI) -> str:
        return render(app.openapi())

    @router.get("/docs", response_class=HTMLResponse)
    async def docs(request: Request) -> HTMLResponse:
        """The API for people."""
        return HTMLResponse(page(request.app), headers={"Content-Security-Policy": POLICY})

    return router


def render(document: Json) -> str:
    """The page of an OpenAPI document."""
    components = document.get("components", {})
    models = [model_of(name, schema) for name, schema in components.get("schemas", {}).items()]
    template = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    ).from_string(PAGE)
    return template.render(
        info=document["info"],
        groups=groups_of(document),
        models=models,
        names={model.name for model in models},
        schemes=[(name, _scheme(scheme)) for name, scheme in components.get("securitySchemes", {}).items()],
        problem=MEDIA_TYPE,
        quoted=_QUOTED,
        style=STYLE,
    )


def groups_of(document: Json) -> list[Group]:
    """The operations by their first tag, in the order of :data:`GROUPS`."""
    by_tag: dict[str, list[Operation]] = {tag: [] for tag in GROUPS}
    for path, method, operation in _operations(document):
        tag = (operation.get("tags") or ["other"])[0]
        by_tag.setdefault(tag, []).append(operation_of(document, path, method, operation))
    return [Group(tag, *GROUPS.get(tag, (tag, "", "")), found) for tag, found in by_tag.items() if found]


def operation_of(document: Json, path: str, method: str, operation: Json) -> Operation:
    """One operation as the page shows it."""
    parameters = operation.get("parameters", [])
    answers, faults = _answers(operation["responses"])
    return Operation(
        anchor=anchor_of(method, path),
        method=method.upper(),
        path=path,
        summary=operation.get("summary", path),
        paragraphs=paragraphs(operation.get("description", "")),
        callers=_callers(operation["security"] if "security" in operation else document.get("security", [])),
        parameters=[
            (place, fields)
            for place in ("path", "query", "header", "cookie")
            if (fields := [_parameter(found) for found in parameters if found["in"] == place])
        ],
        bodies=_bodies(document, operation.get("requestBody", {})),
        answers=answers,
        faults=faults,
    )


def anchor_of(method: str, path: str) -> str:
    """The name of an operation's place on the page."""
    return re.sub(r"\W+", "-", f"{method.lower()}{path}").strip("-")


def model_of(name: str, schema: Json) -> Model:
    """One schema as the page shows it."""
    plain = schema.get("type") != "object" or "properties" not in schema
    return Model(
        name=name,
        paragraphs=paragraphs(schema.get("description", "")),
        type=type_of(schema) if plain else "",
        notes=notes_of(schema) if plain else [],
        fields=fields_of(schema),
        closed=schema.get("additionalProperties") is False,
    )


def fields_of(schema: Json) -> list[Field]:
    """The fields of an object."""
    required = schema.get("required", [])
    return [_field(name, about, name in required) for name, about in schema.get("properties", {}).items()]


def type_of(schema: Json) -> str:
    """The type in words; models are in backticks."""
    if "$ref" in schema:
        return f"`{_name(schema['$ref'])}`"
    for key, word in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        if key in schema:
            return word.join(dict.fromkeys(type_of(part) for part in schema[key]))
    kind = schema.get("type", "any JSON")
    if isinstance(kind, list):
        return " or ".join(type_of({**schema, "type": one}) for one in kind)
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict):
        return f"object, each value {type_of(values)}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def notes_of(schema: Json) -> list[str]:
    """Values, limits and default, each in a few words."""
    notes = list(dict.fromkeys(_limits(schema)))
    if schema.get("default") not in (None, "", [], {}):
        notes.append(f"default {_code(schema['default'])}")
    return notes


def paragraphs(text: str) -> list[str]:
    """Text that is wrapped at a fixed width, as its paragraphs; every item of a list is one."""
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=\s*- )", text) if part.strip()]


def _limits(schema: Json) -> Iterator[str]:
    if "enum" in schema:
        yield f"one of {', '.join(_code(value) for value in schema['enum'])}"
    if "const" in schema:
        yield f"always {_code(schema['const'])}"
    for least, most, unit in (
        ("minimum", "maximum", ""), ("minLength", "maxLength", " characters"), ("minItems", "maxItems", " items"),
    ):  # fmt: skip
        if bounds := _bounds(schema.get(least), schema.get(most)):
            yield bounds + unit
    for key, words in (("exclusiveMinimum", "more than"), ("exclusiveMaximum", "less than"), ("pattern", "matches")):
        if key in schema:
            yield f"{words} {_code(schema[key])}"
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _limits(part)
    if "items" in schema:
        yield from (f"each {limit}" for limit in _limits(schema["items"]))


def _bounds(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f"{least:,.15g} to {most:,.15g}"
    if least is not None:
        return f"at least {least:,.15g}"
    return "" if most is None else f"at most {most:,.15g}"


def _code(value: Any) -> str:
    """A value of the document between backticks; text stands as it is, save where nothing would be seen of it."""
    return f"`{value if isinstance(value, str) and value.strip() else json.dumps(value, ensure_ascii=False)}`"


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _field(name: str, schema: Json, required: bool) -> Field:
    return Field(name, type_of(schema), required, notes_of(schema), schema.get("description", ""))


def _parameter(found: Json) -> Field:
    schema = {"description": found.get("description", ""), **found.get("schema", {})}
    return _field(found["name"], _without_null(schema), found.get("required", False))


def _without_null(schema: Json) -> Json:
    """A parameter is sent or left out; null cannot be sent."""
    kept = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    return {**schema, "anyOf": kept} if kept else schema


def _callers(security: list[dict[str, list[str]]]) -> list[list[str]]:
    return [sorted(needed) for needed in security] if all(security) else []


def _bodies(document: Json, body: Json) -> list[Content]:
    """What may be sent, with the fields of its model."""
    schemas = document.get("components", {}).get("schemas", {})
    found = []
    for media, content in body.get("content", {}).items():
        schema = content.get("schema", {})
        parts = _without_null(schema).get("anyOf", [schema])
        models = [schemas.get(_name(part["$ref"]), {}) if "$ref" in part else part for part in parts]
        fields = [one for model in models for one in fields_of(model)]
        found.append(
            Content("", media, type_of(schema), body.get("description", ""), body.get("required", False), fields)
        )
    return found


def _answers(responses: Json) -> tuple[list[Content], list[Fault]]:
    """Answers with their models, and the problems."""
    answers: list[Content] = []
    faults: list[Fault] = []
    for status, response in sorted(responses.items()):
        text, content = response.get("description", ""), response.get("content", {})
        if MEDIA_TYPE in content:
            faults.extend(_faults(status, text))
            continue
        text = "" if text == _NO_WORDS else text
        if not content:
            answers.append(Content(status, "", "nothing", text))
        for media, about in content.items():
            schema = about.get("schema") or about.get("itemSchema") or {"type": "text"}
            type_ = f"stream of {type_of(schema)}s" if "itemSchema" in about else type_of(schema)
            answers.append(Content(status, media, type_, text, fields=fields_of(schema)))
    return answers, faults


def _faults(status: str, text: str) -> Iterator[Fault]:
    """One for each name that the description tells of."""
    start, *rest = _ERROR.split(text)
    if start.strip() or not rest:
        yield Fault(status, "", start.strip())
    for name, words in zip(rest[::2], rest[1::2], strict=True):
        yield Fault(status, name, words.strip())


def _scheme(scheme: Json) -> str:
    """How a security scheme is used."""
    if scheme["type"] == "http":
        how = f"Send the header `Authorization: {scheme['scheme'].capitalize()} …`"
    else:
        how = f"Send the {scheme.get('in', '')} `{scheme.get('name', '')}`"
    return f"{how}: {scheme['description']}." if scheme.get("description") else f"{how}."


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation
