"""The adapter folder: weights, manifest.json and the card, all from one record."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from app.contracts.adapters import MANIFEST, WEIGHT_FILES, AdapterManifest, content_hash, read_manifest, write_json
from app.contracts.prompt import PROMPT_VERSION, template_hash
from app.contracts.weights import weights_digest
from app.errors import AdapterInvalid, ConfigurationError
from training.files import file_hash
from training.finetune.config import SERVED_RANKS, FinetuneConfig
from training.finetune.data import dataset_versions, files_hash
from training.finetune.trainer import Trained, library_versions

_MEASURED, _LIMITS = "## Measured", "## Limits"


def base_hash(base_model: str) -> str:
    """:func:`weights_digest` of a local base model, or SHA-256 (hex) of the hub id when the model is not a folder.

    Raises ConfigurationError for a folder without weights, or one that cannot be read.
    """
    folder = Path(base_model)
    if not folder.is_dir():
        return hashlib.sha256(base_model.encode()).hexdigest()
    try:
        return weights_digest(folder)
    except OSError as error:
        raise ConfigurationError(f"the weights of {folder} cannot be read ({error}): make them readable") from error


def write_adapter(trained: Trained, config: FinetuneConfig) -> AdapterManifest:
    """Write the folder ``config.output`` of a fine-tuning run. Returns its manifest."""
    return save_adapter(
        trained.model,
        config.output,
        config.base_id,
        manifest=lambda folder: _manifest(folder, trained, config),
        card=lambda manifest: card(manifest, config),
    )


def save_adapter(
    model: Any,
    output: Path,
    base_id: str,
    *,
    manifest: Callable[[Path], AdapterManifest],
    card: Callable[[AdapterManifest], str],
) -> AdapterManifest:
    """Write an adapter's folder, replacing it only when everything is written. Returns its manifest.

    ``manifest`` is made of the folder with the weights in it, ``card`` of the manifest. The weights are rounded to
    bfloat16 here, so that what is measured is, bit for bit, what is served. Raises ConfigurationError when the folder
    cannot be written.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".adapter-") as folder:
            part = Path(folder) / "part"
            model.save_pretrained(str(part))
            _round_weights(part / "adapter_model.safetensors")
            _settle_config(part / "adapter_config.json", base_id)
            for extra in part.iterdir():
                if extra.name not in WEIGHT_FILES:
                    extra.unlink()
            made = manifest(part)
            write_json(made, part / MANIFEST)
            (part / "README.md").write_text(card(made), encoding="utf-8")
            if output.exists():
                shutil.rmtree(output)
            part.rename(output)
    except OSError as error:
        raise ConfigurationError(
            f"{output} cannot be written ({error}): make its folder writable, or make room, and run this again "
            "(finetune with --resume)"
        ) from error
    return made


def require_servable(folder: Path) -> AdapterManifest:
    """The manifest of a whole adapter folder whose rank is served, and whose prompt is that of this release.

    Raises AdapterInvalid with the first rule that is broken.
    """
    manifest = read_manifest(folder)
    if manifest.rank not in SERVED_RANKS:
        raise AdapterInvalid(f"{folder}: rank {manifest.rank} cannot be served")
    if manifest.prompt_version != PROMPT_VERSION or manifest.template_sha256 != template_hash():
        raise AdapterInvalid(f"{folder}: made for prompt {manifest.prompt_version}; this release uses {PROMPT_VERSION}")
    return manifest


def require_base(folder: Path, base_model: str) -> AdapterManifest:
    """The manifest of a sound adapter folder that was trained over this base model. Raises AdapterInvalid."""
    manifest = require_servable(folder)
    if manifest.base_sha256 != base_hash(base_model):
        raise AdapterInvalid(
            f"{folder} was trained over other base weights than those of {base_model}: name the base model that its "
            f"manifest.json does ({manifest.base_id}), for the gate in the file of --config"
        )
    return manifest


def card(manifest: AdapterManifest, config: FinetuneConfig) -> str:
    """The adapter's README.md, not measured yet."""
    lora, training, versions = config.lora, config.training, manifest.dataset_versions
    rows = [
        ("version", f"`{manifest.version}`"),
        ("base model", f"{manifest.base_id}, weights `{manifest.base_sha256[:12]}`"),
        (
            "method",
            f"{'rsLoRA' if lora.rslora else 'LoRA'}, rank {lora.rank}, alpha {lora.alpha:g}, dropout {lora.dropout:g}",
        ),
        ("modules", ", ".join(manifest.target_modules)),
        ("prompt", f"{manifest.prompt_version}, template `{manifest.template_sha256[:12]}`"),
        ("data", f"{manifest.metrics['train_dialogues']:.0f} dialogues, hash `{manifest.dataset_sha256[:12]}`"),
        *([("dataset versions", ", ".join(f"`{name[:16]}`" for name in versions))] if versions else []),
        ("began with", _beginning(manifest)),
        (
            "learning rate",
            f"{training.learning_rate:g}, {training.schedule}, batch {training.batch_size * training.accumulate}",
        ),
        ("stopped after", f"{manifest.metrics['steps']:.0f} steps, {manifest.metrics['seconds'] / 60:.1f} minutes"),
        (
            "loss",
            f"training {manifest.metrics['train_loss']:.3f}, held-out {manifest.metrics['held_out_loss']:.3f} (best)",
        ),
        ("seed", str(training.seed)),
        ("libraries", ", ".join(f"{name} {version}" for name, version in sorted(manifest.libraries.items()))),
    ]
    about = [
        f"A LoRA adapter over {manifest.base_id} for {config.site}. It was trained to answer a question with the",
        "sentences of the given passage that fit, word for word, and to write a fixed sentence when the passage holds",
        "no answer. The figures below say how well it does either.",
    ]
    limits = ["The held-out articles also chose the best state during training, so the figures are slightly hopeful."]
    return card_text(manifest, about, rows, limits)


def card_text(
    manifest: AdapterManifest, about: Sequence[str], rows: Sequence[tuple[str, str]], limits: Sequence[str]
) -> str:
    """A card: what the adapter is, a table of how it was made, room for the gate's figures, and its limits."""
    lines = [
        f"# Adapter `{manifest.name}`",
        "",
        *about,
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        _MEASURED,
        "",
        "Not gated yet: run `bedside-train gate` on this folder.",
        "",
        _LIMITS,
        "",
        "It knows only what the passage says, and it can still pick a sentence that does not answer the question.",
        *limits,
        "Every answer passes the service's output checks before a patient sees it. The figures hold for English.",
        "",
    ]
    return "\n".join(lines)


def measured_card(text: str, rows: Sequence[str]) -> str:
    """The card with the gate's ``rows`` under "Measured", in the place of what stood there."""
    before, _, rest = text.partition(f"{_MEASURED}\n")
    heading = re.search(r"^## ", rest, re.MULTILINE)
    after = rest[heading.start() :] if heading else ""
    return "\n".join([f"{before.rstrip()}\n", _MEASURED, "", *rows, "", after])


def _beginning(manifest: AdapterManifest) -> str:
    if not manifest.ancestors:
        return "zero (an adapter that changes nothing)"
    return "the adapter " + ", which began with ".join(f"`{one.version}`" for one in reversed(manifest.ancestors))


def _dataset_versions(trained: Trained, config: FinetuneConfig) -> list[str]:
    """Own ones and those of the adapter that training began with: its weights have seen them too."""
    earlier = trained.start.dataset_versions if trained.start is not None else []
    return sorted({*dataset_versions(config.files), *earlier})


def _round_weights(path: Path) -> None:
    weights = {name: tensor.to(torch.bfloat16).clone() for name, tensor in load_file(str(path)).items()}
    save_file(weights, str(path), metadata={"format": "pt"})
    path.chmod(0o644)  # the service and the engine may run as other users


def _settle_config(path: Path, base_id: str) -> None:
    fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    fields["base_model_name_or_path"] = base_id
    fields["inference_mode"] = True
    fields["target_modules"] = sorted({name.rsplit(".", 1)[-1] for name in fields["target_modules"]})
    path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _manifest(folder: Path, trained: Trained, config: FinetuneConfig) -> AdapterManifest:
    fields = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return AdapterManifest(
        name=config.name,
        content_sha256=content_hash(folder),
        base_id=config.base_id,
        base_sha256=base_hash(config.base_model),
        rank=config.lora.rank,
        alpha=config.lora.alpha,
        target_modules=fields["target_modules"],
        prompt_version=PROMPT_VERSION,
        template_sha256=template_hash(),
        dataset_sha256=files_hash(config.files),
        dataset_versions=_dataset_versions(trained, config),
        trained_on=[file_hash(path) for path in config.training_files],
        ancestors=trained.start.line if trained.start is not None else [],
        created_at=datetime.now(UTC).replace(microsecond=0),
        libraries=library_versions(),
        metrics=trained.metrics,
    )
