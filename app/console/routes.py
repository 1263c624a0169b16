"""The console's pages. They read and render; what changes something is posted to the JSON API by live.js."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.auth.staff import Role, Staff
from app.console import wording
from app.console.reads import ConsoleReads
from app.contracts.site import Site
from app.conversations.schemas import StaffConversationView
from app.errors import NotFound, NotSignedIn, SessionExpired
from app.escalations.schemas import EscalationView
from app.knowledge.unanswered import DAYS, FEW

COOKIE = "bedside_staff"
"""The cookie that signing in sets."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_ID = re.compile("[0-9a-f]{32}")
_HERE = Path(__file__).parent
_STATIC = {
    path.name: path
    for folder in ("static", "static/vendor")
    for path in (_HERE / folder).iterdir()
    if path.suffix in (".js", ".css", ".svg")
}


class Pages:
    """Renders templates for one site."""

    def __init__(self, site: Site, reads: ConsoleReads, idle_minutes: float) -> None:
        self._reads = reads
        zone = ZoneInfo(site.timezone)
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._templates.globals.update(site=site, idle_minutes=idle_minutes, priorities=wording.PRIORITIES)
        self._templates.globals.update(
            dispositions=wording.DISPOSITIONS,
            crisis_outcomes=wording.CRISIS_OUTCOMES,
            follow_ups=wording.FOLLOW_UPS,
            question_statuses=wording.QUESTION_STATUSES,
        )
        self._templates.filters.update(
            reason=wording.reason, label=wording.label, ending=wording.ending, span=wording.span,
            local=partial(wording.local, zone=zone), day=wording.day, language=wording.language,
        )  # fmt: skip

    def html(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A rendered page or fragment."""
        values = {"staff": None, "page": "", "now": datetime.now(UTC), **values}
        return HTMLResponse(self._templates.get_template(template).render(values), status, headers=_HEADERS)

    async def for_staff(
        self, request: Request, role: Role | None, render: Callable[[Staff], Awaitable[Response]]
    ) -> Response:
        """``render`` for who is signed in and has ``role`` (None: whichever); else the way to sign in, or a refusal.

        Fragments are read by pages that redraw themselves, attended or not: they keep no session alive.
        """
        activity = "/fragments/" not in request.url.path
        try:
            staff = await self._reads.staff(request.cookies.get(COOKIE, ""), activity=activity)
        except (NotSignedIn, SessionExpired):
            if "HX-Request" in request.headers:
                return Response(status_code=401, headers={**_HEADERS, "HX-Refresh": "true"})
            return RedirectResponse(f"/console/sign-in?next={quote(request.url.path)}", 303, headers=_HEADERS)
        if role is not None and not staff.has(role):
            if role == "staff" and staff.has("admin") and request.url.path == "/console/":
                return RedirectResponse("/console/adapters", 303, headers=_HEADERS)
            text = "Your account has no role for this page. Being an administrator does not include reading chats."
            return self.html("message.html", 403, staff=staff, title="Not for this account", text=text)
        try:
            return await render(staff)
        except NotFound:
            text = "There is no such conversation, or it was erased."
            return self.html("message.html", 404, staff=staff, title="Not found", text=text)

    async def queue(self, staff: Staff) -> dict[str, Any]:
        """Values of the queue: who waits, whom to try again later, and who is with staff."""
        called = await self._reads.escalations(staff, "waiting")
        claimed = await self._reads.escalations(staff, "claimed")
        now = datetime.now(UTC)
        later = [e for e in called if e.follow_up_at is not None and e.follow_up_at > now]
        waiting = [e for e in called if e not in later]
        return {"staff": staff, "page": "queue", "waiting": waiting, "later": later, "claimed": claimed}

    async def conversation(self, staff: Staff, conversation_id: str, *, opened: bool) -> dict[str, Any]:
        """Values of a conversation's page. Raises NotFound, also for what cannot be an id."""
        if _ID.fullmatch(conversation_id) is None:
            raise NotFound("there is no such conversation")
        talk, escalation = await self._reads.conversation(staff, conversation_id, opened=opened)
        state = _state(talk, escalation, staff)
        return {"staff": staff, "page": "conversation", "talk": talk, "escalation": escalation, "state": state}

    async def unanswered(self, staff: Staff, days: int, *, opened: bool) -> dict[str, Any]:
        """Values of the page of unanswered questions. Raises HTTPException for days that are not offered."""
        if days not in DAYS:
            raise HTTPException(404)
        found = await self._reads.unanswered(staff, days, opened=opened)
        return {"staff": staff, "page": "unanswered", "found": found, "spans": DAYS, "few": FEW}

    async def adapters(self, staff: Staff) -> dict[str, Any]:
        """Values of the adapters' page."""
        adapters, live = await self._reads.adapters(staff)
        return {"staff": staff, "page": "adapters", "adapters": adapters, "live": live}


def _state(talk: StaffConversationView, escalation: EscalationView | None, staff: Staff) -> str:
    """What the member of staff may do: decides which part of the composer is shown."""
    if talk.handler == "staff":
        return "owned" if talk.staff_id == staff.id else "other"
    if talk.handler != "closed":
        return "waiting" if talk.handler == "waiting" else "free"
    if escalation is not None and escalation.status == "claimed" and escalation.staff_id == staff.id:
        return "ended-owned"
    return "ended-waiting" if escalation is not None and escalation.status == "waiting" else "closed"


def build_router(site: Site, reads: ConsoleReads, *, idle_minutes: float = 15.0) -> APIRouter:
    """Routes ``/console/*``. ``idle_minutes``: when the browser signs an unattended session out, after a warning."""
    pages = Pages(site, reads, idle_minutes)
    router = APIRouter(prefix="/console", include_in_schema=False)

    @router.get("")
    async def slash() -> Response:
        return RedirectResponse("/console/", 308)

    @router.get("/sign-in")
    async def sign_in() -> Response:
        return pages.html("sign_in.html")

    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in _STATIC:
            raise HTTPException(404)
        return FileResponse(_STATIC[name], headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})

    @router.get("/")
    async def queue(request: Request) -> Response:
        async def render(staff: Staff) -> Response:
            return pages.html("queue.html", **await pages.queue(staff))

        return await pages.for_staff(request, "staff", render)

    @router.get("/fragments/queue")
    async def queue_fragment(request: Request) -> Response:
        async def render(staff: Staff) -> Response:
            return pages.html("_queue.html", **await pages.queue(staff))

        return await pages.for_staff(request, "staff", render)

    @router.get("/conversations/{conversation_id}")
    async def conversation(request: Request, conversation_id: str) -> Response:
        async def render(staff: Staff) -> Response:
            return pages.html("conversation.html", **await pages.conversation(staff, conversation_id, opened=True))

        return await pages.for_staff(request, "staff", render)

    @router.get("/fragments/conversations/{conversation_id}")
    async def conversation_fragment(request: Request, conversation_id: str) -> Response:
        async def render(staff: Staff) -> Response:
            return pages.html("_conversation.html", **await pages.conversation(staff, conversation_id, opened=False))

        return await pages.for_staff(request, "staff", render)

    @router.get("/unanswered")
    async def unanswered_slash() -> Response:
        return RedirectResponse(f"/console/unanswered/{DAYS[1]}", 307)

    @router.get("/unanswered/{days}")
    async def unanswered(request: Request, days: int) -> Response:
        async def render(staff: Staff) -> Response:
            return pages.html("unanswered.html", **await pages.unanswered(staff, days, opened=True))

        return await pages.for_staff(request, None, render)

    @router.get("/fragments/unanswered/{days}")
    async def unanswered_fragment(request: Request, days: int) -> Response:
        async def render(staff: Staff) -> Response:
            return pages.html("_unanswered.html", **await pages.unanswered(staff, days, opened=False))

        return await pages.for_staff(request, None, render)

    @router.get("/adapters")
    async def adapters(request: Request) -> Response:
        async def render(staff: Staff) -> Response:
            return pages.html("adapters.html", **await pages.adapters(staff))

        return await pages.for_staff(request, "admin", render)

    @router.get("/fragments/adapters")
    async def adapters_fragment(request: Request) -> Response:
        async def render(staff: Staff) -> Response:
            return pages.html("_adapters.html", **await pages.adapters(staff))

        return await pages.for_staff(request, "admin", render)

    return router
