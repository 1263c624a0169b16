"""The patient's side of the browser: launcher, chat frame, and the hospital page of a demonstration site."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template

from fastapi import APIRouter, HTTPException, Request, Response

from app.contracts.site import Site
from app.widget.assets import Asset, asset, join_modules, load_assets

_STATIC = Path(__file__).parent / "static"

_SAFE_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}


def build_router(site: Site, *, page: Path | None = None) -> APIRouter:
    """Routes ``/widget/*`` and, where ``page`` has one (:func:`has_page`), ``/`` and ``/page/*``.

    Files are read once, here.
    """
    router = APIRouter(include_in_schema=False)
    files = load_assets(_STATIC)
    sources = {name: (_STATIC / name).read_text("utf-8") for name in files if name.endswith(".js")}
    files["frame.js"] = asset("frame.js", join_modules(sources, "frame.js").encode("utf-8"))
    launcher = sources["launcher.js"].replace("{emergency}", site.emergency_phone)
    files["launcher.js"] = asset("launcher.js", launcher.encode("utf-8"))
    frame = asset("frame.html", _fill_frame(files.pop("frame.html").plain.decode("utf-8"), site))
    frame_headers = {
        "X-Robots-Tag": "noindex",
        "Content-Security-Policy": frame_policy(site.frame_ancestors),
        "Permissions-Policy": _NO_DEVICES,
    }

    @router.get("/widget/frame")
    async def chat_frame(request: Request) -> Response:
        """The page inside the iframe."""
        return _send(request, frame, frame_headers)

    @router.get("/widget/{name}")
    async def widget_file(request: Request, name: str) -> Response:
        """A script or style of the widget; the launcher may be loaded by any page."""
        if name not in files:
            raise HTTPException(404)
        # The launcher is the one file that other origins load; the frame decides who may embed the chat.
        shared = {"Cross-Origin-Resource-Policy": "cross-origin", "Access-Control-Allow-Origin": "*"}
        return _send(request, files[name], shared if name == "launcher.js" else {})

    if page is not None and has_page(page):
        _add_page(router, page)
    return router


def has_page(folder: Path) -> bool:
    """Whether a folder holds a hospital page, served at ``/``."""
    return (folder / "index.html").is_file()


def _add_page(router: APIRouter, folder: Path) -> None:
    files = load_assets(folder)
    index = files.pop("index.html")

    @router.get("/")
    async def hospital_page(request: Request) -> Response:
        """The hospital's own page, with the widget in it."""
        return _send(request, index, {"Content-Security-Policy": PAGE_POLICY})

    @router.get("/page/{name}")
    async def page_file(request: Request, name: str) -> Response:
        """A style or picture of the hospital's page."""
        if name not in files:
            raise HTTPException(404)
        return _send(request, files[name], {})


_NO_DEVICES = "camera=(), microphone=(), geolocation=(), payment=(), usb=()"

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of the demonstration page: what a strict hospital page needs to embed the widget."""


def frame_policy(ancestors: list[str]) -> str:
    """Content security policy of the chat frame; ``ancestors`` are the pages that may embed it, none by default."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'; "
        f"frame-ancestors {' '.join(ancestors) or chr(39) + 'none' + chr(39)}"
    )


def _fill_frame(source: str, site: Site) -> bytes:
    values = {
        "name": site.name, "assistant": site.assistant_name, "phone": site.phone, "emergency": site.emergency_phone,
        "exit": site.safe_exit_url,
    }  # fmt: skip
    return Template(source).substitute({key: escape(value) for key, value in values.items()}).encode("utf-8")


def _send(request: Request, file: Asset, headers: Mapping[str, str]) -> Response:
    every = {**_SAFE_HEADERS, **headers, "ETag": file.etag, "Vary": "Accept-Encoding"}
    if request.headers.get("If-None-Match") == file.etag:
        return Response(status_code=304, headers=every)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return Response(file.packed, headers={**every, "Content-Encoding": "gzip"}, media_type=file.media_type)
    return Response(file.plain, headers=every, media_type=file.media_type)
