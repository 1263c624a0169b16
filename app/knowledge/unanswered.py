"""What patients asked and no article answered, in groups of like questions, for those who write articles.

Privacy. Nothing but the redacted text is read. A group shows words only if at least :data:`FEW` patients asked; its
examples are the ones most like the group's middle, one a patient, without figures and cut short, so that what is
particular to one person stays out. Of rarer questions only numbers and the nearest article are told; who may read
conversations finds them by their conversations. What is kept per question hangs on the patient's message and is
erased with it.

A mark ("article planned") is kept on the leader and on every question alike to it, also outside the days that were
looked at. A group has the newest mark of its members: so it stays right while groups grow, split and join.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from app.chat.clarify import refused
from app.chat.protocols import Retriever
from app.contracts.site import Site
from app.db.session import Database
from app.errors import NotFound
from app.guardrails.language import languages
from app.knowledge import unanswered_repository as repository
from app.knowledge.clusters import THRESHOLDS, WORD_VECTOR, Point, Vectors, groups, word_vectors

Status = Literal["open", "planned", "out_of_scope"]

DAYS = (7, 30, 90)
"""How far back one may look."""

FEW = 3
"""So many different patients must have asked before a group shows words."""

EXAMPLES = 5
LONGEST_EXAMPLE = 120
MOST_QUESTIONS = 5_000
MOST_GROUPS = 30
MOST_RARE = 20
TOGETHER = 256
"""Questions whose vectors are made and kept in one go: a first look at many is not lost if it is broken off."""

_TOKEN = re.compile(r"<([A-Z_]+)_\d+>")
_FIGURES = re.compile(r"\d[\d.,:/-]*\d|\d")


@dataclass(frozen=True, slots=True)
class Nearest:
    """The article most like a question. ``likeness`` is the retriever's similarity (contracts.passages.Passage)."""

    id: str
    title: str
    likeness: float


@dataclass(frozen=True, slots=True)
class Group:
    """Like questions of at least :data:`FEW` patients. ``id`` is the leading question's.

    ``not_found`` questions found no article, ``denied`` ones found passages that do not answer; after ``handed_over``
    of them the patient asked for a person. ``first`` and ``last`` are days at the hospital. ``newer`` counts questions
    since ``marked_at``.
    """

    id: str
    language: str
    questions: int
    patients: int
    not_found: int
    denied: int
    handed_over: int
    first: date
    last: date
    examples: list[str]
    nearest: Nearest | None
    status: Status = "open"
    marked_by: str = ""
    marked_at: datetime | None = None
    newer: int = 0


@dataclass(frozen=True, slots=True)
class Rare:
    """Like questions of fewer patients: how many, the nearest article, and their conversations, newest first."""

    questions: int
    nearest: Nearest | None
    conversations: list[str]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """What was found in ``days`` days. ``groups``: open ones first, most questions first; ``rare`` the most asked.

    ``left_out`` counts groups beyond the limit and ``rare_left_out`` questions in rare groups beyond it. ``whole`` is
    false if there were more than :data:`MOST_QUESTIONS`: the oldest are not looked at.
    """

    days: int
    questions: int
    whole: bool
    groups: list[Group]
    left_out: int
    rare: list[Rare]
    rare_questions: int
    rare_left_out: int


@dataclass(slots=True)
class _Question:
    row: RowMapping
    language: str
    plain: str
    kind: str
    vector: Vectors | None


class Embedder(Protocol):
    """Turns texts into unit vectors, shape (n, 384), float32."""

    def embed(self, texts: list[str]) -> Vectors: ...


class UnansweredQuestions:
    """Of one site. ``encoder_id`` names the weights: vectors of others are made anew."""

    def __init__(
        self,
        database: Database,
        encoder: Embedder,
        encoder_id: str,
        retriever: Retriever,
        site: Site,
        now: Callable[[], datetime],
    ) -> None:
        self._database, self._encoder, self._retriever, self._site, self._now = database, encoder, retriever, site, now
        self._kinds = {"en": f"{encoder_id[:48]}/en", "es": f"{WORD_VECTOR}/es"}
        self._zone = ZoneInfo(site.timezone)

    async def report(self, days: int, *, conversations: bool = False) -> Unanswered:
        """The questions of the last ``days`` days; ids of conversations only if ``conversations``.

        Raises StoreUnavailable, RetrievalFailed.
        """
        since = self._now() - timedelta(days=days)
        async with self._database.session() as session:
            rows = await repository.asked(session, self._site.id, since, MOST_QUESTIONS + 1)
        questions = [self._question(row) for row in rows[:MOST_QUESTIONS] if tells(row["words"])]
        await self._make_vectors([question for question in questions if question.vector is None])
        members = await asyncio.to_thread(_grouped, questions)
        counted = [(group, [q for q in group if q.row["counts"]]) for group in members]
        counted = [(group, inside) for group, inside in counted if inside]
        many = [(group, inside) for group, inside in counted if _patients(inside) >= FEW]
        rare = [inside for _, inside in counted if _patients(inside) < FEW]
        found = sorted(
            (self._group(group, inside) for group, inside in many),
            key=lambda g: (g.status != "open", -g.questions, g.id),
        )
        rare.sort(key=lambda group: (-len(group), -group[0].row["asked_at"].timestamp(), group[0].row["id"]))
        leading = {str(group[0].row["id"]): group[0] for group, _ in many}
        return Unanswered(
            days=days,
            questions=sum(len(inside) for _, inside in counted),
            whole=len(rows) <= MOST_QUESTIONS,
            groups=[await self._with_nearest(group, leading[group.id]) for group in found[:MOST_GROUPS]],
            left_out=max(0, len(found) - MOST_GROUPS),
            rare=[await self._rare(group, conversations=conversations) for group in rare[:MOST_RARE]],
            rare_questions=sum(map(len, rare)),
            rare_left_out=sum(map(len, rare[MOST_RARE:])),
        )

    async def mark(self, session: AsyncSession, question: str, status: Status, by: str) -> int:
        """Set the status of the group that a question leads; how many questions carry it now. Raises NotFound."""
        thresholds = {kind: THRESHOLDS[language] for language, kind in self._kinds.items()}
        threshold = thresholds.get(await repository.kind_of(session, question) or "")
        marked = 0
        if threshold is not None:
            marked = await repository.mark(session, self._site.id, question, status, by, self._now(), threshold)
        if not marked:
            raise NotFound("there is no such question, or it was erased")
        return marked

    def _question(self, row: RowMapping) -> _Question:
        words = _TOKEN.sub(" ", row["words"])
        spoken = languages(words) or (row["language"],)
        language = spoken[0] if spoken[0] in self._kinds else "en"
        kind = self._kinds[language]
        vector = row["embedding"] if row["kind"] == kind else None
        return _Question(row, language, " ".join(words.casefold().split()), kind, vector)

    async def _make_vectors(self, questions: Sequence[_Question]) -> None:
        """Give questions their vectors and keep them."""
        for start in range(0, len(questions), TOGETHER):
            some = questions[start : start + TOGETHER]
            for language in self._kinds:
                own = [question for question in some if question.language == language]
                make = word_vectors if language == "es" else self._encoder.embed
                vectors = await asyncio.to_thread(make, [question.plain for question in own])
                for question, vector in zip(own, vectors, strict=True):
                    question.vector = vector
            made = np.stack([question.vector for question in some if question.vector is not None])
            async with self._database.session() as session:
                ids, kinds = [str(q.row["id"]) for q in some], [q.kind for q in some]
                await repository.keep(session, ids, kinds, made)

    def _group(self, members: Sequence[_Question], inside: Sequence[_Question]) -> Group:
        rows = [question.row for question in inside]
        days = [row["asked_at"].astimezone(self._zone).date() for row in rows]
        marks = [question.row for question in members if question.row["status"] is not None]
        newest = max(marks, key=lambda row: (row["marked_at"], row["id"]), default=None)
        told: dict[str, Any] = {}
        if newest is not None:
            at = newest["marked_at"]
            told = {"status": newest["status"], "marked_by": newest["marked_by"], "marked_at": at}
            told["newer"] = sum(row["asked_at"] > at for row in rows)
        return Group(
            id=str(members[0].row["id"]),
            language=members[0].language,
            questions=len(rows),
            patients=_patients(inside),
            not_found=sum(not row["denied"] for row in rows),
            denied=sum(row["denied"] for row in rows),
            handed_over=sum(row["handed_over"] for row in rows),
            first=min(days),
            last=max(days),
            examples=_examples(inside),
            nearest=None,
            **told,
        )

    async def _with_nearest(self, group: Group, leader: _Question) -> Group:
        return replace(group, nearest=await self._nearest(leader))

    async def _rare(self, group: Sequence[_Question], *, conversations: bool) -> Rare:
        newest = sorted(group, key=lambda q: (q.row["asked_at"], q.row["id"]), reverse=True)
        ids = list(dict.fromkeys(str(q.row["conversation_id"]) for q in newest)) if conversations else []
        return Rare(len(group), await self._nearest(group[0]), ids[:EXAMPLES])

    async def _nearest(self, question: _Question) -> Nearest | None:
        found = await self._retriever.search(question.plain[:600], limit=1)
        return Nearest(found[0].article_id, found[0].title, round(found[0].similarity, 2)) if found else None


def _grouped(questions: Sequence[_Question]) -> list[list[_Question]]:
    by_id = {str(question.row["id"]): question for question in questions}
    found = []
    for language, threshold in THRESHOLDS.items():
        points = [
            Point(str(q.row["id"]), q.plain, q.vector)
            for q in questions
            if q.language == language and q.vector is not None
        ]
        found += [[by_id[id_] for id_ in ids] for ids in groups(points, threshold)]
    return found


def _patients(questions: Iterable[_Question]) -> int:
    """Different sessions: one person who starts several chats on one device is counted once while a session lasts."""
    return len({question.row["session_id"] for question in questions})


def _examples(questions: Iterable[_Question]) -> list[str]:
    """The first of each patient, as far as they differ; questions come most like the leader first."""
    patients: set[str] = set()
    found: dict[str, str] = {}
    for question in questions:
        text = example(question.row["words"])
        if question.row["session_id"] in patients or text.casefold() in found:
            continue
        patients.add(question.row["session_id"])
        found[text.casefold()] = text
    return list(found.values())[:EXAMPLES]


def tells(redacted: str) -> bool:
    """Whether a redacted message asks anything of an article: not a name alone, nor "neither" to our own question."""
    return any(map(str.isalpha, _TOKEN.sub(" ", redacted))) and not refused(redacted)


def example(redacted: str) -> str:
    """A redacted question for the list: kinds of identifiers without numbers, no figures, at most 120 characters."""
    words = _FIGURES.sub("#", _TOKEN.sub(lambda found: f"[{found[1].lower().replace('_', ' ')}]", redacted)).split()
    text = " ".join(words)
    if len(text) <= LONGEST_EXAMPLE:
        return text
    return text[: LONGEST_EXAMPLE - 1].rsplit(" ", 1)[0] + "…"
