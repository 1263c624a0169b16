"""Adapter files on disk: one read-only folder per content hash, published by rename, never changed or deleted.

vLLM keys its caches by name and path and reads an evicted adapter again from its folder, so a folder that an engine
ever loaded must stay as it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from pydantic import ValidationError

from app.contracts.adapters import GATE_REPORT, MANIFEST, WEIGHT_FILES, AdapterManifest, GateReport, content_hash
from app.errors import AdapterInvalid, StoreUnavailable


class AdapterStore:
    """Folders ``<root>/<sha256>/`` with weights and manifest."""

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().resolve()

    def folder(self, sha256: str) -> Path:
        """Where the adapter with this content lies."""
        return self._root / sha256

    def publish(self, source: Path, manifest: AdapterManifest) -> Path:
        """Copy an adapter in; the same content again is a no-op. Raises StoreUnavailable if the disk refuses."""
        target = self.folder(manifest.content_sha256)
        if target.exists():
            self.verify(manifest.content_sha256)
            return target
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".incoming-", dir=self._root))
            try:
                for name in (*WEIGHT_FILES, MANIFEST):
                    shutil.copyfile(source / name, staging / name)
                    with open(staging / name, "rb") as file:
                        os.fsync(file.fileno())
                    (staging / name).chmod(0o444)
                staging.chmod(0o755)
                staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        except OSError as error:
            raise StoreUnavailable(f"the adapter could not be written to {self._root}: {error.strerror}") from error
        self.verify(manifest.content_sha256)
        return target

    def verify(self, sha256: str) -> None:
        """Check that the folder still holds this content. Raises AdapterInvalid."""
        try:
            found = content_hash(self.folder(sha256))
        except OSError as error:
            raise AdapterInvalid(f"the files of adapter {sha256[:12]} are missing from the store") from error
        if found != sha256:
            raise AdapterInvalid(f"the files of adapter {sha256[:12]} were changed after they were registered")


def read_gate_report(folder: Path) -> GateReport | None:
    """``gate_report.json`` of a folder, or None if the gate has not run. Raises AdapterInvalid if it is broken."""
    try:
        return GateReport.model_validate_json((folder / GATE_REPORT).read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError) as error:
        raise AdapterInvalid(f"{GATE_REPORT} cannot be read: {str(error).splitlines()[0]}") from error
