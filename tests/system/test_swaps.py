"""Twenty adapter swaps while eight chats stream: no dropped stream, no reply of two versions."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.live_service import RunningService
from tests.system.test_turns import wait_ready
from tests.unit.adapters.test_service import make_adapter

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1_200)]
SWAPS, CHATS = 20, 8
QUESTIONS = ("What are the visiting hours?", "How do I pay my bill?", "When is the pharmacy open?")


@pytest.fixture
def versions(service: RunningService, tmp_path: Path) -> list[str]:
    """Two gated adapters over the demo model."""
    from app.bootstrap import model_facts

    wait_ready(service.url)
    admin = service.staff("admin")
    _, base = model_facts(service.settings.base_model)
    assert base is not None
    folder = service.settings.state / "training"
    made = []
    for seed in (11, 12):
        source = make_adapter(folder / f"swap-{seed}", seed, base=base, scale=0.001)
        answer = admin.post("/v1/admin/adapters", json={"path": str(source)})
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["version"])
    return made


def test_swapping_drops_no_stream_and_mixes_no_reply(service: RunningService, versions: list[str]) -> None:
    admin = service.staff("admin")
    before = admin.get("/v1/admin/adapters").json()["live"]
    stop = threading.Event()
    kinds: list[str] = []
    conversations: list[str] = []

    def talk(number: int) -> None:
        patient = service.patient()
        conversations.append(patient.conversation)
        turn = 0
        while not stop.is_set():
            reply = patient.ask(QUESTIONS[(number + turn) % len(QUESTIONS)])
            assert reply["status"] == "complete", reply
            kinds.append(str(reply["kind"]))
            turn += 1
            if reply["kind"] == "handoff":  # a person has it now; why is looked at below
                patient = service.patient()
                conversations.append(patient.conversation)

    took = []
    with ThreadPoolExecutor(CHATS) as pool:
        chats = [pool.submit(talk, number) for number in range(CHATS)]
        try:
            for swap in range(SWAPS):
                began = time.perf_counter()
                answer = admin.post(f"/v1/admin/adapters/{versions[swap % 2]}/promote", json={})
                assert answer.status_code == 200, answer.text
                took.append(time.perf_counter() - began)
        finally:
            stop.set()
        for chat in chats:
            chat.result(timeout=120)
    live = admin.get("/v1/admin/adapters").json()["live"]
    assert live["epoch"] == before["epoch"] + SWAPS
    assert len(kinds) >= CHATS
    talks = [admin.get(f"/v1/staff/conversations/{conversation}").json() for conversation in conversations]
    reasons = {talk["escalation"]["reason"] for talk in talks if talk["escalation"]}
    # On a busy machine the search may run out of time, swap or no swap.
    assert reasons <= {"failed:retrieve"}, "a turn failed during a swap"
    assert kinds.count("handoff") <= 2
    asked = {message["adapter"] for talk in talks for message in talk["messages"] if message["author"] == "assistant"}
    assert asked - {before["version"]} == set(versions), "every reply names one version, and both were used"
    restore = admin.post(f"/v1/admin/adapters/{before['version']}/promote", json={})
    assert restore.status_code == 200, restore.text
    print(f"{SWAPS} swaps, {len(kinds)} turns, slowest promotion {max(took):.2f} s")
