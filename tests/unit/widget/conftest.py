"""A blank page of the widget's own origin, on which its modules run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Response
from playwright.sync_api import Page

from app.contracts.site import Site
from app.widget.routes import build_router
from tests.browser import serve
from tests.browser_fixtures import OpenPage


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    app = FastAPI()

    @app.get("/blank")
    def blank() -> Response:
        return Response("<!doctype html><title>widget</title>", media_type="text/html")

    app.include_router(build_router(site))
    with serve(app) as url:
        yield url


@pytest.fixture
def page(address: str, open_page: OpenPage) -> Page:
    return open_page(f"{address}/blank")
