"""The page of the API: a client can be written from it, and it does nothing but be read."""

from __future__ import annotations

import base64
import hashlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api import reference
from app.api.errors import MEDIA_TYPE
from app.main import create_app
from app.settings import Settings
from tests.html_page import HOSTILE, Page

TAGS = set(
    "a article b body code dd div dl dt h1 h2 h3 h4 head header html li main meta nav p section small span style "
    "title ul wbr".split()
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(Settings(_env_file=None, engine="off", state=tmp_path_factory.mktemp("state")))


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


@pytest.fixture(scope="module")
def page(document: dict[str, Any]) -> str:
    return reference.render(document)


@pytest.mark.anyio
async def test_the_page_loads_nothing_and_may_not(app: FastAPI) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bedside.test") as client:
        answer = await client.get("/docs")
        assert (await client.get("/redoc")).status_code == 404
    assert answer.text.startswith("<!doctype html>")
    assert set(Page(answer.text).tags) <= TAGS
    assert {value for name, value in Page(answer.text).attributes if name == "href" and value[0] != "#"} == {
        "openapi.json"
    }
    style = re.search("<style>(.*)</style>", answer.text, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_every_operation_has_its_parameters_body_answers_and_errors(document: dict[str, Any], page: str) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            article = words(section(page, reference.anchor_of(method, path)))
            assert f"{method.upper()} {path}" in article
            assert operation["summary"] in article
            for parameter in operation.get("parameters", []):
                assert parameter["name"] in article
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            for name in models_in(body):
                for field in document["components"]["schemas"][name].get("properties", {}):
                    assert field in article
            for status, response in operation["responses"].items():
                assert status in article
                for name in models_in(response) - {"Problem"}:
                    assert name in article
                for error in re.findall(r"`(\w+)`: ", response["description"]):
                    assert error in article


def test_every_model_has_its_fields(document: dict[str, Any], page: str) -> None:
    for name, schema in document["components"]["schemas"].items():
        article = words(section(page, f"model-{name}"))
        for value in schema.get("enum", []):
            assert str(value) in article
        for field, about in schema.get("properties", {}).items():
            assert field in article
            assert reference.paragraphs(about.get("description", "").replace("`", ""))[:1] == [] or (
                " ".join(about["description"].replace("`", "").split()) in article
            )


def test_what_is_asked_of_a_request_can_be_read(page: str) -> None:
    article = words(section(page, "post-v1-staff-conversations-conversation_id-resolve"))
    assert "Needs a session: staff or staff_cookie with the role staff, unless the text says otherwise" in article
    assert "disposition string, required what came of it" in article
    assert "matches ^[a-z][a-z_]{1,40}$" in article
    assert "follow_up_minutes integer or null" in article
    assert "5 to 2,880" in article
    assert "200 StaffConversation application/json" in article
    assert "409 outcome_required" in article
    assert "422 invalid_request" in article
    article = words(section(page, "get-v1-conversations-conversation_id-messages"))
    assert "limit integer most messages of a page 1 to 200; default 50" in article
    assert "200 stream of objects text/event-stream" in words(
        section(page, "get-v1-conversations-conversation_id-events")
    )
    assert "Anybody may call it." in words(section(page, "post-v1-sessions"))


def test_links_lead_somewhere_and_no_two_places_have_one_name(page: str) -> None:
    found = Page(page).attributes
    places = [value for name, value in found if name == "id"]
    assert len(places) == len(set(places))
    assert {value[1:] for name, value in found if name == "href" and value[0] == "#"} <= set(places)
    assert "`" not in page


def test_the_page_says_the_role_that_is_asked_for(app: FastAPI, document: dict[str, Any], page: str) -> None:
    asked = {
        (path, method.upper()): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    for route in app.routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        operation = asked[route.path, next(iter(route.methods))]
        article = words(section(page, reference.anchor_of(*route.methods, route.path)))
        told = set(re.findall(r"^.* with the role (\w+)", article))
        if re.search("both roles|[Ww]ithout the role staff", operation["description"]):
            told = set()
        assert set(roles_of(route.dependant)) == told, route.path


def test_no_field_whose_meaning_is_not_evident_is_left_without_words(document: dict[str, Any]) -> None:
    evident = {"id", "at", "created_at", "claimed_at", "title", "text", "position", "article_id", "conversation_id"}
    evident |= {"staff_name", "status", "questions", "marked_at"}  # told of by the docstring of their models
    for name, schema in document["components"]["schemas"].items():
        silent = {field for field, about in schema.get("properties", {}).items() if "description" not in about}
        assert silent <= evident, name
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                assert "description" in {**parameter, **parameter["schema"]}, parameter["name"]


@given(
    st.text() | st.just(HOSTILE),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1) | st.just(HOSTILE),
)
@settings(deadline=None)
def test_text_stays_text(text: str, name: str) -> None:
    schema = {"type": "string", "description": text, "enum": [text], "pattern": text, "default": text, "format": text}
    thing = {"type": "object", "description": text, "properties": {name: schema}, "required": [name]}
    operation = {
        "tags": [name], "summary": text, "description": text, "security": [{"one": []}],
        "parameters": [{"name": name, "in": "query", "description": text, "schema": schema}],
        "requestBody": {"description": text, "content": {name: {"schema": {"$ref": "#/components/schemas/Thing"}}}},
        "responses": {"200": {"description": text, "content": {name: {"schema": thing}}}, "400": {"description": text}},
    }  # fmt: skip
    found = Page(
        reference.render(
            {
                "info": {"title": text, "summary": text, "version": text},
                "paths": {f"/{name}": {"get": operation}},
                "components": {
                    "schemas": {"Thing": thing},
                    "securitySchemes": {"one": {"type": "apiKey", "in": "cookie", "name": name, "description": text}},
                },
            }
        )
    )
    assert set(found.tags) <= TAGS
    assert {attribute for attribute, _ in found.attributes} <= {
        "aria-label", "charset", "class", "content", "href", "id", "lang", "name",
    }  # fmt: skip


SCHEMAS = st.recursive(
    st.sampled_from(["string", "integer", "number", "boolean", "null", "object"]).map(lambda kind: {"type": kind})
    | st.sampled_from(["One", "Two.Three"]).map(lambda name: {"$ref": f"#/components/schemas/{name}"})
    | st.just({}),
    lambda inner: (
        inner.map(lambda items: {"type": "array", "items": items})
        | inner.map(lambda values: {"type": "object", "additionalProperties": values})
        | st.tuples(st.sampled_from(["anyOf", "oneOf", "allOf"]), st.lists(inner, min_size=1)).map(
            lambda parts: {parts[0]: parts[1]}
        )
        | st.lists(st.sampled_from(["string", "null"]), min_size=1, unique=True).map(lambda kinds: {"type": kinds})
    ),
)


@given(SCHEMAS)
def test_a_type_names_every_model_in_it(schema: dict[str, Any]) -> None:
    assert models_in(schema) == set(re.findall("`([^`]+)`", reference.type_of(schema)))


@pytest.mark.parametrize(
    ("schema", "notes"),
    [
        ({"minimum": 0}, ["at least 0"]),
        ({"maximum": 2.0, "default": 0}, ["at most 2", "default `0`"]),
        ({"minLength": 1, "maxLength": 1_000}, ["1 to 1,000 characters"]),
        ({"minItems": 1, "items": {"enum": ["a", ""]}}, ["at least 1 items", 'each one of `a`, `""`']),
        ({"anyOf": [{"pattern": "^a$"}, {"type": "null"}], "default": None}, ["matches `^a$`"]),
        ({"exclusiveMinimum": 0, "const": "ok"}, ["always `ok`", "more than `0`"]),
        ({"default": ""}, []),
        ({"default": False}, ["default `false`"]),
    ],
)
def test_limits_in_words(schema: dict[str, Any], notes: list[str]) -> None:
    assert reference.notes_of(schema) == notes


def test_paragraphs_are_not_wrapped_and_items_are_apart() -> None:
    assert reference.paragraphs("One\nline.\n\n- a: b\n  c\n- d\n\nEnd.") == ["One line.", "- a: b c", "- d", "End."]


def section(page: str, anchor: str) -> str:
    """The article with this id."""
    found = re.search(f'<article id="{re.escape(anchor)}">.*?</article>', page, re.DOTALL)
    assert found is not None, anchor
    return found[0]


def words(html: str) -> str:
    """What is read of it."""
    return " ".join("".join(Page(html).words).split())


def models_in(part: Any) -> set[str]:
    """Names of the models that a part of the document refers to."""
    if isinstance(part, dict):
        own = {part["$ref"].rpartition("/")[2]} if "$ref" in part else set()
        return own.union(*(models_in(value) for value in part.values()))
    return set().union(*(models_in(value) for value in part)) if isinstance(part, list) else set()


def roles_of(dependant: Dependant) -> Iterator[str]:
    """The roles that a route asks for, by ``deps.require``."""
    for needed in dependant.dependencies:
        if getattr(needed.call, "__qualname__", "") == "require.<locals>.check":
            yield inspect.getclosurevars(needed.call).nonlocals["role"]
        yield from roles_of(needed)


def test_the_document_tells_errors_as_problems_and_of_nothing_else(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "Problem" in schemas
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)
    told = 0
    for operations in document["paths"].values():
        for operation in operations.values():
            asks = "parameters" in operation or "requestBody" in operation
            assert not asks or "`invalid_request`" in operation["responses"]["422"]["description"]
            for status, answer in operation["responses"].items():
                if status >= "400" and MEDIA_TYPE in answer["content"]:
                    assert list(answer["content"].values()) == [{"schema": {"$ref": "#/components/schemas/Problem"}}]
                    told += 1
    assert told > 100
