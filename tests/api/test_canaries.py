"""Planted identifiers go through every route and fault; afterwards they are searched for wherever bytes are kept.

They may be in the answers to the patient who wrote them, and nowhere else in plain: not in a table, the database's
files and log, our log, a metric, a wake-up, a temporary file, a prompt, or an answer to anybody else. A search that
finds nothing proves something only because the last test plants a leak in each of these places.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import psycopg
import pytest
from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.api.deps import STAFF_COOKIE
from app.contracts.site import Site
from app.db.cipher import TextCipher
from app.db.notify import CHANNEL
from app.db.session import Database
from app.logging import configure, logger
from app.redaction.entities import TYPES
from app.redaction.redactor import build_redactor
from tests.api.conftest import House
from tests.api.test_faults import refused
from tests.api.ward import Ward, open_ward, shown
from tests.canaries import PATIENT, Search, everything, server_files
from tests.fakes_engine import Scripted

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

QUESTION = "When can I visit somebody in the hospital?"
SENTENCES = [sentence for sentence, _values in PATIENT.values()]
CANARIES = Search.of(*(values for _sentence, values in PATIENT.values()))
NOTE = Search(("Ozwaldine Trebbick", "319-555-0188"))
"""What staff write into the note of a call: for the team to read, encrypted in the database."""
REASON = Search(("Ysolde Mackwether",))
"""What staff give as the reason for opening a text: in the audit log as they wrote it."""
SIGN_IN = Search(("tansyfroud@example.org",))
"""What somebody types into the sign-in form by mistake."""
GROUPS = [" ".join(SENTENCES[at : at + 3]) for at in range(0, len(SENTENCES), 3)]
"""Messages of three sentences, and few enough characters for a reason."""

KNOWN = {
    "audit_log.details: Ysolde Mackwether": "documented in docs/privacy.md: staff are told to write no names",
}
"""What staff and strangers type that is kept in plain, as docs/privacy.md says, and why. Nothing else may be."""


@dataclass
class Day:
    """What one run through everything left behind."""

    ward: Ward
    database: Database
    wakes: list[str] = field(default_factory=list)
    for_others: list[httpx.Response] = field(default_factory=list)
    streamed: list[str] = field(default_factory=list)
    metrics: str = ""
    log: str = ""
    temporary: Path = Path()

    def prompts(self) -> str:
        """All that the engine received."""
        return "\n".join(message.content for call in self.ward.engine.calls for message in call.messages)

    def leaks(self, search: Search) -> list[str]:
        """Places outside the tables where a canary was found."""
        named = {"log": self.log, "metrics": self.metrics, "wake-ups": "\n".join(self.wakes), "prompts": self.prompts()}
        found = search.places(named | shown(self.for_others) | {"staff stream": "\n".join(self.streamed)})
        return found + search.files(self.temporary)


@asynccontextmanager
async def listening(database: Database, heard: list[str]) -> AsyncIterator[None]:
    """Keeps every wake-up that the database sends, payload and all."""
    dsn = make_url(database.url).set(drivername="postgresql", database="postgres")
    name = make_url(database.url).database or ""
    connection = await psycopg.AsyncConnection.connect(
        dsn.set(database=name).render_as_string(hide_password=False), autocommit=True
    )
    await connection.execute(f"LISTEN {CHANNEL}")

    async def hear() -> None:
        async for notice in connection.notifies():
            heard.append(notice.payload)

    task = asyncio.create_task(hear())
    try:
        yield
    finally:
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connection.close()


@contextmanager
def watched_files(folder: Path) -> Iterator[Path]:
    """Whatever is written with ``tempfile`` meanwhile lies in ``folder``."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before


@pytest.fixture
async def day(
    database: Database, site: Site, cipher: TextCipher, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> AsyncIterator[Day]:
    """A service whose every output is kept."""
    configure("debug", "json")
    with watched_files(tmp_path / "tmp") as temporary:
        temporary.mkdir()
        async with open_ward(database, site, cipher) as ward:
            day = Day(ward, database, temporary=temporary)
            capfd.readouterr()
            yield day
    configure("warning", "json")


async def a_patient_writes(day: Day) -> tuple[dict[str, str], str]:
    """Every class in messages, feedback, a transcript; then she asks for a person and says why."""
    ward, patient = day.ward, await day.ward.patient()
    conversation = await ward.conversation(patient)
    replies = []
    for sentences in GROUPS:
        sent = await ward.send(patient, conversation, f"{sentences} {QUESTION}")
        assert sent.status_code == 200, sent.text
        replies.append(sent.json()["reply"])
    for reason in GROUPS:
        body = {"rating": "down", "reason": reason}
        rated = await ward.http.put(f"/v1/messages/{replies[0]['id']}/feedback", json=body, headers=patient)
        assert rated.status_code == 204, rated.text
    own = f"/v1/conversations/{conversation}"
    assert set(CANARIES.inside((await ward.http.get(f"{own}/transcript", headers=patient)).text)) >= {"Zandrakis"}
    for reason in GROUPS:
        asked = await ward.http.post(f"{own}/handoff", json={"reason": reason}, headers=patient)
        assert asked.status_code == 202, asked.text
    await ward.settled()
    async with ward.http.stream("GET", f"{own}/events", headers=patient) as events, _lines(events) as lines:
        async for line in lines:
            if "message.created" in line:
                break
    return patient, conversation


async def staff_work(day: Day, conversation: str) -> None:
    """Queue, reading, taking over, writing, opening, closing, the console's pages; a stranger looks in too."""
    ward = day.ward
    nurse, token = await ward.staff("staff")
    path = f"/v1/staff/conversations/{conversation}"
    follower = asyncio.create_task(_follow(day, nurse))
    stranger = await ward.patient()
    began = len(ward.answers)
    for place in ("", "/messages", "/transcript", "/events"):
        answer = await ward.http.get(f"/v1/conversations/{conversation}{place}", headers=stranger)
        assert answer.status_code == 404
    queue = await ward.http.get("/v1/staff/escalations", headers=nurse)
    assert conversation in queue.text
    assert (await ward.http.get(path, headers=nurse)).status_code == 200
    cookie = {"Cookie": f"{STAFF_COOKIE}={token}"}
    for page in ("/console/", "/console/fragments/queue", f"/console/conversations/{conversation}"):
        assert (await ward.http.get(page, headers=cookie)).status_code == 200
    assert (await ward.http.post(f"{path}/take-over", json={}, headers=nurse)).status_code == 200
    for sentences in GROUPS:
        said = await ward.http.post(f"{path}/messages", json={"text": sentences}, headers=nurse)
        assert said.status_code == 201, said.text
    opened = {"reason": f"{REASON.canaries[0]} asked for it"}
    revealed = await ward.http.post(f"{path}/reveal", json=opened, headers=nurse)
    assert set(CANARIES.inside(revealed.text)) >= {"Zandrakis", "PZX900412"}
    ward.answers.remove(revealed)
    ending = {"disposition": "answered", "note": " at ".join(NOTE.canaries)}
    resolved = await ward.http.post(f"{path}/resolve", json=ending, headers=nurse)
    assert resolved.status_code == 200, resolved.text
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    assert day.streamed
    day.for_others += ward.answers[began:]


def _lines(events: httpx.Response) -> aclosing[AsyncGenerator[str, None]]:
    """The lines of a stream that may be left before its end."""
    return aclosing(cast(AsyncGenerator[str, None], events.aiter_lines()))


async def _follow(day: Day, nurse: dict[str, str]) -> None:
    async with day.ward.http.stream("GET", "/v1/staff/events", headers=nurse) as events, _lines(events) as lines:
        async for line in lines:
            day.streamed.append(line)


async def a_crisis(day: Day) -> None:
    """An emergency with identifiers, before and after staff have noted how it ended."""
    ward, patient = day.ward, await day.ward.patient()
    conversation = await ward.conversation(patient)
    told = await ward.send(patient, conversation, everything(["I want to kill myself tonight.", *SENTENCES]))
    assert told.json()["reply"]["kind"] == "emergency"
    nurse, _token = await ward.staff("staff")
    path = f"/v1/staff/conversations/{conversation}"
    began = len(ward.answers)
    assert (await ward.http.post(f"{path}/take-over", json={}, headers=nurse)).status_code == 200
    ending = {"disposition": "reached", "note": " at ".join(NOTE.canaries)}
    assert (await ward.http.post(f"{path}/resolve", json=ending, headers=nurse)).status_code == 200
    day.for_others += ward.answers[began:]


async def refused_input(day: Day, patient: dict[str, str], conversation: str) -> None:
    """Whatever is refused: unreadable, too long, too large, unsigned, somebody else's, at addresses that are none."""
    ward, words = day.ward, everything(SENTENCES)
    path, value = f"/v1/conversations/{conversation}/messages", CANARIES.canaries[0]
    began = len(ward.answers)
    http, typed = ward.http, {"Content-Type": "application/json"}
    raw = words.encode()
    surrogate = b'{"text": "\\ud800 ' + json.dumps(words)[1:].encode() + b"}"
    refusals = [
        await http.post(path, json={"text": f"{words}\0"}, headers=patient),
        await http.post(path, content=surrogate, headers=patient | typed),
        await http.post(path, json={"text": words * 9}, headers=patient),
        await http.post(path, json={"text": words * 99}, headers=patient),
        await http.post(path, content=b'{"text": "' + raw, headers=patient | typed),
        await http.post(path, content=b"[" * 99 + raw, headers=patient | typed),
        await http.post(path, json={"text": [words]}, headers=patient),
        await http.post(path, json={"text": words}),
        await http.post(path, json={"text": words}, headers={"Authorization": f"Bearer {value}"}),
        await http.post(f"/v1/conversations/{'0' * 32}/messages", json={"text": words}, headers=patient),
        await http.post(f"/v1/conversations/{value}/messages", json={"text": words}, headers=patient),
        await http.post("/v1/sessions", json={"consent": True, "language": words}),
        await http.put("/v1/sessions/current/consent", json={"notice_version": words}, headers=patient),
        await http.get(f"/v1/conversations/{conversation}/messages", params={"after": words}, headers=patient),
        await http.put(f"/v1/messages/{'0' * 32}/feedback", json={"rating": words}, headers=patient),
        await http.put(f"/v1/messages/{value}/feedback", json={"rating": "up"}, headers=patient),
        await http.post(f"/v1/conversations/{conversation}/handoff", json={"reason": words * 2}, headers=patient),
        await http.request(value.upper(), path, headers=patient),
    ]  # fmt: skip
    agent = {"User-Agent": value, "Referer": f"https://example.org/{value}", "X-Session-ID": value}
    for place in (
        f"/widget/{value}.js",
        f"/page/{value}",
        f"/articles/{value}",
        f"/{value}",
        f"/console/static/{value}",
    ):
        refusals.append(await http.get(place, headers=agent))
    assert {answer.status_code // 100 for answer in refusals} == {4}, [answer.status_code for answer in refusals]
    assert (await http.get("/widget/frame", params={"q": value}, headers=agent)).status_code == 200
    day.for_others += ward.answers[began:]


async def admin_work(day: Day) -> None:
    """The admin's routes, with things typed into them that do not belong there."""
    ward = day.ward
    wrong = {"username": SIGN_IN.canaries[0], "password": CANARIES.canaries[0]}
    assert (await ward.http.post("/v1/staff/sign-in", json=wrong)).status_code == 401
    admin, token = await ward.staff("admin")
    began, value = len(ward.answers), CANARIES.canaries[1]
    for place in ("audit", "audit/verify", "adapters", "articles", "policies"):
        assert (await ward.http.get(f"/v1/admin/{place}", headers=admin)).status_code == 200, place
    assert (await ward.http.post("/v1/admin/policies/reload", headers=admin)).status_code == 200
    for path, body in (("adapters", {"path": f"/elsewhere/{value}"}), (f"adapters/{value}@{'0' * 12}/promote", {})):
        assert (await ward.http.post(f"/v1/admin/{path}", json=body, headers=admin)).status_code // 100 == 4
    assert (await ward.http.get("/console/adapters", headers={"Cookie": f"{STAFF_COOKIE}={token}"})).status_code == 200
    for place in ("/healthz", "/readyz", "/v1/widget/config", "/openapi.json"):
        assert (await ward.http.get(place)).status_code == 200, place
    day.for_others += ward.answers[began:]


async def faults(day: Day) -> None:
    """The engine refuses, breaks, and quotes the prompt; redaction breaks; the database goes in mid-turn."""
    ward, patient = day.ward, await day.ward.patient()
    conversation, nurse = await ward.conversation(patient), (await ward.staff("staff"))[0]
    words = f"{everything(SENTENCES)} {QUESTION}"
    for fault in ("down", "raise", "garbage", "die-after"):
        ward.engine.script(Scripted("Visiting hours are from 9 to 5.", fault=fault))
        assert (await ward.send(patient, conversation, words)).status_code == 200
    ward.engine.answer = _quote
    assert (await ward.send(patient, conversation, words)).status_code == 200
    ward.redaction.broken, asked = True, len(ward.engine.calls)
    assert (await ward.send(patient, conversation, words)).json()["reply"]["kind"] in ("handoff", "fallback")
    assert len(ward.engine.calls) == asked, "the model was asked although redaction failed"
    reply = (await ward.http.get(f"/v1/conversations/{conversation}/messages", headers=patient)).json()["items"][1]
    began = len(ward.answers)
    body = {"rating": "down", "reason": SENTENCES[0]}
    rated = await ward.http.put(f"/v1/messages/{reply['id']}/feedback", json=body, headers=patient)
    taken = await ward.http.post(f"/v1/staff/conversations/{conversation}/take-over", json={}, headers=nurse)
    said = await ward.http.post(
        f"/v1/staff/conversations/{conversation}/messages", json={"text": SENTENCES[0]}, headers=nurse
    )
    seen = await ward.http.get(f"/v1/staff/conversations/{conversation}", headers=nurse)
    assert (rated.status_code // 100, taken.status_code, said.status_code // 100) == (5, 200, 5)
    assert "withheld" in seen.text or "not shown" in seen.text or "kept from" in seen.text, seen.text
    day.for_others += ward.answers[began:]
    ward.redaction.broken = False
    other = await ward.conversation(patient)
    ward.engine.script(Scripted("Visiting hours are from 9 to 5.", delay_s=0.3))
    path = f"/v1/conversations/{other}/messages"
    assert (await ward.http.post(path, json={"text": words}, headers=patient)).status_code == 202
    await asyncio.sleep(0.4)
    with refused(day.database):
        began = len(ward.answers)
        assert (await ward.http.post(path, json={"text": words}, headers=patient)).status_code == 503
        await asyncio.sleep(0.5)
        day.for_others += ward.answers[began:]
    async with asyncio.timeout(60):
        while "assistant" not in (page := await ward.http.get(path, headers=patient)).text:
            await asyncio.sleep(0.2)
    assert page.status_code == 200
    await ward.settled()


def _quote(messages: Any, _adapter: str | None) -> Scripted:
    raise ValueError(f"bad prompt: {messages}")


async def test_what_patients_tell_is_nowhere_in_plain(day: Day, capfd: pytest.CaptureFixture[str]) -> None:
    async with listening(day.database, day.wakes):
        patient, conversation = await a_patient_writes(day)
        await staff_work(day, conversation)
        await a_crisis(day)
        await refused_input(day, patient, conversation)
        await admin_work(day)
        await faults(day)
        day.metrics = (await day.ward.http.get("/metrics")).text
        day.log = "".join(capfd.readouterr())
    answered = [call for call in day.ward.engine.calls if call.outcome == "finished"]
    assert len(answered) >= 5, f"few canaries reached the step where prompts are made: {len(answered)}"
    assert {"EMAIL", "PHONE", "MRN", "SSN", "PERSON"} <= set(re.findall(r"<([A-Z_]+)_\d+>", day.prompts()))
    assert {payload.split(":")[0] for payload in day.wakes} >= {"conversation", "staff"}
    for said in ("step failed", "engine failed", "request failed", "message withheld from staff"):
        assert said in day.log, f"the fault was not logged: {said}"

    assert day.leaks(CANARIES) == []
    typed = Search.of(NOTE.canaries, REASON.canaries, SIGN_IN.canaries)
    elsewhere = Search.of(REASON.canaries, SIGN_IN.canaries)
    assert [place for place in day.leaks(typed) if place.startswith(("log", "metrics", "wake-ups", "prompts"))] == []
    assert NOTE.places({"admin": "\n".join(a.text for a in day.for_others if "/admin/" in str(a.request.url))}) == []
    assert elsewhere.files(day.temporary) == []
    tables = CANARIES.tables(day.database.url) + typed.tables(day.database.url)
    assert set(tables) == set(KNOWN), "a new leak, or one that is mended: then take it out of KNOWN and of the page"
    both = Search.of(CANARIES.canaries, NOTE.canaries)
    assert both.written(server_files(day.database.url), plain=True) == []


async def test_erasing_leaves_no_row_of_the_conversation(day: Day) -> None:
    ward, patient = day.ward, await day.ward.patient()
    conversation = await ward.conversation(patient)
    for sentence in SENTENCES[:4]:
        await ward.send(patient, conversation, f"{sentence} {QUESTION}", **{"Idempotency-Key": sentence[-5:-1]})
    assert await rows(day.database, conversation) > 20
    gone = await ward.http.delete(f"/v1/conversations/{conversation}", headers=patient)
    assert gone.status_code == 204, gone.text
    assert await rows(day.database, conversation) == 0


async def test_no_hash_in_the_database_lets_a_guess_of_a_text_be_tried(house: House) -> None:
    """A short message is soon guessed: whoever has the database without the key must not be able to try guesses."""
    patient = await house.patient()
    conversation = await house.conversation(patient)
    words = "my pin is 4471"
    await house.send(patient, conversation, words, **{"Idempotency-Key": "k1", "Prefer": "wait=10"})
    async with house.services.database.session() as session:
        stored = set((await session.execute(text("SELECT request_sha256 FROM idempotency_keys"))).scalars())
        known = list((await session.execute(text("SELECT id FROM conversations"))).scalars())
    guesses = {hashlib.sha256(f"{one}\n{words}".encode()).hexdigest() for one in known}
    assert stored
    assert stored.isdisjoint(guesses)


async def rows(database: Database, conversation: str) -> int:
    """Rows that name a conversation or hang on one of its messages, the audit log aside."""
    count = 0
    async with database.session() as session:
        for table in ("messages", "events", "turns", "pseudonyms", "escalations"):
            query = text(f"SELECT count(*) FROM {table} WHERE conversation_id = :c")
            count += int((await session.execute(query, {"c": conversation})).scalar() or 0)
        query = text("SELECT count(*) FROM idempotency_keys WHERE owner LIKE :c")
        count += int((await session.execute(query, {"c": f"%{conversation}"})).scalar() or 0)
        for table in ("feedback", "citations", "guardrail_hits", "turn_metrics"):
            query = text(f"SELECT count(*) FROM {table} WHERE message_id NOT IN (SELECT id FROM messages)")
            count += int((await session.execute(query)).scalar() or 0)
    return count


def test_there_is_a_canary_of_every_class_and_rules_find_it() -> None:
    assert set(PATIENT) == TYPES
    redactor = build_redactor("log", timeout_s=20)
    for kind, (sentence, values) in PATIENT.items():
        redacted = redactor.redact(sentence)
        assert {entity.type for entity in redacted.entities} == {kind}, redacted
        assert Search(values).inside(redacted.text) == []


async def test_a_leak_in_any_of_the_places_would_be_noticed(
    day: Day, capfd: pytest.CaptureFixture[str], cipher: TextCipher
) -> None:
    """One planted leak for each place that is searched, each by a mark that the other test never looks for."""
    ward, patient = day.ward, await day.ward.patient()
    conversation = await ward.conversation(patient)
    await ward.send(patient, conversation, "My friend is Wimborghast. " + QUESTION)
    planted = Search(tuple(f"Plantleak{letter}vale" for letter in "abcdefgh"))
    table, column, log, metric, wake, temporary, server, prompt = planted.canaries
    async with listening(day.database, day.wakes), day.database.session() as session:
        await session.execute(text("UPDATE messages SET text_redacted = :t"), {"t": f"told {table.upper()}"})
        await session.execute(text("UPDATE messages SET text_encrypted = :t"), {"t": column.encode()})
        await session.execute(text("SELECT pg_notify(:c, :p)"), {"c": CHANNEL, "p": wake})
        await session.execute(text(f"DO $$ BEGIN RAISE LOG 'saw {server}'; END $$"))
    logger("test").warning("a field on the list", kind=log)
    counter = Counter("planted", "", ["text"], registry=ward.services.metrics.registry)
    counter.labels(metric).inc()
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(temporary.encode("utf-16-le"))
    ward.engine.script("Visiting hours are from 9 to 5.")
    assert ward.engine.calls[-1].messages[-1].content, "there is a prompt to look into"
    day.metrics = (await ward.http.get("/metrics")).text
    day.log = "".join(capfd.readouterr())
    found = day.leaks(planted)
    assert {place.split(": ")[-1] for place in found} == {log, metric, wake, temporary}, found
    assert set(planted.tables(day.database.url)) >= {
        f"messages.text_redacted: {table}",
        f"messages.text_encrypted: {column}",
    }
    files = planted.written(server_files(day.database.url), plain=True)
    assert any(place.endswith(f"/log: {server}") for place in files), files
    assert any(place.startswith("pg_wal/") and place.endswith(table) for place in files), files
    assert "Wimborghast" in day.prompts() or "<PERSON_1>" in day.prompts()
    assert prompt not in day.prompts()
