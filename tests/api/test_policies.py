"""The policies in force, over HTTP: shown, reloaded, refused; and who may."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import text

from app.api.deps import CONSOLE_HEADER, STAFF_COOKIE
from tests.api.conftest import PASSWORD, House
from tests.policy_files import edit

pytestmark = pytest.mark.anyio
PATH = "/v1/admin/policies"


async def entries(house: House, action: str) -> list[tuple[str, str, dict[str, object]]]:
    """Actor, subject and details of audit entries, newest last, of this test's database."""
    async with house.services.database.session() as session:
        rows = await session.execute(text("SELECT * FROM audit_log WHERE action = :a ORDER BY id"), {"a": action})
        return [(row.actor, row.subject, row.details) for row in rows]


async def reload(house: House, headers: dict[str, str]) -> httpx.Response:
    return await house.http.post(f"{PATH}/reload", headers=headers)


async def reloads(house: House) -> set[str]:
    """What the metric counts, of one house."""
    lines = (await house.http.get("/metrics")).text.splitlines()
    return {line for line in lines if line.startswith("bedside_policy_reloads_total")}


async def test_an_admin_sees_what_is_in_force(house: House) -> None:
    shown = (await house.http.get(PATH, headers=await house.staff("admin"))).json()
    assert len(shown.pop("hash")) == 64
    assert shown.pop("loaded_at")
    assert "2 of 2 triage rules are not reviewed by a clinician" in shown.pop("warnings")
    assert shown == {
        "version": "tiny", "previous_hash": None, "rules": 5, "unreviewed": 2, "signature": "unsigned", "strict": False,
    }  # fmt: skip


async def test_a_changed_bundle_is_put_in_force_and_audited(house: House) -> None:
    admin = await house.staff("admin", name="Ana")
    before = (await house.http.get(PATH, headers=admin)).json()
    edit(house.bundle / "bundle.yaml", "version: tiny", "version: next")
    answer = await reload(house, admin)
    assert (answer.status_code, answer.json()["changed"]) == (200, True)
    now = answer.json()["policies"]
    assert (now["version"], now["previous_hash"]) == ("next", before["hash"])
    assert (await house.http.get(PATH, headers=admin)).json() == now
    actor, subject, details = (await entries(house, "policies.reload"))[-1]
    assert actor.startswith("ana-")
    assert (subject, details["previous"], details["changed"]) == (now["hash"], before["hash"], True)
    assert await reloads(house) == {'bedside_policy_reloads_total{outcome="changed"} 1.0'}


async def test_the_same_files_change_nothing(house: House) -> None:
    admin = await house.staff("admin")
    answer = await reload(house, admin)
    assert (answer.status_code, answer.json()["changed"]) == (200, False)
    assert answer.json()["policies"]["previous_hash"] is None
    assert await reloads(house) == {'bedside_policy_reloads_total{outcome="unchanged"} 1.0'}


async def test_a_refused_bundle_leaves_the_old_one_and_gives_every_reason(house: House) -> None:
    admin = await house.staff("admin")
    before = (await house.http.get(PATH, headers=admin)).json()
    edit(house.bundle / "triage_1.yaml", "tier: urgent", "tier: huge")
    edit(house.bundle / "scope.yaml", "kind: greeting", "kind: farewell")
    answer = await reload(house, admin)
    assert (answer.status_code, answer.json()["name"]) == (422, "policy_refused")
    assert answer.headers["content-type"] == "application/problem+json"
    assert [reason.split(":")[0] for reason in answer.json()["reasons"]] == ["scope.yaml", "triage_1.yaml"]
    assert (await house.http.get(PATH, headers=admin)).json() == before
    _, subject, details = (await entries(house, "policies.reload_refused"))[-1]
    assert (subject, details["faults"], details["first"]) == (before["hash"], 2, answer.json()["reasons"])
    assert await reloads(house) == {'bedside_policy_reloads_total{outcome="refused"} 1.0'}


async def test_a_bundle_that_misses_its_own_examples_is_refused(house: House) -> None:
    admin = await house.staff("admin")
    edit(house.bundle / "triage_1.yaml", 'guards: ["warfarin"]', 'guards: ["heparin"]')
    answer = await reload(house, admin)
    assert answer.status_code == 422
    assert answer.json()["reasons"] == [
        "rule bleeding.thinner: positive examples 1, 2, 3 and others do not reach the tier urgent"
    ]


async def test_a_folder_that_is_gone_is_refused_in_one_sentence(house: House) -> None:
    admin = await house.staff("admin")
    (house.bundle / "bundle.yaml").unlink()
    answer = await reload(house, admin)
    assert (answer.status_code, answer.json()["name"]) == (422, "configuration_error")
    assert "reasons" not in answer.json()
    assert (await entries(house, "policies.reload_refused"))[-1][2]["faults"] == 1


async def test_only_admins_see_and_reload(house: House) -> None:
    patient, nurse = await house.patient(), await house.staff()
    for method, path in (("GET", PATH), ("POST", f"{PATH}/reload")):
        for headers, status in ((nurse, 403), (patient, 401), ({}, 401)):
            assert (await house.http.request(method, path, headers=headers)).status_code == status, (path, headers)


async def test_the_cookie_alone_does_not_reload(house: House) -> None:
    async with house.services.database.session() as session:
        await house.services.staff.add(session, "reloader", "Ana", PASSWORD, ["admin"])
    await house.http.post("/v1/staff/sign-in", json={"username": "reloader", "password": PASSWORD})
    assert STAFF_COOKIE in house.http.cookies
    assert (await reload(house, {})).status_code == 403
    assert (await reload(house, {CONSOLE_HEADER: "1"})).status_code == 200


async def test_the_routes_are_described(house: House) -> None:
    paths = house.app.openapi()["paths"]
    answers = paths[f"{PATH}/reload"]["post"]["responses"]
    assert "policy_refused" in answers["422"]["description"]
    assert answers["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/ReloadedOut")
    assert "reasons" in house.app.openapi()["components"]["schemas"]["Problem"]["properties"]
