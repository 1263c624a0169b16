"""A patient's message that is refused: the number is in every refusal, the safety text where triage asks for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.api.rates import RateLimit
from app.api.refusals import Arrived, Refusals, ends, preferred, words_of
from app.chat.protocols import Turn
from app.contracts.replies import Reply, ReplyEvent, ReplyKind, Tier
from app.contracts.site import Site
from app.db.cipher import TextCipher
from app.db.session import Database
from app.errors import TooManyRequests
from app.guardrails.catalogue import Catalogue
from app.guardrails.policy import default_bundle_folder, load_bundle
from tests.api.conftest import House, build_house
from tests.api.test_faults import refused
from tests.fakes_conversations import CRISIS, ScriptedResponder

pytestmark = pytest.mark.anyio

STANDING = "If this is an emergency, call 911."
WORDS = {"emergency": "an emergency, my chest", "calm": "where do I park?"}
KINDS = [
    "too_long", "too_large", "rate", "no_session", "unknown_session", "expired_session", "database", "ended",
    "unknown_conversation", "control_character", "unknown_field", "bad_key", "broken_json", "nested", "fault",
]  # fmt: skip


def check(answer: httpx.Response, *, emergency: bool) -> None:
    """The refusal holds what it must."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["emergency"] == STANDING
    if emergency:
        assert body["safety_text"].startswith(CRISIS)
        assert "nobody may see this message" in body["safety_text"]
        assert (body["category"], body["language"]) == ("cardiac", "en")
        assert [(route["route"], route["phone"]) for route in body["routes"]] == [
            ("911", "911"), ("nurse_line", "515-555-0111"),
        ]  # fmt: skip
    else:
        assert not {"safety_text", "category", "routes", "language"} & set(body)


async def refuse(house: House, database: Database, kind: str, words: str) -> tuple[int, str, httpx.Response]:
    """Have a message refused in some way; what is expected, and the answer."""
    headers, text, body = await house.patient(), words, b""
    conversation = await house.conversation(headers)
    json_type = headers | {"Content-Type": "application/json"}
    path = f"/v1/conversations/{conversation}/messages"
    match kind:
        case "too_long":
            return 413, "message_too_long", await house.send(headers, conversation, f"{words} {'blah ' * 3_000}")
        case "too_large":
            return 413, "too_large", await house.send(headers, conversation, f"{words} {'blah ' * 20_000}")
        case "rate":
            started = (await house.http.post("/v1/sessions", json={})).json()
            headers = {"Authorization": f"Bearer {started['token']}"}
            with suppress(TooManyRequests):
                while True:
                    house.services.patient_rate.check(started["session_id"])
            return 429, "too_many_requests", await house.send(headers, conversation, text)
        case "no_session":
            return 401, "not_signed_in", await house.send({}, conversation, text)
        case "unknown_session":
            return 401, "not_signed_in", await house.send({"Authorization": "Bearer gone"}, conversation, text)
        case "expired_session":
            house.clock.ahead = timedelta(hours=25)
            return 401, "session_expired", await house.send(headers, conversation, text)
        case "database":
            with refused(database):
                return 503, "store_unavailable", await house.send(headers, conversation, text)
        case "ended":
            await house.http.post(f"/v1/conversations/{conversation}/close", headers=headers)
            return 409, "conversation_closed", await house.send(headers, conversation, text)
        case "unknown_conversation":
            return 404, "not_found", await house.send(headers, "0" * 32, text)
        case "control_character":
            return 422, "invalid_content", await house.send(headers, conversation, f"{text}\0")
        case "unknown_field":
            body = json.dumps({"text": text, "more": 1}).encode()
            return 422, "invalid_request", await house.http.post(path, content=body, headers=json_type)
        case "bad_key":
            return 422, "invalid_request", await house.send(headers, conversation, text, **{"Idempotency-Key": "a b"})
        case "broken_json":
            body = json.dumps({"text": text}).encode()[:-2]
            return 400, "invalid_json", await house.http.post(path, content=body, headers=json_type)
        case "nested":
            body = json.dumps({"text": text}).encode()[:-1] + b', "more": ' + b"[" * 40 + b"]" * 40 + b"}"
            return 400, "invalid_json", await house.http.post(path, content=body, headers=json_type)
        case "fault":
            house.wired.service._cipher = None  # type: ignore[assignment]
            return 500, "internal_error", await house.send(headers, conversation, text)
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", ["emergency", "calm"])
async def test_every_refusal_of_a_message_gives_the_number_and_the_safety_text_if_it_needs_one(
    house: House, database: Database, kind: str, words: str
) -> None:
    status, name, answer = await refuse(house, database, kind, WORDS[words])
    assert (answer.status_code, answer.json()["name"]) == (status, name), answer.text
    check(answer, emergency=words == "emergency")


async def test_a_reason_for_a_person_that_is_refused_is_a_message_too(house: House) -> None:
    path = f"/v1/conversations/{'0' * 32}/handoff"
    check(await house.http.post(path, json={"reason": WORDS["emergency"]}), emergency=True)


@pytest.mark.parametrize("size", [6_000, 100_000, 900_000])
async def test_the_end_of_a_message_that_is_too_long_is_read_as_well(house: House, size: int) -> None:
    headers = await house.patient()
    conversation = await house.conversation(headers)
    answer = await house.send(headers, conversation, f"{'blah ' * (size // 5)} {WORDS['emergency']}")
    assert answer.status_code == 413
    check(answer, emergency=True)


async def test_other_refusals_hold_no_aid(house: House) -> None:
    for answer in (
        await house.http.post("/v1/conversations", json={}),
        await house.http.get(f"/v1/conversations/{'0' * 32}/messages"),
        await house.http.post(f"/v1/staff/conversations/{'0' * 32}/messages", json={"text": WORDS["emergency"]}),
    ):
        assert answer.status_code == 401
        assert not {"emergency", "safety_text"} & set(answer.json())


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        ("", STANDING),
        ("de", STANDING),
        ("es-MX,es;q=0.9,en;q=0.8", "Si es una emergencia, llame al 911."),
        ("en;q=0.3, es;q=0.7", "Si es una emergencia, llame al 911."),
        ("en-US,en", STANDING),
    ],
)
async def test_the_number_comes_in_the_language_of_the_browser(house: House, accepted: str, said: str) -> None:
    answer = await house.send({"Accept-Language": accepted}, "0" * 32, WORDS["calm"])
    assert answer.json()["emergency"] == said


async def test_the_number_comes_in_the_language_of_the_session(house: House) -> None:
    started = await house.http.post("/v1/sessions", json={"consent": True, "language": "es"})
    headers = {"Authorization": f"Bearer {started.json()['token']}", "Accept-Language": "en"}
    answer = await house.send(headers, "0" * 32, WORDS["calm"])
    assert answer.json()["emergency"] == "Si es una emergencia, llame al 911."


def test_preferred_reads_what_browsers_send() -> None:
    assert preferred("es") == preferred("ES-419;q=0.9, en;q=0.8") == preferred("en;q=0.1,es") == "es"
    assert preferred("en-GB,en;q=0.9,es;q=0.8") == preferred("fr, en;q=0.5") == "en"
    assert preferred("") is preferred("fr-FR") is preferred("es;q=.") is preferred("xx-es") is None


async def test_strangers_cannot_have_more_triaged_than_the_bound(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    responder = ScriptedResponder()
    async with build_house(database, site, cipher, responder) as house:
        answers = [await house.send({}, "0" * 32, WORDS["emergency"]) for _ in range(12)]
        texts = ["safety_text" in answer.json() for answer in answers]
        assert all(texts[:5])
        assert len(responder.turns) == sum(texts) < 9
        for answer, triaged in zip(answers, texts, strict=True):
            check(answer, emergency=triaged)
        headers = await house.patient()  # who has a session and is within its rate is not held up by them
        conversation = await house.conversation(headers)
        check(await house.send(headers, conversation, f"{WORDS['emergency']} {'blah ' * 3_000}"), emergency=True)
        metrics = (await house.http.get("/metrics")).text
        assert f'bedside_refused_messages_total{{outcome="not_triaged"}} {float(12 - sum(texts))}' in metrics
        assert f'bedside_refused_messages_total{{outcome="emergency"}} {float(sum(texts) + 1)}' in metrics


class Remembered:
    """A RefusalObserver."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def refused(self, outcome: str) -> None:
        self.outcomes.append(outcome)


async def test_addresses_together_have_a_bound_too(site: Site) -> None:
    seen = Remembered()
    refusals = Refusals(site, ScriptedResponder(), seen, total_rate=RateLimit(1, burst=3))
    message = Arrived(json.dumps({"text": WORDS["emergency"]}).encode())
    found = [await refusals.aid(message, f"2001:db8::{n}", "") for n in range(5)]
    assert [aid.safety_text is not None for aid in found] == [True] * 3 + [False] * 2
    assert {aid.emergency for aid in found} == {STANDING}
    assert seen.outcomes == ["emergency"] * 3 + ["not_triaged"] * 2


class Broken:
    """A responder that fails as a pipeline may."""

    def __init__(self, how: str) -> None:
        self.how = how

    async def respond(self, turn: Turn) -> AsyncIterator[ReplyEvent]:
        if self.how == "raises":
            raise ValueError("scripted")
        if self.how == "fails":
            yield Reply("…", "…", ReplyKind.HANDOFF, handoff="failed:triage")


async def test_of_a_strangers_text_only_the_ends_are_triaged(site: Site) -> None:
    responder = ScriptedResponder()
    message = Arrived(json.dumps({"text": "x" * 3_500}).encode())
    await Refusals(site, responder, Remembered()).aid(message, "", "")
    message.within_rate = True
    await Refusals(site, responder, Remembered()).aid(message, "", "")
    assert [len(turn.text) for turn in responder.turns] == [1_000, 1_000, 3_500]


@pytest.mark.parametrize("how", ["raises", "fails", "silent"])
async def test_the_number_is_given_when_triage_is_down(site: Site, how: str) -> None:
    seen = Remembered()
    refusals = Refusals(site, Broken(how), seen)
    aid = await refusals.aid(Arrived(json.dumps({"text": WORDS["emergency"]}).encode()), "", "")
    assert (aid.emergency, aid.safety_text) == (STANDING, None)
    assert seen.outcomes == ["not_triaged"]


class Ladder:
    """Urgent where a text begins, an emergency where it ends."""

    async def respond(self, turn: Turn) -> AsyncIterator[ReplyEvent]:
        tier = Tier.EMERGENCY if "worse" in turn.text else Tier.URGENT
        yield Reply(tier.label, tier.label, ReplyKind.EMERGENCY, tier, "cardiac", ("911",))


async def test_the_more_urgent_end_of_a_long_text_decides(site: Site) -> None:
    refusals = Refusals(site, Ladder(), Remembered(), max_characters=20)
    aid = await refusals.aid(Arrived(json.dumps({"text": "bad " * 20 + "and now worse"}).encode()), "", "")
    assert (aid.safety_text or "").startswith("emergency ")


class Spanish:
    """Answers in Spanish, whatever the session was opened in."""

    async def respond(self, turn: Turn) -> AsyncIterator[ReplyEvent]:
        yield Reply("Llame al 911 ahora.", "…", ReplyKind.EMERGENCY, Tier.EMERGENCY, "cardiac", ("nurse_line",))


async def test_labels_are_in_the_language_of_the_safety_text(site: Site) -> None:
    aid = await Refusals(site, Spanish(), Remembered()).aid(Arrived(b'{"text": "me duele"}', language="en"), "", "")
    assert (aid.language, aid.emergency) == ("es", STANDING)
    assert aid.routes is not None
    contact = site.contacts["nurse_line"]
    assert contact.label_in("es") != contact.label_in("en")
    assert [route.label for route in aid.routes] == [contact.label_in("es")]


@pytest.mark.parametrize(
    ("body", "tail", "words"),
    [
        (b'{"text": "a\\nb \\u00f1"}', b"", "a\nb ñ"),
        (b'{"reason": "help"}', b"", "help"),
        (b'{"text": "say \\"stop\\" n', b'ow"}', 'say "stop" now"}'),
        (b'{"text": "a\\ud83d\\ude00b"}', b"", "a😀b"),
        (b'{"text": "a\\u0000b \\ud800"}', b"", "a b  "),
        (b'{"text": 5}', b"", ""),
        (b"[1, 2]", b"", ""),
        (b"chest pain", b"", "chest pain"),
        (b"", b"", ""),
        (b"\xff\xfechest", b"", "\ufffd\ufffdchest"),
    ],
)
def test_words_are_read_from_broken_bodies_too(body: bytes, tail: bytes, words: str) -> None:
    assert words_of(Arrived(body, tail)) == words


def test_ends_overlap_rather_than_leave_something_out() -> None:
    assert ends("  ", 4) == []
    assert ends("abcd", 4) == ["abcd"]
    assert ends("abcdef", 4) == ["abcd", "cdef"]
    assert ends("abcdefghij", 4) == ["abcd", "ghij"]


class Says:
    """A responder with one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def respond(self, turn: Turn) -> AsyncIterator[ReplyEvent]:
        yield Reply(self.text, self.text, ReplyKind.EMERGENCY, Tier.EMERGENCY, "cardiac", ("911",))


async def test_no_text_promises_a_person_whom_nobody_has_told(site: Site) -> None:
    """No call is stored with a refused message."""
    bundle = load_bundle(default_bundle_folder())
    used = {rule.text for rule in bundle.triage if Tier.of(rule.tier) >= Tier.URGENT}
    used |= {raised.text for raised in bundle.learned.categories.values()} if bundle.learned else set()
    assert len(used) > 30
    catalogue = Catalogue(bundle.texts)
    for text_id in sorted(used):
        for language, unseen in (("en", "nobody may see this message."), ("es", "que nadie vea este mensaje.")):
            text = catalogue.render(text_id, language, site)
            aid = await Refusals(site, Says(text), Remembered()).aid(Arrived(b'{"text": "x"}'), "", "")
            said = aid.safety_text or ""
            assert said.endswith(unseen), (text_id, said)
            assert not any(word in said for word in ("told about", "Avisamos", "will write to you")), said
            assert len(said) > len(text) - 45 + len(unseen), (text_id, said)


async def test_the_openapi_tells_of_the_aid(house: House) -> None:
    schema: dict[str, Any] = (await house.http.get("/openapi.json")).json()
    problem = schema["components"]["schemas"]["Problem"]["properties"]
    for field in ("emergency", "safety_text", "category", "routes"):
        assert problem[field]["description"]
