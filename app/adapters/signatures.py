"""What the sign-offs that are stored for a version are worth today."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from app.contracts.adapters import GateReport
from app.db.models import AdapterRow, GateReportRow
from app.errors import ConfigurationError
from app.guardrails.signoff import Signoffs, Subject, gate_hash, load_register, verify


@dataclass(frozen=True, slots=True)
class Signed:
    """Whether the sign-offs are enough, in words, and ``why`` single ones do not count."""

    complete: bool
    said: str
    why: str = ""


def signed(row: AdapterRow, stored: GateReportRow, signers: Path) -> Signed:
    """Judge by the file ``signers`` as it is now; where it, or the report, cannot be used, nothing counts."""
    try:
        report = GateReport.model_validate(stored.report)
        subject = Subject(
            adapter_sha256=row.content_sha256,
            dataset_sha256=str(row.manifest.get("dataset_sha256")),
            evaluation_sha256=report.evaluation_sha256,
            policy_hash=report.policy_hash,
            prompt_version=report.prompt_version,
            report_sha256=report.report_sha256 or "",
            gate_sha256=gate_hash(report),
        )
        signoffs = Signoffs.model_validate(stored.signoffs or {}).signoffs
        found = verify(signoffs, subject, load_register(signers), today=date.today())
    except ValidationError:
        return Signed(False, "no sign-off counts: the gate's report is of an earlier version; gate it again")
    except ConfigurationError as error:
        return Signed(False, f"no sign-off counts: {error}")
    why = "".join(f"; {one.name}: {one.why_not}" for one in found.checked if not one.counts)
    return Signed(found.complete, found.said, why)
