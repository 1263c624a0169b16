"""``/docs``: the API as one page without script, rendered from the OpenAPI schema. Nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "h2{font-size:1.1rem;border-top:1px solid #999;padding-top:1rem}h3{font-size:.95rem;margin:.8rem 0 0}"
    "ul{margin:.2rem 0}.text{white-space:pre-line}code{overflow-wrap:anywhere}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_QUOTED = re.compile(r"`{1,2}([^`]+)`{1,2}")
"""Words of code in a description: its every second part when it is split here."""

_PAGE = """{% macro told(text) %}
{%- for part in quoted.split(text) -%}
{%- if loop.index0 % 2 %}<code>{{ part }}</code>{% else %}{{ part }}{% endif -%}
{%- endfor -%}
{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ info.title }}: the API</title>
<style>{{ style }}</style>
</head>
<body>
<h1>{{ info.title }}: the API</h1>
<p>{{ info.summary }}. Version {{ info.version }}. For programs: <a href="openapi.json">openapi.json</a>.</p>
{% for route in routes %}
<section>
<h2><code>{{ route.method }} {{ route.path }}</code> {{ route.summary }}</h2>
<p class="text">{{ told(route.description) }}</p>
{% for heading, items in route.lists if items %}
<h3>{{ heading }}</h3>
<ul>
{% for name, text in items %}
<li><code>{{ name }}</code> {{ told(text) }}</li>
{% endfor %}
</ul>
{% endfor %}
</section>
{% endfor %}
</body>
</html>
"""


def build_router() -> APIRouter:
    """``/docs``."""
    router = APIRouter(include_in_schema=False)
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE)

    @router.get("/docs", response_class=HTMLResponse)
    async def docs(request: Request) -> HTMLResponse:
        """The API for people."""
        schema = request.app.openapi()
        page = template.render(info=schema["info"], routes=list(_routes(schema)), style=_STYLE, quoted=_QUOTED)
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    return router


def _routes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield {
                "method": method.upper(),
                "path": path,
                "summary": operation.get("summary", ""),
                "description": operation.get("description", ""),
                "lists": [
                    ("Parameters", [_parameter(found) for found in operation.get("parameters", [])]),
                    ("Body (JSON)", _fields(schema, operation.get("requestBody", {}))),
                    ("Responses", [(code, found["description"]) for code, found in operation["responses"].items()]),
                ],
            }


def _parameter(found: dict[str, Any]) -> tuple[str, str]:
    needed = ", required" if found.get("required") else ""
    return found["name"], f"({found['in']}{needed}) {found.get('description', '')}"


def _fields(schema: dict[str, Any], body: dict[str, Any]) -> list[tuple[str, str]]:
    """The fields of a body that is one of the schema's models."""
    name = body.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    model = schema["components"]["schemas"].get(name, {})
    required = model.get("required", [])
    return [
        (field, f"{'(required) ' if field in required else ''}{about.get('description', '')}")
        for field, about in model.get("properties", {}).items()
    ]
