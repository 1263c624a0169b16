"""What the widget's routes send: weight, policies, caching."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from app.contracts.site import Site
from app.widget.routes import build_router, frame_policy

pytestmark = pytest.mark.anyio

LAUNCHER_LIMIT = 2_000
FRAME_LIMIT = 12_000
DEMO_PAGE = Path(__file__).resolve().parents[3] / "demo" / "page"


def client_of(site: Site, page: Path | None = None) -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(build_router(site, page=page))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(site, DEMO_PAGE) as client:
        yield client


async def weight(client: httpx.AsyncClient, path: str) -> int:
    """Bytes of the body on the wire."""
    async with client.stream("GET", path) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Encoding"] == "gzip"
        return len(b"".join([chunk async for chunk in answer.aiter_raw()]))


async def test_launcher_weighs_at_most_2_kb(client: httpx.AsyncClient) -> None:
    assert await weight(client, "/widget/launcher.js") <= LAUNCHER_LIMIT


@pytest.mark.parametrize("language", ["en", "es"])
async def test_frame_weighs_at_most_12_kb(client: httpx.AsyncClient, language: str) -> None:
    files = ["frame", "frame.css", "frame.js", f"{language}.js"]
    assert sum([await weight(client, f"/widget/{name}") for name in files]) <= FRAME_LIMIT


async def test_frame_names_the_hospital_and_its_numbers_without_scripts(client: httpx.AsyncClient, site: Site) -> None:
    page = (await client.get("/widget/frame")).text
    assert f"<title>{site.name}: chat</title>" in page
    assert f'href="tel:{site.phone}"' in page
    assert 'href="tel:911"' in page


async def test_launcher_carries_the_number_for_when_the_service_is_gone(site: Site) -> None:
    contacts = site.contacts | {"911": site.contacts["911"].model_copy(update={"phone": "112"})}
    async with client_of(site.model_copy(update={"contacts": contacts})) as client:
        script = (await client.get("/widget/launcher.js")).text
    assert "In an emergency call 112." in script
    assert "En una emergencia llame al 112." in script
    assert "{emergency}" not in script


async def test_frame_escapes_the_site(site: Site) -> None:
    async with client_of(site.model_copy(update={"name": "A & <b>"})) as client:
        assert "<title>A &amp; &lt;b&gt;: chat</title>" in (await client.get("/widget/frame")).text


async def test_frame_policy_allows_only_the_sites_that_may_embed_it(site: Site) -> None:
    embedded = site.model_copy(update={"frame_ancestors": ["'self'", "https://www.cedarvalley.example"]})
    async with client_of(embedded) as client:
        policy = (await client.get("/widget/frame")).headers["Content-Security-Policy"]
    directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["frame-ancestors"] == "'self' https://www.cedarvalley.example"
    assert directives["require-trusted-types-for"] == "'script'"
    assert directives["trusted-types"] == "'none'"
    assert "unsafe" not in policy


def test_nobody_may_embed_a_chat_of_no_site() -> None:
    assert frame_policy([]).endswith("frame-ancestors 'none'")


@pytest.mark.parametrize(
    "source", ["", "https://a.example; script-src *", "https://a.example https://b.example", "a,b"]
)
def test_a_source_that_would_end_the_directive_is_refused(site: Site, source: str) -> None:
    with pytest.raises(ValidationError, match="frame_ancestors"):
        Site.model_validate({**site.model_dump(), "frame_ancestors": [source]})


async def test_unchanged_files_are_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/widget/launcher.js")
    again = await client.get("/widget/launcher.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert first.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


async def test_plain_for_clients_without_gzip(client: httpx.AsyncClient) -> None:
    plain = await client.get("/widget/frame.css", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert gzip.compress(plain.content)


@pytest.mark.parametrize(
    "path", ["/widget/routes.py", "/widget/..%2Froutes.py", "/widget/frame.html", "/page/index.html"]
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_hospital_page_embeds_the_widget_and_says_that_it_is_fictional(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert '<script src="/widget/launcher.js"' in page.text
    assert "This hospital is fictional." in page.text
    assert "demonstration model" in page.text
    assert (await client.get("/page/page.css")).headers["Content-Type"].startswith("text/css")


async def test_a_site_without_a_page_has_none(site: Site, tmp_path: Path) -> None:
    async with client_of(site, tmp_path) as client:
        assert (await client.get("/")).status_code == 404
