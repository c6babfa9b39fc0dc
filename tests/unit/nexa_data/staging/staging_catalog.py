"""What the tests of staging's rooms share: a catalog of small files that a test writes as it likes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data.prepare import stage_catalog_to_nvme
from nexa_data.staging.store import STORE_NAME, place_of

if TYPE_CHECKING:
    from pathlib import Path

    from nexa_data.artifacts import ArtifactMeta


@dataclass
class Catalog:
    """A folder of opaque shards with a catalog."""

    folder: Path
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, name: str, content: bytes, *, checksum: bool = True) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.lines[name] = {"uri": name} | ({"checksum": digest_of(content)} if checksum else {})
        self.save()

    def save(self) -> None:
        text = "".join(json.dumps(line) + "\n" for line in self.lines.values())
        (self.folder / "catalog.jsonl").write_text(text)

    def stage(self, destination: Path, **options: Any) -> ArtifactMeta:
        return stage_catalog_to_nvme(self.folder, destination, **options)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "staging_report.json").read_bytes())
    return report


def ways(folder: Path) -> dict[str, int]:
    """Return how many shards were copied, linked and resumed."""
    report = report_of(folder)
    return {
        way: report[f"{way}_shards"] for way in ("copied", "linked", "resumed") if report[f"{way}_shards"]
    }


def records_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "staging_shards.jsonl").read_text().splitlines()]


def entry(parent: Path, content: bytes) -> Path:
    """Return where the store keeps a content."""
    return parent / STORE_NAME / place_of(digest_of(content))


def rewrite(path: Path, content: bytes) -> None:
    """Change a file in place, with all its links."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def mount(folder: Path, *options: str) -> None:
    """Mount a file system in memory, or skip the test."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a file system can't be mounted here: this needs root")
