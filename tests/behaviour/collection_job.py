"""A collection as users run it: a manifest, a process of its own, its exit code, and what lies there afterwards."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow.parquet as pq
import pytest
from nexa_data.data_generation_job import main
from nexa_distill.manifest import load_manifest
from nexa_distill.request import request_key

if TYPE_CHECKING:
    from collections.abc import Iterable

PYTHON = Path(__file__).parents[2] / "python"
KEY = "sk-test-0123456789abcdefghijklmnop"
DEFAULTS: dict[str, Any] = {
    "model": "teacher",
    "prompt_column": "prompt",
    "max_tokens": 8,
    "retry_base_s": 0.01,
    "retry_max_s": 0.05,
    "timeout_s": 20,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.out)
        return report


class CollectionJob:
    """A manifest over `rows` prompts in a folder of its own."""

    def __init__(self, folder: Path, url: str, prompts: Iterable[str], **settings: Any) -> None:
        self.folder = folder
        self.url = url
        self.prompts = list(prompts)
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"id": row, "prompt": prompt}) for row, prompt in enumerate(self.prompts)]
        (folder / "in.jsonl").write_text("\n".join(lines) + "\n")
        self.settings = {
            **DEFAULTS,
            "input": str(folder / "in.jsonl"),
            "output_dir": str(folder / "out"),
            **settings,
        }

    @property
    def output(self) -> Path:
        return Path(self.settings["output_dir"])

    def with_settings(self, **settings: Any) -> CollectionJob:
        """Return the same rows under other settings."""
        return CollectionJob(self.folder, self.url, self.prompts, **{**self.settings, **settings})

    def start(
        self, *arguments: str, env: dict[str, str] | None = None, before: Any = None
    ) -> subprocess.Popen[str]:
        manifest = str(self.write_manifest())
        command = [sys.executable, "-m", "nexa_data.data_generation_job", "--manifest", manifest, *arguments]
        return subprocess.Popen(
            command,
            env={**self.environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,  # noqa: PLW1509 (sets a limit of the child, takes no lock)
        )

    def run(self, *arguments: str, env: dict[str, str] | None = None, before: Any = None) -> Ended:
        with self.start(*arguments, env=env, before=before) as process:
            out, err = process.communicate(timeout=120)
        return Ended(process.returncode, out, err)

    def rows(self) -> list[dict[str, Any]]:
        """Return what is published."""
        rows: list[dict[str, Any]] = pq.read_table(self.output / "teacher_outputs.parquet").to_pylist()
        return rows

    def manifest(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.output / "manifest.json").read_text())
        return told

    def runs(self) -> list[Path]:
        """Return the folders of all runs beside the output."""
        return sorted(path.parent for path in (self.output.parent / ".teacher-runs").glob("*/run.json"))

    def keys(self) -> bytes:
        """Return the identities of the requests, one after the other."""
        settings = load_manifest(self.settings).settings()
        shared = orjson.dumps({"model": settings.model, **settings.parameters()}, option=orjson.OPT_SORT_KEYS)
        asked = ({"messages": [{"role": "user", "content": prompt}]} for prompt in self.prompts)
        return b"".join(
            request_key(self.url, shared, orjson.dumps(each, option=orjson.OPT_SORT_KEYS)) for each in asked
        )

    def write_manifest(self) -> Path:
        manifest = self.folder / "manifest.json"
        manifest.write_text(json.dumps(self.settings))
        return manifest

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, "PYTHONPATH": str(PYTHON), "OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": KEY}


def prompts(count: int) -> list[str]:
    return [f"prompt number {row}" for row in range(count)]


def run_here(job: CollectionJob, *arguments: str, **env: str) -> Ended:
    """Run a job in this process: the same as `CollectionJob.run`, without the wait for an interpreter."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in {**job.environment(), **env}.items():
            patch.setenv(name, value)
        code = main(argv=["--manifest", str(job.write_manifest()), *arguments])
    return Ended(code, out.getvalue(), err.getvalue())
