"""The page of the API."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import httpx
import pytest

from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio


async def test_the_page_of_the_api_names_every_route_and_loads_nothing(tmp_path: Path) -> None:
    app = create_app(Settings(_env_file=None, engine="off", state=tmp_path))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bedside.test") as client:
        page = await client.get("/docs")
        schema = (await client.get("/openapi.json")).json()
        assert (await client.get("/redoc")).status_code == 404
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert f"<code>{method.upper()} {path}</code> " in page.text
            assert operation["summary"].replace("'", "&#39;") in page.text
    assert "<code>notice_version</code> (required)" in page.text
    assert "<code>If-Match</code> (header)" in page.text
    assert page.text.startswith("<!doctype html>")
    assert "<code>not_signed_in</code>: No valid session" in page.text
    assert "`" not in page.text
    assert not re.search(r"<script|<link|<img|src=|https?://[^ ]*(js|css)\b", page.text)
    policy = page.headers["Content-Security-Policy"]
    style = re.search("<style>(.*)</style>", page.text)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
