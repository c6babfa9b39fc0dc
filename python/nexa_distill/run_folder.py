"""Where a run keeps what it asked and was answered: a private folder beside the output, found again by what is asked."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from nexa_data.artifacts import write_atomic
from nexa_data.errors import ArtifactError, ConfigError
from nexa_data.locks import lock_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from nexa_data._core import TeacherJournal
    from nexa_data.locks import Lock

    from nexa_distill.plan import Plan

__all__ = ["JOURNAL_NAME", "RUNS_NAME", "JournalPolicy", "RunFolder", "purge_run"]

_log = logging.getLogger(__name__)

RUNS_NAME = ".teacher-runs"
"""Folder beside the output that holds the runs' folders."""

JOURNAL_NAME = "journal.nexa"
_RUN_NAME = "run.json"
_LOCK_NAME = "lock"
_NAME_CHARS = 12
_DAY_S = 86400.0
_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class JournalPolicy:
    """Where the journal lies, how long its bodies are kept, and how.

    Args:
        folder: Folder of the runs' folders; None: `.teacher-runs` beside the output.
        retain: `until_published`: bodies go once the artifact is in place; `forever`; or a number of days after it.
        bodies: `zstd` compresses them, `raw` doesn't.

    Raises:
        ConfigError: A value is unknown.
    """

    folder: Path | None = None
    retain: Literal["until_published", "forever"] | float = "until_published"
    bodies: Literal["zstd", "raw"] = "zstd"

    def __post_init__(self) -> None:
        """Refuse unknown values."""
        if self.bodies not in {"zstd", "raw"}:
            raise ConfigError(f"journal.bodies is {self.bodies!r}", remedy="set it to zstd or raw")
        known = self.retain in {"until_published", "forever"}
        days = not isinstance(self.retain, bool | str) and self.retain >= 0
        if not known and not days:
            raise ConfigError(
                f"journal.retain is {self.retain!r}",
                remedy="set it to until_published, forever, or days: N",
            )


class RunFolder:
    """The folder of one run, locked: `journal.nexa`, and `run.json` with what was asked and where it was published.

    Its name is a digest of what is asked (endpoint, model, parameters, the requests in their order), so that another
    output or another key finds the same run, and another question starts a new one beside it. What other runs in the
    same place were answered to the same requests is taken over: nobody pays for it again.

    Args:
        plan: What is asked.
        output_dir: Where the artifact will be.
        policy: Where the journal lies, and how.

    Raises:
        ArtifactError: Another process holds the run, or its files can't be read or written.
    """

    def __init__(self, plan: Plan, output_dir: Path, policy: JournalPolicy) -> None:
        runs = policy.folder or output_dir.absolute().parent / RUNS_NAME
        self.path = Path(runs).absolute() / plan.run_hash[:_NAME_CHARS]
        self._plan = plan
        self._policy = policy
        self._lock: Lock | None = None
        self.journal: TeacherJournal

    def __enter__(self) -> Self:
        from nexa_data import _core

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            self.path.chmod(0o700)  # whoever made it, and whatever the umask
            self._lock = _locked(self.path)
            self.journal = _core.TeacherJournal(
                self.path / JOURNAL_NAME, compress=self._policy.bodies == "zstd"
            )
            if self.journal.damaged_bytes:
                _log.warning(
                    "%s: %d damaged bytes are passed over; what they held counts as lost",
                    self.path / JOURNAL_NAME,
                    self.journal.damaged_bytes,
                )
            self._write_state({**self._fresh(), **self.state(), "purged": False})
            self._expire()
        except OSError as error:
            self._release()
            raise ArtifactError(
                f"{self.path}: the run can't be kept: {error.strerror or error}",
                remedy="make room, or name another folder (journal.dir in a manifest)",
            ) from error
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.journal.close()
        finally:
            self._release()

    def state(self) -> dict[str, Any]:
        """Return what `run.json` says; empty where it isn't there or can't be read."""
        return _read_state(self.path)

    def adopt(self) -> int:
        """Take over what other runs in the same place know of the same requests; returns how many answers."""
        from nexa_data import _core

        taken = 0
        for folder, state in _runs(self.path.parent):
            if folder == self.path or state.get("asked_hash") != self._plan.asked_hash:
                continue
            try:
                other = _core.TeacherJournal(folder / JOURNAL_NAME, read_only=True)
            except (ArtifactError, OSError) as error:
                _log.warning("%s is passed over: %s", folder, error)
                continue
            taken += self.journal.adopt(other, bytes(self._plan.keys))
            other.close()
        return taken

    def publications(self) -> list[Path]:
        """Return the artifacts that hold answers of the same question, by this run's and the other runs' word."""
        found: dict[Path, None] = {}
        for _, state in _runs(self.path.parent):
            if state.get("asked_hash") == self._plan.asked_hash:
                found |= dict.fromkeys(Path(place) for place in state.get("published", ()))
        return list(found)

    def published(self, destination: Path) -> None:
        """Write down where the answers are published, and let the bodies go if that is wanted."""
        state = self.state()
        places = dict.fromkeys([*state.get("published", ()), str(destination)])
        state = {**state, "published": list(places), "published_at": time.time()}
        self._write_state(state)
        if self._policy.retain == "until_published":
            self.journal.purge()
            self._write_state({**state, "purged": True})

    def settle(self, destination: Path) -> None:
        """Do what a run that was killed after it had published, and before its end, has left to do."""
        state = self.state()
        told = str(destination) in state.get("published", ())
        kept = self._policy.retain == "until_published" and not state.get("purged")
        if state and (kept or not told):
            with self:
                self.published(destination)

    def _expire(self) -> None:
        """Purge the runs whose days are over."""
        if not isinstance(self._policy.retain, int | float):
            return
        for folder, state in _runs(self.path.parent):
            age_s = time.time() - state.get("published_at", float("inf"))
            if folder == self.path or age_s <= self._policy.retain * _DAY_S or state.get("purged"):
                continue
            try:
                purge_run(folder)
            except ArtifactError as error:
                # Another collection uses it, or it is damaged: no reason not to ask for this one's rows.
                _log.warning("%s is not purged: %s", folder, error)

    def _fresh(self) -> dict[str, Any]:
        return {
            "schema_version": _SCHEMA_VERSION,
            "created_at": time.time(),
            "endpoint": self._plan.endpoint,
            "asked_hash": self._plan.asked_hash,
            "run_hash": self._plan.run_hash,
            "model": self._plan.asked["model"],
            "rows": self._plan.rows,
            "published": [],
        }

    def _write_state(self, state: dict[str, Any]) -> None:
        write_atomic(self.path / _RUN_NAME, json.dumps(state, indent=2).encode() + b"\n")

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def purge_run(folder: Path) -> int:
    """Delete the bodies that a run keeps; digests, counts and spend stay, so that nothing is paid for twice.

    Args:
        folder: A run's folder.

    Returns:
        Bytes that were freed.

    Raises:
        ConfigError: The folder is no run's.
        ArtifactError: A collection is using it, or it can't be written.
    """
    from nexa_data import _core

    folder = Path(folder).absolute()
    if not (folder / JOURNAL_NAME).is_file():
        known = [str(run) for run, _ in _runs(folder)] or [str(run) for run, _ in _runs(folder / RUNS_NAME)]
        hint = f"runs there: {', '.join(known)}" if known else f"runs lie in {RUNS_NAME} beside the output"
        raise ConfigError(f"{folder} is no run of a collection", remedy=hint)
    lock = _locked(folder)
    try:
        journal = _core.TeacherJournal(folder / JOURNAL_NAME)
        try:
            freed = journal.purge()
        finally:
            journal.close()
        state = {**_read_state(folder), "purged": True}
        write_atomic(folder / _RUN_NAME, json.dumps(state, indent=2).encode() + b"\n")
    finally:
        lock.release()
    return freed


def _locked(folder: Path) -> Lock:
    lock = lock_for(folder / _LOCK_NAME)
    if not lock.acquire(wait=False):
        raise ArtifactError(
            f"{folder}: another collection of the same requests is running",
            remedy="wait for it, or stop it; what it is answered is kept",
        )
    return lock


def _runs(runs: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    try:
        names = sorted(os.listdir(runs))  # noqa: PTH208 (names, in a fixed order)
    except OSError:
        return
    for name in names:
        if (runs / name / JOURNAL_NAME).is_file():
            yield runs / name, _read_state(runs / name)


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / _RUN_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
