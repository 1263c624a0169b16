"""A test double of the JSON API for browser states that the real service shows only by chance.

It keeps everything in memory and speaks the HTTP contract: slow streams, dropped connections, retractions.
What a message does is chosen by a word in it, see :meth:`FakeService._script`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

from app.contracts.site import Site

CRISIS_TEXT = (
    "Chest pressure can be a heart attack. Call 911 now. Do not drive yourself. "
    "While you wait, sit down and unlock your door if you can."
)

ABUSE_TEXT = "You are not alone, and this is not your fault. You can leave this page at any time with the exit button."

CARDS = {
    "chest": ("cardiac", CRISIS_TEXT, ("911", "nurse_line")),
    "hits me": ("abuse", ABUSE_TEXT, ("domestic_violence", "911")),
    "end it all": ("suicide", "I am glad you told us.", ("988", "911")),
}
"""Crisis cards by a word of the patient's: category, text, routes."""

CLARIFY_TEXT = "I found more than one article about that. Which one do you mean?"
CHOICES = ["Preparing for a CT scan", "Preparing for a CT scan with contrast", "Metformin and contrast for a scan"]
"""The clarifying question after a message with "near" in it, and what it offers."""

WAITING_TEXT = "Someone usually answers within 10 minutes. You are number 2 in line. In an emergency call 911."


def _now(minutes: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def problem(status: int, name: str, detail: str, mend: str = "") -> JSONResponse:
    """A problem+json answer."""
    body = {"type": f"/problems/{name}", "title": name, "status": status, "detail": detail, "name": name, "mend": mend}
    return JSONResponse(body, status, media_type="application/problem+json")


class FakeConversation:
    """One conversation, its messages and its event log."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.id = uuid4().hex
        self.token = ""
        self.handler = "assistant"
        self.staff_name: str | None = None
        self.position: int | None = None
        self.version = 0
        self.messages: list[dict[str, Any]] = []
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.changed = asyncio.Condition()
        self.keys: dict[str, dict[str, Any]] = {}
        self.drop_next = False

    def view(self) -> dict[str, Any]:
        who = {"assistant": "AI assistant", "waiting": "Waiting for a person", "closed": "Ended"}
        waiting = self.handler == "waiting"
        return {
            "id": self.id,
            "handler": self.handler,
            "who": who.get(self.handler, f"{self.staff_name}, care team"),
            "staff_name": self.staff_name,
            "queue_position": self.position if waiting else None,
            "waiting_text": WAITING_TEXT if waiting else None,
            "version": self.version,
            "last_seq": len(self.events),
            "created_at": _now(),
        }

    async def emit(self, type_: str, data: dict[str, Any]) -> None:
        async with self.changed:
            # As it was then: the log is append-only.
            self.events.append((len(self.events) + 1, type_, json.loads(json.dumps(data))))
            self.changed.notify_all()

    async def add(self, author: str, text: str, **more: Any) -> dict[str, Any]:
        names = {"patient": "You", "assistant": "AI assistant", "staff": f"{self.staff_name}, care team", "system": ""}
        message = {
            "id": uuid4().hex,
            "position": len(self.messages) + 1,
            "author": author,
            "author_name": names[author],
            "text": text,
            "status": "complete",
            "kind": "",
            "tier": "none",
            "routes": [],
            "citations": [],
            "choices": [],
            "in_reply_to": None,
            "created_at": _now(),
            "feedback": None,
            **more,
        }
        self.messages.append(message)
        await self.emit("message.created", {"message": message})
        return message

    async def status(self, handler: str) -> None:
        self.handler = handler
        self.version += 1
        await self.emit("conversation.status", {"conversation": self.view()})


class FakeService:
    """State of the double. ``pause_s`` is the time between sentences; ``fail_posts`` answers 503 that many times.

    While ``holding`` is true a retracted answer is not replaced yet.
    """

    def __init__(self, site: Site, pause_s: float = 0.15) -> None:
        self.site = site
        self.pause_s = pause_s
        self.holding = False
        self.fail_posts = 0
        self.drops = 0
        self.posts = 0
        self.notice = "1"
        self.feedback: list[dict[str, Any]] = []
        self.consented: dict[str, bool] = {}
        self.conversations: dict[str, FakeConversation] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop: asyncio.AbstractEventLoop | None = None

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine where the service runs, from the test's thread."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    async def staff_says(self, talk: FakeConversation, name: str, words: str) -> None:
        """A member of staff takes over, types and writes."""
        talk.staff_name = name
        await talk.status("staff")
        await talk.emit("typing", {"who": "staff", "on": True})
        await asyncio.sleep(self.pause_s)
        await talk.add("staff", words)

    def routes(self, *names: str) -> list[dict[str, Any]]:
        contacts = {str(route): contact for route, contact in self.site.contacts.items()}
        return [
            {
                "route": n,
                **contacts[n].model_dump(include={"label", "phone", "text_line", "text_word", "chat", "note"}),
            }
            for n in names
        ]

    async def reply(self, talk: FakeConversation, text: str) -> None:
        """Answer one patient message as the word in it asks."""
        with suppress(asyncio.CancelledError):
            await self._script(talk, text.lower())

    async def _card(self, talk: FakeConversation, category: str, text: str, routes: list[dict[str, Any]]) -> None:
        """A crisis card, ahead of its message."""
        message_id = uuid4().hex
        about = {"tier": "emergency", "category": category, "text": text, "routes": routes}
        await talk.emit("safety.crisis", {"message_id": message_id, **about})
        await talk.add("assistant", id=message_id, kind="emergency", **about)

    async def _script(self, talk: FakeConversation, text: str) -> None:
        if talk.handler in ("staff", "closed"):
            return
        for word, (category, words, names) in CARDS.items():
            if word in text:
                return await self._card(talk, category, words, self.routes(*names))
        if "near" in text:
            lines = "\n".join(f"{number}. {title}" for number, title in enumerate(CHOICES, start=1))
            choices = [{"article_id": title.lower().replace(" ", "-"), "title": title} for title in CHOICES]
            await talk.add("assistant", f"{CLARIFY_TEXT}\n\n{lines}", kind="clarify", choices=choices)
            await talk.emit("message.completed", {"message": talk.messages[-1]})
            return
        sentences = [
            "Do not eat or drink anything for 6 hours before your CT scan with contrast.",
            " You may take your usual medicines with a small sip of water.",
            " Please arrive 30 minutes early at Imaging, Main Building, level 1.",
        ]
        if "long" in text:
            sentences *= 12
        message = await talk.add("assistant", "", status="streaming", kind="answer")
        for sentence in sentences:
            await asyncio.sleep(self.pause_s)
            message["text"] += sentence
            await talk.emit("message.delta", {"message_id": message["id"], "text": sentence})
            if "drop" in text:
                talk.drop_next = True
        if "retract" in text:
            await asyncio.sleep(self.pause_s)
            await talk.emit("message.retracted", {"message_id": message["id"], "reason": "unsupported"})
            while self.holding:
                await asyncio.sleep(0.02)
            message["text"] = "I cannot answer that safely. Please call the nurse line at 515-555-0111."
            message["routes"] = self.routes("nurse_line")
        else:
            message["citations"] = [
                {
                    "article_id": "prepare-ct-contrast",
                    "title": "Getting ready for a CT scan with contrast",
                    "quote": sentences[0],
                    "reviewed": "2026-06-02",
                    "url": "/articles/prepare-ct-contrast",
                }
            ]
        message["status"] = "complete"
        await asyncio.sleep(self.pause_s)
        await talk.emit("message.completed", {"message": message})


def build_fake_api(service: FakeService) -> FastAPI:
    """The patient's half of the contract over ``service``."""
    app = FastAPI()
    site = service.site

    def find(request: Request, conversation_id: str) -> FakeConversation | None:
        talk = service.conversations.get(conversation_id)
        return talk if talk and request.headers.get("Authorization") == f"Bearer {talk.token}" else None

    @app.get("/v1/widget/config")
    async def config() -> dict[str, Any]:
        return {
            "site": {
                "id": site.id,
                "name": site.name,
                "short_name": site.short_name,
                "phone": site.phone,
                "demonstration": True,
            },
            "assistant_name": site.assistant_name,
            "languages": site.languages,
            "notice": {
                "version": service.notice,
                "text": [
                    "Answers here are written by an AI assistant from Cedar Valley's approved articles. "
                    "It does not diagnose or change treatment.",
                    "Our care team can read this chat. Names and numbers are removed before the AI sees your message.",
                ],
                "ai_label": "Automated answers, not a clinician",
            },
            "emergency": service.routes("911", "988", "poison_control"),
            "retention_days": site.retention_days,
            "max_characters": 4000,
            "chat_open": True,
            "chat_hours_text": "Monday to Friday 7 a.m. to 7 p.m.",
        }

    @app.post("/v1/sessions", status_code=201)
    async def session(request: Request) -> dict[str, Any]:
        token = uuid4().hex
        service.consented[token] = bool((await request.json())["consent"])
        return {
            "session_id": uuid4().hex,
            "token": token,
            "expires_at": _now(1440),
            "consented": service.consented[token],
        }

    @app.put("/v1/sessions/consent")
    async def consent(request: Request) -> dict[str, Any]:
        assert (await request.json())["notice_version"] == service.notice
        service.consented[request.headers["Authorization"].removeprefix("Bearer ")] = True
        return {"consented": True}

    @app.post("/v1/conversations", status_code=201)
    async def create(request: Request) -> dict[str, Any]:
        service.loop = asyncio.get_running_loop()
        talk = FakeConversation(site)
        talk.token = request.headers["Authorization"].removeprefix("Bearer ")
        service.conversations[talk.id] = talk
        return talk.view()

    @app.get("/v1/conversations/{conversation_id}")
    async def read(request: Request, conversation_id: str) -> Any:
        talk = find(request, conversation_id)
        return talk.view() if talk else problem(404, "not_found", "There is no such conversation.")

    @app.get("/v1/conversations/{conversation_id}/messages")
    async def messages(request: Request, conversation_id: str, after: int = 0, limit: int = 50) -> Any:
        talk = find(request, conversation_id)
        if not talk:
            return problem(404, "not_found", "There is no such conversation.")
        page = [m for m in talk.messages if m["position"] > after][:limit]
        return {
            "items": page,
            "next": page[-1]["position"] if len(page) == limit else None,
            "last_seq": len(talk.events),
        }

    @app.post("/v1/conversations/{conversation_id}/messages", status_code=202)
    async def post(request: Request, conversation_id: str) -> Any:
        talk = find(request, conversation_id)
        if not talk:
            return problem(404, "not_found", "There is no such conversation.")
        service.posts += 1
        text, key = (await request.json())["text"], request.headers["Idempotency-Key"]
        if not service.consented[talk.token] and not any(word in text for word in CARDS):
            return problem(403, "consent_required", "Accept the notice first.")
        if "lost answer" not in text and service.fail_posts:
            service.fail_posts -= 1
            return problem(503, "store_unavailable", "The service cannot store messages right now.")
        if key not in talk.keys:
            message = await talk.add("patient", text)
            talk.keys[key] = {"message": message, "reply_id": None}
            task = asyncio.create_task(service.reply(talk, text))
            service.tasks.add(task)
            task.add_done_callback(service.tasks.discard)
        if service.fail_posts:
            service.fail_posts -= 1  # stored, but the answer is lost on the way
            return problem(503, "store_unavailable", "The answer was lost.")
        return talk.keys[key]

    @app.get("/v1/conversations/{conversation_id}/events")
    async def events(request: Request, conversation_id: str) -> Response:
        talk = find(request, conversation_id)
        if not talk:
            return problem(404, "not_found", "There is no such conversation.")
        return StreamingResponse(
            _stream(service, talk, int(request.headers.get("Last-Event-ID", 0))), media_type="text/event-stream"
        )

    @app.post("/v1/conversations/{conversation_id}/handoff", status_code=202)
    async def handoff(request: Request, conversation_id: str) -> Any:
        talk = find(request, conversation_id)
        assert talk
        talk.position = 2
        await talk.status("waiting")
        return talk.view()

    @app.put("/v1/messages/{message_id}/feedback", status_code=204)
    async def feedback(request: Request, message_id: str) -> None:
        service.feedback.append({"id": message_id, **(await request.json())})

    @app.get("/v1/conversations/{conversation_id}/transcript")
    async def transcript(request: Request, conversation_id: str) -> Response:
        talk = find(request, conversation_id)
        assert talk
        return PlainTextResponse("\n".join(f"{m['author']}: {m['text']}" for m in talk.messages))

    @app.post("/v1/conversations/{conversation_id}/close")
    async def close(request: Request, conversation_id: str) -> Any:
        talk = find(request, conversation_id)
        assert talk
        await talk.status("closed")
        return talk.view()

    @app.delete("/v1/conversations/{conversation_id}", status_code=204, response_model=None)
    async def erase(request: Request, conversation_id: str) -> JSONResponse | None:
        talk = find(request, conversation_id)
        if not talk:
            return problem(404, "not_found", "There is no such conversation.")
        if any(message["kind"] == "emergency" for message in talk.messages):
            return problem(409, "conflict_error", "A person still has to look at this.")
        del service.conversations[conversation_id]
        return None

    return app


async def _stream(service: FakeService, talk: FakeConversation, after: int) -> AsyncIterator[str]:
    while True:
        async with talk.changed:
            while len(talk.events) <= after and not talk.drop_next:
                await talk.changed.wait()
            fresh = talk.events[after:]
        if talk.drop_next:
            talk.drop_next = False
            service.drops += 1
            yield "event: message.delta\nid: 9"  # torn in the middle of an event
            return
        for seq, type_, data in fresh:
            yield f"event: {type_}\nid: {seq}\ndata: {json.dumps(data)}\n\n"
            after = seq
