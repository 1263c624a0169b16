"""What every answer passes, without a server."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from app.api.middleware import Headers

pytestmark = pytest.mark.anyio


@dataclass
class Counted:
    """Implements RequestMetrics."""

    methods: list[str] = field(default_factory=list)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self.methods.append(method)


async def test_methods_that_nobody_defined_share_one_label() -> None:
    counted = Counted()
    transport = httpx.ASGITransport(Headers(FastAPI(), counted, secure=False))
    async with httpx.AsyncClient(transport=transport, base_url="http://bedside.test") as client:
        for method in ("GET", "DELETE", "MARIA-GONZALEZ", "get", "TRACE"):
            await client.request(method, "/nothing")
        await client.send(client.build_request("MARIA-GONZALEZ-2", "/nothing"))
    assert set(counted.methods) == {"GET", "DELETE", "OTHER"}


@pytest.mark.parametrize(("own", "policy"), [({}, "default-src 'none'; frame-ancestors 'none'"), ({"x": "y"}, "x y")])
async def test_a_page_without_a_policy_of_its_own_may_load_nothing(own: dict[str, str], policy: str) -> None:
    app = FastAPI()

    @app.get("/page")
    async def page() -> HTMLResponse:
        return HTMLResponse("<p>", headers={"Content-Security-Policy": " ".join(*own.items())} if own else None)

    transport = httpx.ASGITransport(Headers(app, Counted(), secure=False))
    async with httpx.AsyncClient(transport=transport, base_url="http://bedside.test") as client:
        assert (await client.get("/page")).headers["Content-Security-Policy"] == policy


@pytest.mark.parametrize("secure", [True, False])
async def test_browsers_are_told_to_come_by_https_alone_where_the_service_is(secure: bool) -> None:
    transport = httpx.ASGITransport(Headers(FastAPI(), Counted(), secure=secure))
    async with httpx.AsyncClient(transport=transport, base_url="http://bedside.test") as client:
        told = (await client.get("/")).headers.get("Strict-Transport-Security")
    assert told == ("max-age=31536000; includeSubDomains" if secure else None)
