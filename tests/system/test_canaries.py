"""The same planted identifiers through the real service, model and articles: what the engine's process writes down too.

The routes and faults one by one are in ``tests/api/test_canaries.py``; here the parts are those that patients meet.
"""

from __future__ import annotations

import httpx
import pytest

from tests.canaries import PATIENT, Search, server_files
from tests.engine_fixtures import RunningVllm
from tests.live_service import RunningService
from tests.system.test_turns import wait_ready

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1_200)]

SENTENCES = [sentence for sentence, _values in PATIENT.values()]
CANARIES = Search.of(*(values for _sentence, values in PATIENT.values()))


def test_neither_the_engine_nor_a_file_nor_a_table_holds_what_a_patient_told(
    service: RunningService, vllm: RunningVllm, capfd: pytest.CaptureFixture[str]
) -> None:
    wait_ready(service.url)
    capfd.readouterr()
    patient = service.patient()
    replies = [
        patient.ask(f"{' '.join(SENTENCES[at : at + 3])} How many visitors may a patient have?")
        for at in range(0, len(SENTENCES), 3)
    ]
    own = patient.http.get(f"/v1/conversations/{patient.conversation}/messages").text
    assert set(CANARIES.inside(own)) >= {"Quorvella", "PZX900412", "Whistlebrook"}
    patient.http.post(f"/v1/conversations/{patient.conversation}/handoff", json={"reason": SENTENCES[0]})
    staff = service.staff("maria")
    seen = [
        staff.get("/v1/staff/escalations"),
        staff.get(f"/v1/staff/conversations/{patient.conversation}"),
        httpx.get(f"{service.url}/metrics", timeout=60),
        httpx.get(f"{service.url}/readyz", timeout=60),
    ]
    assert {answer.status_code for answer in seen} == {200}
    assert any(reply["kind"] in ("answer", "fallback") for reply in replies), "no reply came out of the pipeline's end"
    said = {str(answer.request.url): answer.text for answer in seen}
    assert CANARIES.places(said | {"log": "".join(capfd.readouterr()), "engine log": "\n".join(vllm.log)}) == []
    assert CANARIES.files(service.settings.state) == []
    secret = service.settings.database_url
    assert secret is not None
    assert CANARIES.tables(secret.get_secret_value()) == []
    assert CANARIES.written(server_files(secret.get_secret_value()), plain=True) == []
