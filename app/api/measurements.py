"""Prometheus metrics. Labels are enumerations only: never ids, never text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.contracts.replies import Reply

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one process; implements TurnObserver, ReloadObserver, RefusalObserver and RequestMetrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Histogram(
            "bedside_request_seconds", "Duration of requests (streams: until they end)",
            ["method", "route", "status"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._turn = Histogram(
            "bedside_turn_seconds", "From claim to stored reply", ["kind"], buckets=_SECONDS, registry=registry
        )
        self._first = Histogram(
            "bedside_first_sentence_seconds",
            "From claim to the first stored sentence",
            buckets=_SECONDS,
            registry=registry,
        )
        self._stage = Histogram(
            "bedside_stage_seconds", "Stages of a turn", ["stage"], buckets=_SECONDS, registry=registry
        )
        self._tiers = Counter("bedside_tier", "Replies by urgency", ["tier"], registry=registry)
        self._ended = Counter("bedside_turn_ended", "Turns that ended without a reply", ["outcome"], registry=registry)
        self._hits = Counter("bedside_guardrail_hits", "Checks that had something to say", ["stage"], registry=registry)
        self._handoffs = Counter("bedside_handoffs", "Replies that called a person", ["tier"], registry=registry)
        self._refused = Counter(
            "bedside_refused_messages", "Patients' messages that were refused", ["outcome"], registry=registry
        )
        self._reloads = Counter("bedside_policy_reloads", "Reloads of the policies", ["outcome"], registry=registry)
        self.engine_ready = Gauge("bedside_engine_ready", "1 while the engine answers", registry=registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """See RequestMetrics."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def finished(self, reply: Reply, total_ms: float, first_sentence_ms: float | None) -> None:
        """See TurnObserver."""
        self._turn.labels(reply.kind.value).observe(total_ms / 1000)
        self._tiers.labels(reply.tier.label).inc()
        if first_sentence_ms is not None:
            self._first.observe(first_sentence_ms / 1000)
        for stage, milliseconds in reply.stage_ms.items():
            self._stage.labels(stage).observe(milliseconds / 1000)
        for hit in reply.hits:
            self._hits.labels(hit.stage).inc()
        if reply.handoff is not None:
            self._handoffs.labels(reply.tier.label).inc()

    def refused(self, outcome: str) -> None:
        """See RefusalObserver."""
        self._refused.labels(outcome).inc()

    def reloaded(self, outcome: str) -> None:
        """See ReloadObserver of the policies."""
        self._reloads.labels(outcome).inc()

    def ended(self, outcome: str) -> None:
        """See TurnObserver."""
        self._ended.labels(outcome).inc()
