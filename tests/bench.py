"""`make bench`: the service against raw vLLM in one run, on the same engine with the same prompts.

Raw: the prompts that the service sends, straight to vLLM's socket, answers read to their end. Service: the same
questions through HTTP, with triage, redaction, retrieval, checks and storing. Only questions whose answer the service
gives in the model's own words are used, so that both sides generate the same tokens. Ratios are what counts: both are
measured in turn, several rounds, in one process tree on one machine.

Prints a table and writes it between the markers in docs/measurements.md (``--no-write`` leaves the file alone).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from app.bootstrap import (
    SERVED_BASE,
    Runtime,
    engine_key,
    load_articles,
    promote_first,
    register_shipped_adapters,
    runtime,
)
from app.chat.protocols import Turn
from app.chat.search import search_text
from app.contracts.prompt import PromptLimits, PromptMessage, render
from app.contracts.replies import Reply, ReplyKind
from app.engine.command import engine_socket
from app.engine.protocol import Delta, Limits
from app.engine.vllm import VllmEngine
from app.guardrails.output import OutputVerdict
from app.guardrails.stream_gate import StreamGate
from app.redaction.vault import MemoryVault
from app.settings import Settings

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "measurements.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
LEVELS = (1, 8, 32)
PATIENT = Limits(max_tokens=192, first_token_s=300, token_s=300, total_s=300)
QUESTIONS = [
    "What are the visiting hours?",
    "How do I pay my bill?",
    "Where is lost and found?",
    "Can I smoke on campus?",
    "When is the pharmacy open?",
    "How do I connect to the Wi-Fi?",
    "Where is the chapel?",
    "How long does a refill take?",
    "What should I bring to my first visit?",
    "Can I send flowers to a patient?",
    "How do I cancel an appointment?",
    "What happens if I am late?",
    "How do I get an interpreter?",
    "How do I get my records?",
    "Can I bring my service dog?",
    "How do I set up a payment plan?",
    "Where can my family stay?",
    "How do I reset my CedarChart password?",
    "How early should I come for an MRI?",
    "When can I shower after surgery?",
    "When can I drive after surgery?",
    "How do I throw away old medicine?",
    "How should I store insulin?",
    "Where do I get a flu shot?",
    "How much does parking cost?",
    "What food is there in the cafeteria?",
    "How do I send a message to my care team?",
    "How do I get my X-ray on a disc?",
    "Who can see my child's chart?",
    "How do I make a complaint?",
]


@dataclass(frozen=True, slots=True)
class Item:
    """One question, what the service sends to the model for it, and how many characters come back."""

    question: str
    messages: list[PromptMessage]
    characters: int


@dataclass(slots=True)
class Round:
    """One measured round: seconds for all chats, and the seconds to each first piece of text."""

    seconds: float
    first: list[float]


async def usable(parts: Runtime, adapter: str | None, wanted: int) -> list[Item]:
    """The questions that the pipeline answers in the model's own words, with their prompts."""
    items = []
    for question in QUESTIONS:
        reply = await _reply(parts, question, adapter)
        if reply.kind is not ReplyKind.ANSWER:
            continue
        found = await parts.index.search(search_text(question))
        limits = PromptLimits(passages=parts.settings.prompt_passages)
        messages = render(question, found[: limits.passages], site=parts.site.name, limits=limits)
        items.append(Item(question, messages, len(reply.text)))
        if len(items) == wanted:
            break
    if not items:
        raise SystemExit("no question is answered in the model's own words: nothing can be compared")
    return items


async def _reply(parts: Runtime, question: str, adapter: str | None) -> Reply:
    async for event in parts.pipeline.respond(Turn("bench", question, MemoryVault(), adapter=adapter)):
        if isinstance(event, Reply):
            return event
    raise AssertionError("no reply")


async def together(work: Callable[[int], Awaitable[float]], chats: int, at_once: int) -> Round:
    """Run ``chats`` chats, ``at_once`` of them together."""
    slots, first = asyncio.Semaphore(at_once), []

    async def one(number: int) -> None:
        async with slots:
            first.append(await work(number))

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(chats)))
    return Round(time.perf_counter() - began, first)


def raw_chat(engine: VllmEngine, items: Sequence[Item], adapter: str | None) -> Callable[[int], Awaitable[float]]:
    """A chat straight with vLLM; gives the seconds until the first sentence is known to be whole."""

    async def chat(number: int) -> float:
        began, first, gate = time.perf_counter(), 0.0, StreamGate(lambda _sentence: OutputVerdict(passed=True))
        async with aclosing(engine.stream(items[number % len(items)].messages, adapter, PATIENT)) as events:  # type: ignore[type-var]
            async for event in events:
                done = gate.feed(event.text) if isinstance(event, Delta) else gate.finish()
                if done and not first:
                    first = time.perf_counter() - began
        return first or time.perf_counter() - began

    return chat


def service_chat(clients: Sequence[Client], items: Sequence[Item]) -> Callable[[int], Awaitable[float]]:
    """A chat through the service, its events read by SSE; gives the seconds to the first vetted sentence."""

    async def chat(number: int) -> float:
        return await clients[number % len(clients)].ask(items[number % len(items)].question)

    return chat


class Client:
    """A patient's session; every question gets a conversation of its own."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http, self._headers = http, {"Authorization": f"Bearer {token}"}

    @classmethod
    async def sign_on(cls, http: httpx.AsyncClient) -> Client:
        answer = await http.post("/v1/sessions", json={"consent": True, "language": "en"})
        return cls(http, answer.raise_for_status().json()["token"])

    async def ask(self, question: str) -> float:
        """Seconds from sending the question to the first vetted sentence; returns when the reply is complete.

        Ends the bench if the reply is not in the model's own words: then the two sides would not have done the same.
        """
        made = await self._http.post("/v1/conversations", json={}, headers=self._headers)
        url = f"/v1/conversations/{made.raise_for_status().json()['id']}"
        began, first = time.perf_counter(), 0.0
        posted = await self._http.post(f"{url}/messages", json={"text": question}, headers=self._headers)
        posted.raise_for_status()
        async with self._http.stream("GET", f"{url}/events", headers=self._headers) as stream:
            name = ""
            async for line in stream.aiter_lines():
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:") and name == "message.delta" and not first:
                    first = time.perf_counter() - began
                elif line.startswith("data:") and name == "message.completed" and (kind := _assistants(line)):
                    if kind != "answer":
                        raise SystemExit(f"a reply was {kind}, not answer: the comparison would not be fair")
                    break
        return first or time.perf_counter() - began


def _assistants(line: str) -> str:
    message = json.loads(line[5:])["message"]
    return str(message["kind"]) if message["author"] == "assistant" else ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Medians over rounds at one level."""

    level: int
    raw_chats_s: float
    service_chats_s: float
    ratio: float
    added_p50_ms: float
    added_p95_ms: float


async def compare(
    level: int, rounds: int, raw: Callable[[int], Awaitable[float]], service: Callable[[int], Awaitable[float]]
) -> Comparison:
    """Raw and service in turn, ``rounds`` times each, pairwise ratios."""
    chats = max(8, level * 2)
    pairs = []
    for _ in range(rounds):
        pairs.append((await together(raw, chats, level), await together(service, chats, level)))
        print(
            f"  {level:2} at once: raw {pairs[-1][0].seconds:.1f} s, service {pairs[-1][1].seconds:.1f} s", flush=True
        )
    ratio = statistics.median(a.seconds / b.seconds for a, b in pairs)
    raw_first = sorted(x for a, _ in pairs for x in a.first)
    service_first = sorted(x for _, b in pairs for x in b.first)
    return Comparison(
        level=level,
        raw_chats_s=statistics.median(chats / a.seconds for a, _ in pairs),
        service_chats_s=statistics.median(chats / b.seconds for _, b in pairs),
        ratio=ratio,
        added_p50_ms=(at(service_first, 0.5) - at(raw_first, 0.5)) * 1000,
        added_p95_ms=(at(service_first, 0.95) - at(raw_first, 0.95)) * 1000,
    )


def at(ordered: Sequence[float], share: float) -> float:
    """The value at a share of an ordered list."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def stages(http: httpx.AsyncClient) -> dict[str, tuple[float, float]]:
    """p50 and p95 by stage, milliseconds, from the service's own histograms (upper bucket bounds)."""
    buckets: dict[str, list[tuple[float, float]]] = {}
    for line in (await http.get("/metrics")).text.splitlines():
        if found := re.match(r'bedside_stage_seconds_bucket\{le="([^"]+)",stage="([^"]+)"\} (\S+)', line):
            bound = float("inf") if found[1] == "+Inf" else float(found[1])
            buckets.setdefault(found[2], []).append((bound, float(found[3])))
    result = {}
    for stage, counts in buckets.items():
        counts.sort()
        total = counts[-1][1]
        result[stage] = tuple(
            next(bound for bound, count in counts if count >= share * total) * 1000 for share in (0.5, 0.95)
        )
    return result  # type: ignore[return-value]


async def measure(settings: Settings, rounds: int) -> str:
    """Start an engine and a service, measure, and give the report as Markdown."""
    async with runtime(settings) as parts:
        print("starting the engine ...", flush=True)
        assert parts.engine.launcher is not None
        await load_articles(parts.knowledge, settings.site)
        await parts.engine.launcher.start()
        if not await parts.engine.launcher.wait_ready(300):
            raise SystemExit(f"no engine: {parts.engine.launcher.health().detail}")
        await promote_first(parts.adapters, await register_shipped_adapters(parts.adapters, settings.adapters))
        await parts.adapters.reconcile()
        adapter = (await parts.adapters.live()).version
        items = await usable(parts, adapter, 12)
        socket = engine_socket(engine_key(settings), inherited=os.environ)
        print(f"{len(items)} questions, adapter {adapter}; starting the service ...", flush=True)
        with Service(settings, socket) as url:
            engine = VllmEngine(model=SERVED_BASE, uds=str(socket))
            limits = httpx.Limits(max_connections=200)
            async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as http:
                clients = [await Client.sign_on(http) for _ in range(max(LEVELS))]
                raw, service = raw_chat(engine, items, adapter), service_chat(clients, items)
                await together(raw, 8, 4)
                await together(service, 8, 4)
                results = [await compare(level, rounds, raw, service) for level in LEVELS]
                by_stage = await stages(http)
            await engine.aclose()
    return report(results, by_stage, len(items), rounds, adapter)


class Service:
    """`bedside serve` in a process of its own, over an engine that runs."""

    def __init__(self, settings: Settings, socket: Path) -> None:
        self._environment = os.environ | {
            "BEDSIDE_STATE": str(settings.state), "BEDSIDE_ENGINE": "external",
            "BEDSIDE_ENGINE_URL": f"unix:{socket}",
            "BEDSIDE_TURN_TIMEOUT_S": "300", "BEDSIDE_REQUESTS_PER_MINUTE": "1000000",
            "BEDSIDE_PORT": "8097", "BEDSIDE_LOG_LEVEL": "error",
        }  # fmt: skip

    def __enter__(self) -> str:
        command = [sys.executable, "-c", "from app.cli.program import main; main()", "serve"]
        self._process = subprocess.Popen(command, env=self._environment, cwd=ROOT)
        url = "http://127.0.0.1:8097"
        for _ in range(600):
            try:
                if httpx.get(f"{url}/readyz").json()["answers"] == "everything":
                    return url
            except (httpx.HTTPError, KeyError, ValueError):
                pass
            time.sleep(0.2)
        raise SystemExit("the service did not become ready")

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait(30)


def report(
    results: list[Comparison], by_stage: dict[str, tuple[float, float]], items: int, rounds: int, adapter: str | None
) -> str:
    """The tables."""
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    head = (
        f"{datetime.now(UTC):%Y-%m-%d}, `make bench`, {machine}, {rounds} rounds in turn, {items} questions, "
        f"adapter {adapter or 'none'}. Chats a second are medians; the ratio is the median of pairs."
    )
    columns = ["concurrent chats", "raw vLLM", "service", "ratio (goal 0.8, then 0.95)", "first sentence p50", "p95"]
    rows = [
        [str(r.level), f"{r.raw_chats_s:.2f}", f"{r.service_chats_s:.2f}", f"**{r.ratio:.2f}**",
         f"{r.added_p50_ms:+.0f} ms", f"{r.added_p95_ms:+.0f} ms"]
        for r in results
    ]  # fmt: skip
    timings = [[stage, f"{p50:g} ms", f"{p95:g} ms"] for stage, (p50, p95) in sorted(by_stage.items())]
    return "\n\n".join([head, table(columns, rows), table(["stage", "p50 at most", "p95 at most"], timings)])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, ["---"] * len(columns), *rows])


def write(text: str) -> None:
    """Put the report between the markers of docs/measurements.md."""
    whole = REPORT.read_text(encoding="utf-8")
    before, rest = whole.split(BEGIN)
    REPORT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side at each level")
    parser.add_argument("--no-write", action="store_true", help="leave docs/measurements.md alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as state:
        text = asyncio.run(measure(Settings(state=Path(state)), chosen.rounds))
    print("\n" + text)
    if not chosen.no_write:
        write(text)


if __name__ == "__main__":
    main()
