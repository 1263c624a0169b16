"""A hospital's working day as the console reads it, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from app.adapters.service import AdapterView, Live
from app.auth.staff import Staff
from app.conversations.schemas import CitationView, HitView, StaffConversationView, StaffMessageView
from app.errors import NotFound, NotSignedIn
from app.escalations.schemas import EscalationView
from app.knowledge.unanswered import Group, Nearest, Rare, Unanswered

NURSE = "nurse-token"
ADMIN = "admin-token"
TALK = "c" * 32

NURSE_ID, OTHER_ID = "1" * 32, "2" * 32


def escalation(number: int, *, minutes_left: float = 10, **values: Any) -> EscalationView:
    """A waiting call, ``number`` makes its ids."""
    now = datetime.now(UTC)
    base = {
        "id": f"{number:032x}",
        "conversation_id": TALK if number == 1 else f"{number + 100:032x}",
        "status": "waiting",
        "priority": 2,
        "reason": "patient_asked",
        "tier": "none",
        "category": "",
        "staff_id": None,
        "staff_name": None,
        "due_at": now + timedelta(minutes=minutes_left),
        "created_at": now - timedelta(minutes=4),
        "claimed_at": None,
        "overdue": minutes_left < 0,
        "preview": "Can I speak to somebody about my bill?",
    }
    return EscalationView.model_validate({**base, **values})


def message(number: int, author: str, text: str, **values: Any) -> StaffMessageView:
    """A message of :data:`TALK`."""
    base = {
        "id": f"{number:032x}",
        "position": number,
        "author": author,
        "author_name": {"assistant": "AI assistant", "staff": "Maria Lopez, RN, care team"}.get(author, ""),
        "text": text,
        "status": "complete",
        "created_at": datetime.now(UTC) - timedelta(minutes=6 - number),
    }
    return StaffMessageView.model_validate({**base, **values})


def asked_without_answer() -> Unanswered:
    """Two groups and some rare questions."""
    chapel = Group(
        id="a" * 32, language="en", questions=14, patients=11, not_found=14, denied=0, handed_over=4,
        first=date(2026, 11, 2), last=date(2026, 11, 25),
        examples=[
            "Is there a chapel in the hospital?", "where can we pray", "do you have a chapel on floor #",
            "My name is [person], can my mother go to the chapel at night when she cannot sleep before her surgery…",
        ],
        nearest=Nearest("spiritual-care", "Spiritual care and the people who can visit you", 0.38),
    )  # fmt: skip
    dogs = Group(
        id="b" * 32, language="es", questions=1_204, patients=950, not_found=1_000, denied=204, handed_over=0,
        first=date(2026, 11, 9), last=date(2026, 11, 9), examples=["¿Puede visitarme mi perro de terapia?"],
        nearest=None, status="planned", marked_by="sam", marked_at=datetime.now(UTC) - timedelta(days=3), newer=2,
    )  # fmt: skip
    rare = [Rare(2, Nearest("parking", "Parking & garages", 0.31), [TALK, "d" * 32]), Rare(1, None, ["e" * 32])]
    return Unanswered(30, 1_230, True, [chapel, dogs], 3, rare, 12, 9)


class FakeReads:
    """ConsoleReads with invented data; tests change ``talk``, ``waiting`` and ``claimed``."""

    def __init__(self) -> None:
        self.opened = 0
        expires = datetime.now(UTC) + timedelta(hours=8)
        self.people = {
            NURSE: Staff(NURSE_ID, "maria", "Maria Lopez, RN", ("staff",), "s" * 32, expires),
            ADMIN: Staff("3" * 32, "sam", "Sam Reed", ("admin",), "t" * 32, expires),
        }
        self.waiting = [
            escalation(
                1, minutes_left=-1.5, priority=0, reason="emergency:cardiac", tier="emergency", category="cardiac",
                preview="I have crushing chest pain and my arm hurts",
            ),
            escalation(2, minutes_left=6, priority=1, reason="turn_timeout", tier="urgent", category="infant",
                       preview="My baby <PERSON_1> is 5 weeks old and feels hot"),
            escalation(3, minutes_left=24),
        ]  # fmt: skip
        self.claimed = [
            escalation(4, status="claimed", staff_id=OTHER_ID, staff_name="Jon Park", preview="Which form do I need?")
        ]
        self.talk = StaffConversationView(
            id=TALK,
            handler="waiting",
            staff_id=None,
            staff_name=None,
            version=3,
            epoch=1,
            language="en",
            created_at=datetime.now(UTC) - timedelta(minutes=6),
            messages=[
                message(1, "patient", "How do I get ready for my CT scan? My name is <PERSON_1>."),
                message(
                    2, "assistant", "Do not eat or drink anything for 6 hours before a CT scan with contrast.",
                    kind="answer", adapter="support@0123456789ab", prompt_version="1", policy_hash="ab" * 32,
                    citations=[CitationView(article_id="prepare-ct-contrast", title="Getting ready for a CT scan",
                                            quote="Do not eat or drink anything for 6 hours before.",
                                            reviewed=date(2026, 6, 2), url="/articles/prepare-ct-contrast")],
                    hits=[HitView(stage="redaction", rule="name", detail="1 replaced")],
                ),
                message(3, "patient", "I have crushing chest pain and my arm hurts", tier="emergency"),
                message(4, "assistant", "Chest pressure can be a heart attack. Call 911 now.", kind="emergency",
                        tier="emergency", policy_hash="ab" * 32,
                        hits=[HitView(stage="triage", rule="cardiac.chest-pressure", detail="crushing chest pain")]),
            ],
        )  # fmt: skip
        rules = [
            {"name": "must_not_miss_recall", "value": 1.0, "bound": ">= 0.97", "passed": True, "detail": ""},
            {"name": "supported_sentences", "value": 0.9912, "bound": ">= 0.98", "passed": True, "detail": "60 cases"},
        ]
        failed = [*rules, {"name": "changed_numbers", "value": 2.0, "bound": "== 0", "passed": False, "detail": ""}]
        self.versions = [
            self._version("support@0123456789ab", {"verdict": "pass", "rules": rules}),
            self._version("support@fedcba987654", {"verdict": "pass", "rules": rules}, "1 of 2 sign-offs count"),
            self._version("support@777777777777", {"verdict": "fail", "rules": failed}),
            self._version("support@888888888888", None),
        ]
        self.asked = asked_without_answer()
        self.attended: list[bool] = []
        self.live = Live("live", "support@0123456789ab", None, 1)

    def _version(self, version: str, gate: dict[str, Any] | None, signed: str = "") -> AdapterView:
        manifest = {"rank": 16, "prompt_version": "1", "base_id": "cedar-valley-demo"}
        digest = version.partition("@")[2]
        return AdapterView(
            version, "support", digest.ljust(64, "0"), "candidate", datetime.now(UTC), manifest, gate, signed
        )

    async def staff(self, token: str, *, activity: bool) -> Staff:
        self.attended.append(activity)
        if token not in self.people:
            raise NotSignedIn("sign in first")
        return self.people[token]

    async def escalations(self, staff: Staff, status: Literal["waiting", "claimed"]) -> Sequence[EscalationView]:
        return self.waiting if status == "waiting" else self.claimed

    async def conversation(
        self, staff: Staff, conversation_id: str, *, opened: bool
    ) -> tuple[StaffConversationView, EscalationView | None]:
        if conversation_id != self.talk.id:
            raise NotFound("there is no such conversation")
        self.opened += opened
        return self.talk, next((e for e in self.waiting if e.conversation_id == conversation_id), None)

    async def unanswered(self, staff: Staff, days: int, *, opened: bool) -> Unanswered:
        self.opened += opened
        rare = [replace(r, conversations=r.conversations if staff.has("staff") else []) for r in self.asked.rare]
        return replace(self.asked, days=days, rare=rare)

    async def adapters(self, staff: Staff) -> tuple[Sequence[AdapterView], Live]:
        return self.versions, self.live
