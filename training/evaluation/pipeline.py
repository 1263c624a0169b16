"""Answers every item through the pipeline that answers patients, from triage to the output checks, over vLLM.

Only three things differ from service. Times are generous, since a batch waits for its turn on a small machine; the
clock of the hospital stands, so that texts that depend on opening hours are the same for every system; and the model
speaks to its end even where a check stopped listening, so that all that it said is on record.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.chat.pipeline import Bounds, Pipeline
from app.chat.protocols import Retriever, Turn
from app.contracts.passages import Passage
from app.contracts.prompt import NOT_IN_ARTICLES, PROMPT_VERSION, PromptLimits, PromptMessage
from app.contracts.replies import Reply, ReplyKind
from app.contracts.site import Site, load_site
from app.db.embedded import EmbeddedPostgres
from app.db.migrate import upgrade
from app.db.session import Database
from app.encoder.delta import FOLDER as SEARCH_FOLDER
from app.encoder.delta import RERANK_FOLDER, TURNS_FOLDER, WORDS_FOLDER
from app.encoder.encoder import Encoder, SearchEncoder, TurnEncoder
from app.encoder.reranker import Reranker
from app.encoder.weights import WEIGHTS_SHA256
from app.engine.protocol import Delta, Engine, EngineHealth, Finished, Limits
from app.engine.sse import RequestRefused
from app.errors import EngineError, EngineUnavailable, GuardrailFailed
from app.guardrails.active import ActivePolicies, Policies, compiled
from app.guardrails.policy import default_bundle_folder, load_bundle
from app.knowledge.index import KnowledgeIndex
from app.knowledge.service import KnowledgeService
from app.redaction.detector import Detector
from app.redaction.leaks import foreign_identifiers
from app.redaction.lexicon import WORDS as LEXICON
from app.redaction.recognizers.head import FOLDER as HEAD_FOLDER
from app.redaction.redactor import Redactor, build_detector
from app.redaction.vault import MemoryVault
from training.evaluation.answers import Answered, Identity, Kept, Run, complete
from training.evaluation.items import Item, ItemSet
from training.sentences import split_sentences, without_citation

NOON = datetime(2026, 9, 2, 18, tzinfo=UTC)
"""When the hospital's clock stands: a Wednesday, at an hour at which a hospital in the Americas has people at hand."""

SHIPPED_PARTS = (SEARCH_FOLDER, WORDS_FOLDER, TURNS_FOLDER, RERANK_FOLDER, HEAD_FOLDER, LEXICON)
"""Folders of what the pipeline has learnt, policies aside: search, words, turns, reranker, and both of redaction."""

_OF_THE_MODEL = frozenset({"length", "not_in_articles", "not_asked", RequestRefused.__name__})
"""What the pipeline notes of the engine that tells something of model and prompt. All else is a failure."""
_PATIENT_S = 120.0
Done = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Setup:
    """What an administrator sets in service (``BEDSIDE_PROMPT_PASSAGES`` and the like), with its defaults."""

    prompt_passages: int = 1
    max_tokens: int = 192
    max_message_characters: int = 4_000

    def bounds(self) -> Bounds:
        """The pipeline's bounds."""
        return Bounds(
            step_s=_PATIENT_S,
            max_characters=self.max_message_characters,
            prompt=PromptLimits(passages=self.prompt_passages),
            generation=Limits(max_tokens=self.max_tokens, first_token_s=600, token_s=_PATIENT_S, total_s=1_200),
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """All of the pipeline but the engine, built once for every system that is evaluated."""

    site: Site
    policies: Policies
    detector: Detector
    retriever: Retriever
    setup: Setup
    articles_sha256: str
    parts_sha256: str

    def pipeline(self, engine: Engine, retriever: Retriever) -> Pipeline:
        """A pipeline; it costs nothing to make."""
        return Pipeline(
            site=self.site,
            policies=ActivePolicies(self.policies),
            redactor=Redactor(self.detector, "prompt"),
            retriever=retriever,
            engine=engine,
            leaks=functools.partial(foreign_identifiers, self.detector),
            bounds=self.setup.bounds(),
            now=lambda: NOON,
        )

    def identity(self, system: str, adapter_sha256: str | None, base_sha256: str, evaluation_sha256: str) -> Identity:
        """What the answers of a system will depend on."""
        return Identity(
            system=system,
            adapter_sha256=adapter_sha256,
            base_sha256=base_sha256,
            evaluation_sha256=evaluation_sha256,
            policy_hash=self.policies.bundle.hash,
            prompt_version=PROMPT_VERSION,
            articles_sha256=self.articles_sha256,
            parts_sha256=self.parts_sha256,
            bounds=hashlib.sha256(repr(self.setup.bounds()).encode()).hexdigest(),
        )


@asynccontextmanager
async def opened(
    site_folder: Path, state: Path, setup: Setup | None = None, policy_folder: Path | None = None
) -> AsyncIterator[Parts]:
    """Build the parts over a site's folder; the index and the encoder's file are kept in ``state`` for the next time.

    Raises ConfigurationError (site, articles or policies are wrong), StoreUnavailable.
    """
    site = load_site(site_folder)
    encoder = await asyncio.to_thread(Encoder.load, state / "encoder")
    turns = await asyncio.to_thread(TurnEncoder.load, state / "encoder")
    search_encoder = await asyncio.to_thread(SearchEncoder.load, state / "encoder")
    reranker = await asyncio.to_thread(Reranker.load, state / "encoder")
    bundle = load_bundle(policy_folder or default_bundle_folder())
    policies = await asyncio.to_thread(compiled, bundle, site, NOON, turns)
    detector = await asyncio.to_thread(functools.partial(build_detector, site.own_details, _PATIENT_S, encoder))
    database = await asyncio.to_thread(_database, state)
    try:
        knowledge = KnowledgeService(database, search_encoder, search_encoder.identity, site)
        await knowledge.import_folder(site_folder / "articles")
        index = KnowledgeIndex(database, search_encoder, reranker, site.id)
        yield Parts(
            site, policies, detector, index, setup or Setup(), content_of(site_folder), learnt_by(SHIPPED_PARTS)
        )
    finally:
        await database.dispose()


def _database(state: Path) -> Database:
    url = EmbeddedPostgres(state / "evaluation" / "postgres", "evaluation").start()
    upgrade(url)
    return Database(url)


def content_of(site_folder: Path) -> str:
    """SHA-256 over site.yaml and the articles, names and bytes."""
    digest = hashlib.sha256()
    for path in [site_folder / "site.yaml", *sorted((site_folder / "articles").glob("*.md"))]:
        digest.update(f"{path.name}:{path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def learnt_by(folders: Sequence[Path]) -> str:
    """SHA-256 (hex) over names and bytes of the files in folders of weights and word lists, and the pinned encoder."""
    digest = hashlib.sha256(WEIGHTS_SHA256.encode())
    for folder in folders:
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            digest.update(f"{folder.name}/{path.name}:{path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


class Heard:
    """An engine that keeps all that the model says. Made anew for each message.

    ``raw`` is what was said, ``rest_s`` the seconds it took to hear the rest after the pipeline had stopped listening,
    ``failure`` an error that says nothing of the model: down, too slow, the adapter is gone, an answer broken off. That
    a prompt is too long for the model is none.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.raw = ""
        self.rest_s = 0.0
        self.failure: EngineError | None = None

    async def stream(
        self, messages: Sequence[PromptMessage], adapter: str | None, limits: Limits, *, session: str | None = None
    ) -> AsyncGenerator[Delta | Finished, None]:
        """See Engine.stream."""
        async with aclosing(self._engine.stream(messages, adapter, limits, session=session)) as events:  # type: ignore[type-var]
            try:
                async for event in events:
                    self._keep(event)
                    yield event
            except GeneratorExit:
                began = time.perf_counter()
                await self._rest(events)
                self.rest_s = time.perf_counter() - began
                raise
            except RequestRefused:
                raise
            except EngineError as error:
                self.failure = error
                raise

    async def _rest(self, events: AsyncIterator[Delta | Finished]) -> None:
        try:
            async for event in events:
                self._keep(event)
        except EngineError as error:
            self.failure = error

    def _keep(self, event: Delta | Finished) -> None:
        if isinstance(event, Delta):
            self.raw += event.text
        elif event.reason == "abort":
            self.failure = EngineUnavailable("the engine broke an answer off")

    async def health(self) -> EngineHealth:
        """See Engine.health."""
        return await self._engine.health()

    async def list_adapters(self) -> list[str]:
        """See Engine.list_adapters."""
        return await self._engine.list_adapters()

    async def load_adapter(self, name: str, path: str) -> None:
        """See Engine.load_adapter."""
        await self._engine.load_adapter(name, path)

    async def unload_adapter(self, name: str) -> None:
        """See Engine.unload_adapter."""
        await self._engine.unload_adapter(name)


class Seen:
    """A retriever that keeps all that it found, each passage once."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self.found: list[Passage] = []

    async def search(self, question: str, *, limit: int = 4) -> list[Passage]:
        """See Retriever.search."""
        found = await self._retriever.search(question, limit=limit)
        known = {passage.passage_id for passage in self.found}
        self.found += [passage for passage in found if passage.passage_id not in known]
        return found


async def answer_item(parts: Parts, engine: Engine, adapter: str | None, item: Item) -> Answered:
    """Play an item's messages in order and return the reply to the last.

    As in service, a crisis call that an earlier message opened stays open. Raises EngineError where the engine fails,
    in whatever way, and GuardrailFailed where a step of the pipeline does: such a reply says nothing of the model.
    """
    vault, crisis = MemoryVault(), ""
    redactor = Redactor(parts.detector, "prompt")
    redacted: list[str] = []
    for number, text in enumerate(item.turns):
        heard, seen = Heard(engine), Seen(parts.retriever)
        turn = Turn(
            conversation_id=f"{item.id}/{number}",
            text=text,
            vault=vault,
            earlier=tuple(item.turns[:number]),
            earlier_redacted=tuple(redacted),
            adapter=adapter,
            language=item.language,
            crisis=crisis,
        )
        began = time.perf_counter()
        reply = await _reply(parts.pipeline(heard, seen), turn)
        seconds = time.perf_counter() - began - heard.rest_s
        _require_sound(item, reply, heard)
        if number == len(item.turns) - 1:
            return _answered(item, reply, heard.raw, seen.found, seconds)
        crisis = reply.category if reply.crisis else crisis
        redacted.append((await asyncio.to_thread(redactor.redact, text, vault)).text)
    raise AssertionError("an item has at least one message")


async def _reply(pipeline: Pipeline, turn: Turn) -> Reply:
    async for event in pipeline.respond(turn):
        if isinstance(event, Reply):
            return event
    raise AssertionError("the pipeline ended without a reply")


def _require_sound(item: Item, reply: Reply, heard: Heard) -> None:
    if heard.failure is not None:
        raise heard.failure
    if broken := [hit for hit in reply.hits if hit.stage == "engine" and hit.rule not in _OF_THE_MODEL]:
        raise EngineUnavailable(
            f"item {item.id}: the engine failed with {broken[0].rule}; see the log and run it again"
        )
    if failed := [hit for hit in reply.hits if hit.rule in ("failed", "check_failed")]:
        raise GuardrailFailed(f"item {item.id}: the step {failed[0].stage} failed with {failed[0].detail}")


def _answered(item: Item, reply: Reply, raw: str, found: Sequence[Passage], seconds: float) -> Answered:
    own = reply.kind is ReplyKind.ANSWER
    said = reply.text.partition("\n\n")[0] if own else ""
    shown = set(split_sentences(reply.text_redacted)) if own else set()
    spoken = [sentence for sentence in map(without_citation, split_sentences(raw)) if sentence]
    return Answered(
        item=item.id,
        text=reply.text,
        kind=str(reply.kind),
        own_words=own,
        said=said,
        raw=raw.strip(),
        routes=list(reply.routes),
        tier=reply.tier.label,
        rules=[f"{hit.stage}:{hit.rule}" for hit in reply.hits],
        cited=[citation.article_id for citation in reply.citations],
        cited_ids=[citation.passage_id for citation in reply.citations],
        passages=[passage.text for passage in found],
        passage_ids=[passage.passage_id for passage in found],
        withheld=sum(sentence not in shown and sentence != NOT_IN_ARTICLES for sentence in spoken),
        seconds=round(seconds, 4),
    )


async def answer_items(
    parts: Parts,
    engine: Engine,
    identity: Identity,
    items: ItemSet,
    kept: Kept,
    *,
    adapter: str | None = None,
    at_once: int = 16,
    done: Done = lambda: None,
) -> Run:
    """Answer all items, ``at_once`` at a time; those that are ``kept`` from a run before are not asked again.

    ``adapter`` is its served name, None for the base model. ``done`` is called once for each item. The first failure
    of engine or pipeline stops the run and is raised; answers so far are kept.
    """
    answers = kept.read()
    places = asyncio.Semaphore(at_once)

    async def one(item: Item) -> None:
        async with places:
            if item.id not in answers:
                answers[item.id] = await answer_item(parts, engine, adapter, item)
                kept.add(answers[item.id])
        done()

    try:
        async with asyncio.TaskGroup() as group:
            for item in items.items:
                group.create_task(one(item))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return complete(identity, [item.id for item in items.items], answers)
