"""The work folder of a run: its checkpoints, whose they are, and the rows of metrics.jsonl that belong to them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from app.contracts.adapters import content_hash
from app.contracts.prompt import PROMPT_VERSION, template_hash
from app.contracts.weights import weights_digest
from app.errors import ConfigurationError
from training.files import write_text
from training.finetune.config import FinetuneConfig
from training.finetune.data import files_hash

METRICS = "metrics.jsonl"
_RUN = "run.json"
_CHECKPOINTS = "checkpoint-[0-9]*"


def run_identity(config: FinetuneConfig) -> dict[str, Any]:
    """All that decides which weights a run comes to; not where it writes, on how many threads and for how long.

    Raises ConfigurationError when a file cannot be read.
    """
    base, start = Path(config.base_model), config.start_from
    try:
        base_sha256 = weights_digest(base) if base.is_dir() else config.base_model
        start_sha256 = content_hash(start) if start is not None else None
    except OSError as error:
        raise ConfigurationError(
            f"base_model or start_from: {error.filename} cannot be read ({error.strerror}): put it there, or name "
            "another folder"
        ) from None
    training = config.training.model_dump(mode="json", exclude={"minutes", "threads", "report_to"})
    return {
        "base_model": base_sha256,
        "start_from": start_sha256,
        "dialogues": files_hash(config.files),
        "prompt": [PROMPT_VERSION, template_hash()],
        "site": config.site,
        "canaries": config.canaries,
        "lora": config.lora.model_dump(mode="json"),
        **{f"training.{name}": value for name, value in training.items()},
    }


def own_checkpoint(work: Path, identity: dict[str, Any]) -> Path | None:
    """The last checkpoint in ``work``; None if there is none. Raises ConfigurationError when it is of another run."""
    last = _last_whole(work)
    if last is None:
        return None
    mend = "run without --resume to begin anew, or name another work folder"
    try:
        theirs = json.loads((work / _RUN).read_bytes())
        other = [name for name, value in identity.items() if theirs.get(name) != value]
    except (OSError, ValueError, AttributeError):
        raise ConfigurationError(f"{last} is of a run that {work / _RUN} does not tell: {mend}") from None
    if other:
        raise ConfigurationError(f"{last} is of a run with other {', '.join(other)}: {mend}")
    return last


def settle(work: Path, identity: dict[str, Any], last: Path | None) -> None:
    """Make ``work`` that of this run: what lies after its checkpoint goes, and everything where it begins anew.

    Raises ConfigurationError when it cannot be written.
    """
    if last is None:
        _remove_checkpoints(work)
        write_text(work / _RUN, json.dumps(identity, indent=2) + "\n")
    metrics = work / METRICS
    if metrics.exists():
        write_text(metrics, "".join(_until(metrics, _step(last))) if last else "")


def stopped(work: Path, error: Exception, file: Path | None = None) -> ConfigurationError:
    """What a run says that ``error`` stopped as it wrote ``file`` (without: the one that the error names).

    A checkpoint that is not whole is removed: that makes room, and the next run goes on from the one before.
    """
    for path in work.glob(_CHECKPOINTS):
        if not _is_whole(path):
            shutil.rmtree(path, ignore_errors=True)
    named, why = (error.filename, error.strerror) if isinstance(error, OSError) else (None, None)
    last = _last_whole(work)
    kept = "nothing is kept yet, it will begin anew" if last is None else f"{last} is kept, it will go on from there"
    return ConfigurationError(
        f"training stopped: {file or named or work} cannot be written ({why or error}): make room on the disk, or make "
        f"the folder writable, and run this again with --resume; {kept}"
    )


def _last_whole(work: Path) -> Path | None:
    return max(filter(_is_whole, work.glob(_CHECKPOINTS)), key=_step, default=None)


def _is_whole(checkpoint: Path) -> bool:
    """Its state is the last file that is written."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_bytes())
    except (OSError, ValueError):
        return False
    return True


def _remove_checkpoints(work: Path) -> None:
    try:
        for path in work.glob(_CHECKPOINTS):
            shutil.rmtree(path)
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be removed ({error.strerror}): remove it by hand") from error


def _until(metrics: Path, step: int) -> list[str]:
    """The lines up to a step, without one that a killed run left half."""
    kept = []
    for line in metrics.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            if int(json.loads(line)["step"]) <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    return kept


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])
