"""Approved articles: their pages for patients, their list for admins."""

from __future__ import annotations

from html import escape
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from app.api.deps import AdminDep, ServicesDep
from app.api.errors import documented
from app.api.schemas import ArticleList, ArticleOut
from app.contracts.site import Site
from app.errors import Forbidden, NotFound, NotSignedIn, SessionExpired, StoreUnavailable
from app.knowledge.links import to_html
from app.knowledge.repository import ArticlePage

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
_STYLE = (
    "body{font:1.0625rem/1.6 system-ui,sans-serif;max-width:42rem;margin:0 auto;padding:2rem 1rem;color:#1c2530;"
    "background:#fff}h1,h2,h3{line-height:1.25}a{color:#0b5a8a}footer{margin-top:2.5rem;padding-top:1rem;"
    "border-top:1px solid #c9d2da;font-size:.9375rem;color:#4a5763}table{border-collapse:collapse}"
    "td,th{border:1px solid #c9d2da;padding:.3rem .6rem;text-align:left}"
)


def build_router() -> APIRouter:
    """``/articles/{article_id}`` and ``/v1/admin/articles``."""
    router = APIRouter()

    @router.get(
        "/articles/{article_id}", summary="Page of an approved article", tags=["patient"], response_class=HTMLResponse,
        responses=documented(NotFound, StoreUnavailable),
    )  # fmt: skip
    async def article_page(
        article_id: Annotated[str, Field(description="`article_id` of a citation")], services: ServicesDep
    ) -> Response:
        """The current version as a page, with its review date. Citations link here."""
        if not article_id.isascii() or not article_id.isprintable() or len(article_id) > 128:
            raise NotFound("there is no such article")
        page = _page(services.site, await services.articles.article(article_id))
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})

    @router.get(
        "/v1/admin/articles", summary="All articles", tags=["admin"], response_model=ArticleList,
        responses=documented(NotSignedIn, SessionExpired, Forbidden, StoreUnavailable),
    )  # fmt: skip
    async def listed(services: ServicesDep, admin: AdminDep) -> ArticleList:
        """Current versions by title; an expired one is never cited."""
        today = services.now().date()
        found = await services.articles.articles()
        return ArticleList(items=[_out(article, expired=article.review_by < today) for article in found])

    return router


def _out(article: ArticlePage, *, expired: bool) -> ArticleOut:
    return ArticleOut(
        id=article.id, version=article.version, title=article.title, topic=article.topic, audience=article.audience,
        owner=article.owner, reviewed=article.reviewed.isoformat(), review_by=article.review_by.isoformat(),
        expired=expired,
    )  # fmt: skip


def _page(site: Site, article: ArticlePage) -> str:
    body = to_html(article.markdown)
    heading = "" if "<h1>" in body else f"<h1>{escape(article.title)}</h1>"
    reviewed = f"{article.reviewed:%B} {article.reviewed.day}, {article.reviewed.year}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(article.title)} · '
        f'{escape(site.name)}</title><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head>"
        f"<body><main>{heading}{body}</main><footer>{escape(site.name)}, {escape(site.phone)}. Reviewed {reviewed}. "
        f"In an emergency call {escape(site.emergency_phone)}.</footer></body></html>"
    )
