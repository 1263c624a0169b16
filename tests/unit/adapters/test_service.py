"""Registration, promotion, rollback and reconciling, against real adapter files and a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml
from sqlalchemy import text

from app.adapters.service import AdaptersService
from app.adapters.store import AdapterStore
from app.audit.service import AuditLog
from app.contracts.adapters import (
    SHIPPED_EVALUATION,
    SHIPPED_THRESHOLDS,
    AdapterManifest,
    GateReport,
    GateRule,
    as_json,
    content_hash,
    write_json,
)
from app.contracts.prompt import PROMPT_VERSION, template_hash
from app.db.session import Database
from app.errors import AdapterInvalid, EngineUnavailable, NotFound, NotPromotable, StoreUnavailable, VersionConflict
from app.guardrails.bundle_source import digest, read_files
from app.guardrails.policy import default_bundle_folder
from app.guardrails.signing import make_key, read_private
from app.guardrails.signoff import SIGNOFF_FILE, Subject, gate_hash, load_register, sign
from tests.adapter_files import adapter_config, adapter_tensors, demo_config, write_adapter
from tests.conftest import new_database
from tests.fakes_engine import Scripted, ScriptedEngine

BASE = "b" * 64
POLICY = digest(read_files(default_bundle_folder()))
"""Hash of the shipped bundle: tests with the whole service promote such adapters too."""
pytestmark = pytest.mark.anyio


def make_adapter(
    folder: Path,
    seed: int,
    *,
    verdict: str | None = "pass",
    prompt: str = PROMPT_VERSION,
    base: str = BASE,
    scale: float = 0.05,
) -> Path:
    write_adapter(folder, tensors=adapter_tensors(seed=seed, scale=scale))
    sha = content_hash(folder)
    write_json(
        AdapterManifest(
            name="support", content_sha256=sha, base_id="demo", base_sha256=base, rank=8, alpha=16,
            target_modules=list(adapter_config()["target_modules"]), prompt_version=prompt,
            template_sha256=template_hash(), dataset_sha256="d" * 64, created_at=datetime.now(UTC),
        ),
        folder / "manifest.json",
    )  # fmt: skip
    if verdict is not None:
        write_report(folder, sha, verdict)
    return folder


def make_report(sha: str, verdict: str = "pass", changed: Mapping[str, str | None] | None = None) -> GateReport:
    hashes = dict.fromkeys(
        ("base_sha256", "champion_sha256", "articles_sha256", "parts_sha256", "bounds", "report_sha256"),
        "e" * 64,
    )  # fmt: skip
    rule = GateRule(name="numbers", value=1.0, bound=">= 0.99", passed=verdict == "pass")
    fields = {
        "verdict": verdict, "adapter_sha256": sha, "policy_hash": POLICY, "thresholds_sha256": SHIPPED_THRESHOLDS,
        "evaluation_sha256": SHIPPED_EVALUATION, "prompt_version": PROMPT_VERSION,
        "created_at": datetime(2026, 11, 28, tzinfo=UTC), "rules": [rule],
    }  # fmt: skip
    return GateReport.model_validate({**hashes, **fields, **(changed or {})})


def write_report(folder: Path, sha: str, verdict: str) -> None:
    write_json(make_report(sha, verdict), folder / "gate_report.json")


@pytest.fixture
async def fresh(template_url: str) -> AsyncIterator[Database]:
    database = Database(new_database(template_url), pool=5)
    yield database
    await database.dispose()


class Folderless(ScriptedEngine):
    """A replica on a machine without the adapters' folder."""

    async def load_adapter(self, name: str, path: str) -> None:
        raise AdapterInvalid("There is no adapter in this folder.")


class Slow(ScriptedEngine):
    """A replica that takes a while to load."""

    async def load_adapter(self, name: str, path: str) -> None:
        await asyncio.sleep(0.1)
        await super().load_adapter(name, path)


class Meanwhile(ScriptedEngine):
    """A replica on which something else happens while it loads."""

    def __init__(self, happens: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._happens = happens

    async def load_adapter(self, name: str, path: str) -> None:
        await super().load_adapter(name, path)
        await self._happens()


class Setup:
    def __init__(self, database: Database, root: Path, signers: Path | None = None) -> None:
        self.engines: dict[str, ScriptedEngine] = {"one": ScriptedEngine(), "two": ScriptedEngine()}
        self.service = AdaptersService(
            database,
            AdapterStore(root / "store"),
            self.engines,
            AuditLog(lambda: datetime.now(UTC)),
            base_config=demo_config(),
            base_sha256=BASE,
            max_rank=64,
            policy_hash=lambda: POLICY,
            thresholds_sha256=SHIPPED_THRESHOLDS,
            evaluation_sha256=SHIPPED_EVALUATION,
            signers=signers,
        )


@pytest.fixture
async def setup(fresh: Database, tmp_path: Path) -> Setup:
    return Setup(fresh, tmp_path)


async def audited(database: Database) -> list[tuple[str, str, str, dict[str, object]]]:
    """Actor, action, subject and details of every entry, oldest first."""
    async with database.session() as session:
        rows = await AuditLog(lambda: datetime.now(UTC)).newest(session)
    return [(row["actor"], row["action"], row["subject"], row["details"]) for row in reversed(rows)]


async def test_every_change_is_audited_once_with_who_made_it(setup: Setup, fresh: Database, tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "a", 1, verdict=None)
    version = (await setup.service.add(folder, "system")).version
    await setup.service.add(folder, "system")
    with pytest.raises(NotPromotable):
        await setup.service.promote(version, "ana")
    make_adapter(tmp_path / "gated", 1)
    assert (await setup.service.add(tmp_path / "gated", "cli:ben")).version == version
    await setup.service.add(tmp_path / "gated", "cli:ben")
    await setup.service.promote(version, "ana")
    await setup.service.rollback("cli:ben")
    assert await audited(fresh) == [
        ("system", "adapter.add", version, {"gate": "none"}),
        ("cli:ben", "adapter.add", version, {"gate": "pass"}),
        ("ana", "adapter.promote", version, {"epoch": 1}),
        ("cli:ben", "adapter.rollback", "base", {"epoch": 2}),
    ]


async def test_a_change_that_cannot_be_audited_is_not_made(
    setup: Setup, fresh: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")

    async def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(AuditLog, "append", full)
    with pytest.raises(StoreUnavailable):
        await setup.service.promote(view.version, "ana")
    assert (await setup.service.live()).version is None


async def test_promotion_loads_every_replica_then_moves_the_pointer(setup: Setup, tmp_path: Path) -> None:
    view = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    live = await setup.service.promote(view.version, "ana")
    assert (live.version, live.previous, live.epoch) == (view.version, None, 1)
    assert all(view.version in engine.adapters for engine in setup.engines.values())
    assert all(engine.calls for engine in setup.engines.values()), "each replica answers the canary prompt"


async def test_rollback_gives_the_version_before(setup: Setup, tmp_path: Path) -> None:
    first = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    second = await setup.service.add(make_adapter(tmp_path / "b", 2), "ana")
    await setup.service.promote(first.version, "ana")
    await setup.service.promote(second.version, "ana")
    live = await setup.service.rollback("ben")
    assert (live.version, live.previous) == (first.version, second.version)


async def test_a_second_rollback_of_what_was_seen_once_is_refused(setup: Setup, tmp_path: Path) -> None:
    first = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    second = await setup.service.add(make_adapter(tmp_path / "b", 2), "ana")
    await setup.service.promote(first.version, "ana")
    seen = await setup.service.promote(second.version, "ana")
    await setup.service.rollback("ana", seen.epoch)
    with pytest.raises(VersionConflict, match="changed by somebody else"):
        await setup.service.rollback("ben", seen.epoch)
    assert (await setup.service.live()).version == first.version


async def test_rollback_never_gives_changed_files_or_a_version_that_fails_since(setup: Setup, tmp_path: Path) -> None:
    first = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    second = await setup.service.add(make_adapter(tmp_path / "b", 2), "ana")
    await setup.service.promote(first.version, "ana")
    await setup.service.promote(second.version, "ana")
    weights = tmp_path / "store" / first.content_sha256 / "adapter_model.safetensors"
    kept = weights.read_bytes()
    weights.chmod(0o644)
    weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(AdapterInvalid):
        await setup.service.rollback("ben")
    weights.write_bytes(kept)
    await setup.service.add(make_adapter(tmp_path / "again", 1, verdict="fail"), "ana")
    with pytest.raises(NotPromotable, match="fails"):
        await setup.service.rollback("ben")
    assert (await setup.service.live()).version == second.version


async def test_rollback_before_any_promotion_is_refused(setup: Setup) -> None:
    with pytest.raises(NotPromotable, match="nothing was promoted"):
        await setup.service.rollback("ben")


@pytest.mark.parametrize(
    ("verdict", "said"), [(None, "no gate report"), ("fail", "numbers"), ("inconclusive", "inconclusive")]
)
async def test_without_a_passing_gate_nothing_is_promoted(
    setup: Setup, tmp_path: Path, verdict: str | None, said: str
) -> None:
    view = await setup.service.add(make_adapter(tmp_path / "a", 1, verdict=verdict), "ana")
    with pytest.raises(NotPromotable, match=said):
        await setup.service.promote(view.version, "ana")
    assert (await setup.service.live()).version is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"policy_hash": "0" * 64},
            f"under the policy bundle 000000000000, here {POLICY[:12]} is in force: gate it ag",
        ),
        ({"thresholds_sha256": "0" * 64}, "by other rules than those of .* gate it again"),
        (
            {"evaluation_sha256": "0" * 64},
            rf"on the evaluation set 0{{12}}, here that of {SHIPPED_EVALUATION[:12]} counts .BEDSIDE_GATE_ITEMS.: gate",
        ),
        ({"thresholds_sha256": None}, "by an earlier version, .* not tell thresholds_sha256: gate it again"),
        ({"champion_sha256": None, "report_sha256": ""}, "not tell champion_sha256, report_sha256: gate it again"),
        ({"prompt_version": "v0"}, "with prompt template v0, here it is .*: gate it again"),
    ],
)
async def test_a_pass_under_other_conditions_is_not_promoted(
    setup: Setup, tmp_path: Path, changed: dict[str, str | None], said: str
) -> None:
    folder = make_adapter(tmp_path / "a", 1)
    write_json(make_report(content_hash(folder), changed=changed), folder / "gate_report.json")
    view = await setup.service.add(folder, "ana")
    with pytest.raises(NotPromotable, match=said):
        await setup.service.promote(view.version, "ana")
    assert (await setup.service.live()).version is None
    write_report(folder, content_hash(folder), "pass")
    await setup.service.add(folder, "ana")
    assert (await setup.service.promote(view.version, "ana")).version == view.version


async def test_a_report_of_an_earlier_version_is_read_and_not_believed(setup: Setup, tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "a", 1)
    whole = json.loads(as_json(make_report(content_hash(folder))))
    new = {"thresholds_sha256", "base_sha256", "champion_sha256", "articles_sha256", "parts_sha256", "bounds"}
    old = {name: value for name, value in whole.items() if name not in {*new, "report_sha256"}}
    (folder / "gate_report.json").write_text(json.dumps(old))
    view = await setup.service.add(folder, "ana")
    assert view.gate is not None
    assert view.gate["verdict"] == "pass"
    with pytest.raises(NotPromotable, match="by an earlier version"):
        await setup.service.promote(view.version, "ana")


async def test_one_replica_that_fails_leaves_the_pointer_and_unloads_the_others(setup: Setup, tmp_path: Path) -> None:
    view = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    setup.engines["two"].script(Scripted("", fault="down"))
    with pytest.raises(EngineUnavailable):
        await setup.service.promote(view.version, "ana")
    assert (await setup.service.live()).version is None
    assert not any(view.version in engine.adapters for engine in setup.engines.values())


async def test_a_silent_canary_is_refused(setup: Setup, tmp_path: Path) -> None:
    view = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    setup.engines["one"].script(Scripted(""))
    with pytest.raises(EngineUnavailable, match="no words"):
        await setup.service.promote(view.version, "ana")


async def test_changed_files_are_refused(setup: Setup, tmp_path: Path) -> None:
    view = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    stored = tmp_path / "store" / view.content_sha256 / "adapter_model.safetensors"
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    with pytest.raises(AdapterInvalid, match="changed"):
        await setup.service.promote(view.version, "ana")


async def test_faulty_adapters_are_not_registered(setup: Setup, tmp_path: Path) -> None:
    cases = {
        "other hash": make_adapter(tmp_path / "h", 1),
        "base": make_adapter(tmp_path / "b", 2, base="c" * 64),
        "template": make_adapter(tmp_path / "p", 3, prompt="v0"),
        "manifest": make_adapter(tmp_path / "m", 4),
        "report": make_adapter(tmp_path / "r", 5),
    }
    config = json.loads((cases["other hash"] / "adapter_config.json").read_text())
    (cases["other hash"] / "adapter_config.json").write_text(json.dumps(config | {"r": 16}))
    (cases["manifest"] / "manifest.json").unlink()
    write_report(cases["report"], "f" * 64, "pass")
    for folder, said in zip(
        cases.values(), ["hash", "base model", "template", "manifest", "another adapter"], strict=True
    ):
        with pytest.raises(AdapterInvalid, match=said):
            await setup.service.add(folder, "ana")
    assert (await setup.service.list())[0] == []


async def test_of_many_promotions_at_once_one_wins_each_epoch(setup: Setup, tmp_path: Path) -> None:
    views = [await setup.service.add(make_adapter(tmp_path / str(n), n), "ana") for n in range(1, 4)]
    results = await asyncio.gather(
        *(setup.service.promote(view.version, "ana", expected_epoch=0) for view in views), return_exceptions=True
    )
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert sum(isinstance(result, VersionConflict) for result in results) == 2


async def test_reconciling_loads_what_a_restarted_replica_lost(setup: Setup, tmp_path: Path) -> None:
    view = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    await setup.service.promote(view.version, "ana")
    setup.engines["two"].adapters.clear()
    await setup.service.reconcile()
    assert view.version in setup.engines["two"].adapters


async def test_a_replica_without_the_files_leaves_the_others_in_step(setup: Setup, tmp_path: Path) -> None:
    view = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    await setup.service.promote(view.version, "ana")
    setup.engines["two"].adapters.clear()
    setup.engines["one"] = Folderless()
    await setup.service.reconcile()
    assert view.version in setup.engines["two"].adapters


async def test_a_failed_promotion_unloads_what_was_still_loading(setup: Setup, tmp_path: Path) -> None:
    view = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    setup.engines |= {"one": Slow(), "two": Folderless()}
    with pytest.raises(AdapterInvalid, match="no adapter in this folder"):
        await setup.service.promote(view.version, "ana")
    await asyncio.sleep(0.3)
    assert setup.engines["one"].adapters == {}
    assert setup.engines["one"].loads == 1


async def test_after_a_change_of_the_base_model_the_base_model_serves(
    setup: Setup, fresh: Database, tmp_path: Path
) -> None:
    first = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    second = await setup.service.add(make_adapter(tmp_path / "b", 2), "ana")
    await setup.service.promote(first.version, "ana")
    await setup.service.promote(second.version, "ana")
    assert (await setup.service.served()).version == second.version
    engine = ScriptedEngine()
    changed = AdaptersService(
        fresh,
        AdapterStore(tmp_path / "store"),
        {"one": engine},
        AuditLog(lambda: datetime.now(UTC)),
        base_config=demo_config(),
        base_sha256="c" * 64,
        max_rank=64,
        policy_hash=lambda: POLICY,
        thresholds_sha256=SHIPPED_THRESHOLDS,
        evaluation_sha256=SHIPPED_EVALUATION,
    )
    await changed.reconcile()
    with pytest.raises(NotPromotable, match="another base model"):
        await changed.promote(first.version, "ana")
    with pytest.raises(NotPromotable, match="another base model"):
        await changed.rollback("ana")
    assert engine.loads == 0
    assert (await changed.served()).version is None
    assert (await changed.live()).version == second.version, "the pointer stays, for the base model's return"


async def test_unknown_versions_are_not_found(setup: Setup) -> None:
    with pytest.raises(NotFound):
        await setup.service.promote("support@000000000000", "ana")


@dataclass
class Signers:
    """A file of two people who may sign, and their keys."""

    file: Path
    keys: dict[str, Path]

    @classmethod
    def of(cls, folder: Path, *names: str) -> Signers:
        people, keys = [], {}
        for name in names:
            keys[name] = folder / f"{name}.key"
            people.append(
                {"id": name, "name": name, "profession": "physician", "keys": [{"key": make_key(keys[name])}]}
            )
        (folder / "signers.yaml").write_text(yaml.safe_dump({"signers": people}), "utf-8")
        return cls(folder / "signers.yaml", keys)

    def sign(self, name: str, adapter: Path) -> None:
        """Sign for an adapter as it lies there, as `bedside-train signoff sign` does."""
        report = GateReport.model_validate_json((adapter / "gate_report.json").read_bytes())
        manifest = AdapterManifest.model_validate_json((adapter / "manifest.json").read_bytes())
        subject = Subject(
            adapter_sha256=manifest.content_sha256, dataset_sha256=manifest.dataset_sha256,
            evaluation_sha256=report.evaluation_sha256, policy_hash=report.policy_hash,
            prompt_version=report.prompt_version, report_sha256=report.report_sha256 or "",
            gate_sha256=gate_hash(report),
        )  # fmt: skip
        key, register = read_private(self.keys[name]), load_register(self.file)
        sign(subject, key, register, adapter / SIGNOFF_FILE, today=date.today())


async def test_where_sign_offs_are_asked_for_two_people_must_have_signed(fresh: Database, tmp_path: Path) -> None:
    signers, adapter = Signers.of(tmp_path, "ines", "omar"), make_adapter(tmp_path / "a", 1)
    service = Setup(fresh, tmp_path, signers.file).service
    version = (await service.add(adapter, "ana")).version
    with pytest.raises(NotPromotable, match="0 of 2 sign-offs count; sign with `bedside-train signoff sign`"):
        await service.promote(version, "ana")
    signers.sign("ines", adapter)
    assert (await service.add(adapter, "ana")).signed == "1 of 2 sign-offs count"
    with pytest.raises(NotPromotable, match="1 of 2 sign-offs count"):
        await service.promote(version, "ana")
    signers.sign("omar", adapter)
    assert (await service.add(adapter, "ana")).signed == "signed by ines and omar"
    assert [action for _, action, _, _ in await audited(fresh)] == ["adapter.add"] * 3
    assert (await service.promote(version, "ana")).version == version
    (view,), _ = await service.list()
    assert view.signed == "signed by ines and omar"


async def test_a_key_that_is_revoked_counts_no_more_from_the_next_promotion_on(fresh: Database, tmp_path: Path) -> None:
    signers, adapter = Signers.of(tmp_path, "ines", "omar"), make_adapter(tmp_path / "a", 1)
    service = Setup(fresh, tmp_path, signers.file).service
    signers.sign("ines", adapter)
    signers.sign("omar", adapter)
    version = (await service.add(adapter, "ana")).version
    told = yaml.safe_load(signers.file.read_text("utf-8"))
    told["signers"][1]["keys"][0]["revoked"] = True
    signers.file.write_text(yaml.safe_dump(told), "utf-8")
    with pytest.raises(NotPromotable, match=r"1 of 2 sign-offs count; omar: the key \w+ was revoked"):
        await service.promote(version, "ana")
    signers.file.write_text("signers: []", "utf-8")
    with pytest.raises(NotPromotable, match=r"no sign-off counts: .*signers\.yaml"):
        await service.promote(version, "ana")


async def test_a_key_that_is_revoked_while_the_adapter_loads_stops_the_promotion(
    fresh: Database, tmp_path: Path
) -> None:
    signers, adapter = Signers.of(tmp_path, "ines", "omar"), make_adapter(tmp_path / "a", 1)
    setup = Setup(fresh, tmp_path, signers.file)
    signers.sign("ines", adapter)
    signers.sign("omar", adapter)
    version = (await setup.service.add(adapter, "ana")).version

    async def revoke() -> None:
        told = yaml.safe_load(signers.file.read_text("utf-8"))
        told["signers"][1]["keys"][0]["revoked"] = True
        signers.file.write_text(yaml.safe_dump(told), "utf-8")

    setup.engines["two"] = Meanwhile(revoke)
    with pytest.raises(NotPromotable, match=r"omar: the key \w+ was revoked.*what was live before still is"):
        await setup.service.promote(version, "ana")
    assert (await setup.service.live()).epoch == 0
    assert [action for _, action, _, _ in await audited(fresh)] == ["adapter.add"]
    assert not any(version in engine.adapters for engine in setup.engines.values())


async def test_a_report_that_fails_while_the_adapter_loads_stops_promotion_and_rollback(
    setup: Setup, tmp_path: Path
) -> None:
    first = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    second = await setup.service.add(make_adapter(tmp_path / "b", 2), "ana")
    await setup.service.promote(first.version, "ana")
    setup.engines["two"] = Meanwhile(
        lambda: setup.service.add(make_adapter(tmp_path / "fails", 2, verdict="fail"), "ben")
    )
    with pytest.raises(NotPromotable, match=r"the gate says fail .*what was live before still is"):
        await setup.service.promote(second.version, "ana")
    assert (await setup.service.live()).version == first.version
    assert not any(second.version in engine.adapters for engine in setup.engines.values())
    setup.engines["two"] = ScriptedEngine()
    await setup.service.add(make_adapter(tmp_path / "passes", 2), "ana")
    await setup.service.promote(second.version, "ana")
    setup.engines["two"] = Meanwhile(
        lambda: setup.service.add(make_adapter(tmp_path / "fails too", 1, verdict="fail"), "ben")
    )
    with pytest.raises(NotPromotable, match=r"says since that .* fails.*what was live before still is"):
        await setup.service.rollback("ana")
    assert (await setup.service.live()).version == second.version


async def test_a_report_that_is_being_added_as_the_pointer_moves_is_waited_for(
    setup: Setup, fresh: Database, tmp_path: Path
) -> None:
    view = await setup.service.add(make_adapter(tmp_path / "a", 1), "ana")
    loaded, row = asyncio.Event(), "WHERE adapter_version = :version"

    async def tell() -> None:
        loaded.set()

    async with fresh.session() as session:
        await session.execute(
            text("UPDATE adapters SET status = status WHERE version = :version"), {"version": view.version}
        )
        setup.engines["two"] = Meanwhile(tell)
        promoting = asyncio.create_task(setup.service.promote(view.version, "ana"))
        await loaded.wait()
        failing = f"UPDATE gate_reports SET report = jsonb_set(report, '{{verdict}}', '\"fail\"') {row}"
        await asyncio.sleep(0.3)
        await session.execute(text(failing), {"version": view.version})
    with pytest.raises(NotPromotable, match="the gate says fail"):
        await promoting
    assert (await setup.service.live()).version is None


async def test_sign_offs_of_another_report_do_not_count(fresh: Database, tmp_path: Path) -> None:
    signers, adapter = Signers.of(tmp_path, "ines", "omar"), make_adapter(tmp_path / "a", 1)
    service = Setup(fresh, tmp_path, signers.file).service
    signers.sign("ines", adapter)
    signers.sign("omar", adapter)
    report = GateReport.model_validate_json((adapter / "gate_report.json").read_bytes())
    write_json(report.model_copy(update={"report_sha256": "f" * 64}), adapter / "gate_report.json")
    version = (await service.add(adapter, "ana")).version
    with pytest.raises(NotPromotable, match=r"0 of 2 .*; ines: changed since: the report .* the gate's verdict"):
        await service.promote(version, "ana")


async def test_broken_sign_offs_are_refused_with_their_file(setup: Setup, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a", 1)
    (adapter / SIGNOFF_FILE).write_text("{", "utf-8")
    with pytest.raises(AdapterInvalid, match=r"signoffs\.json is not a file of sign-offs"):
        await setup.service.add(adapter, "ana")


async def test_a_verdict_that_was_changed_after_they_signed_does_not_count(fresh: Database, tmp_path: Path) -> None:
    signers, adapter = Signers.of(tmp_path, "ines", "omar"), make_adapter(tmp_path / "a", 1, verdict="fail")
    service = Setup(fresh, tmp_path, signers.file).service
    signers.sign("ines", adapter)
    signers.sign("omar", adapter)
    report = GateReport.model_validate_json((adapter / "gate_report.json").read_bytes())
    write_json(report.model_copy(update={"verdict": "pass"}), adapter / "gate_report.json")
    version = (await service.add(adapter, "ana")).version
    with pytest.raises(NotPromotable, match="ines: changed since: the gate's verdict"):
        await service.promote(version, "ana")


async def test_a_copy_from_before_it_was_signed_takes_no_signature_away(fresh: Database, tmp_path: Path) -> None:
    signers, adapter = Signers.of(tmp_path, "ines"), make_adapter(tmp_path / "a", 1)
    service = Setup(fresh, tmp_path, signers.file).service
    signers.sign("ines", adapter)
    await service.add(adapter, "ana")
    (adapter / SIGNOFF_FILE).unlink()
    assert (await service.add(adapter, "ana")).signed == "1 of 2 sign-offs count"


async def test_a_row_of_an_earlier_version_does_not_hide_the_others(fresh: Database, tmp_path: Path) -> None:
    signers, adapter = Signers.of(tmp_path, "ines"), make_adapter(tmp_path / "a", 1)
    service = Setup(fresh, tmp_path, signers.file).service
    await service.add(adapter, "ana")
    async with fresh.session() as session:
        await session.execute(text("UPDATE gate_reports SET report = report - 'rules'"))
    (view,), _ = await service.list()
    assert view.signed.startswith("no sign-off counts: the gate's report is of an earlier version")
