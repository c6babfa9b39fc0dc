"""Which process holds something, told so that another one can find out whether it still lives."""

from __future__ import annotations

import json
import os
import platform
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

__all__ = ["Owner"]

_PROC = Path("/proc")
_STATE, _STARTED = 0, 19  # fields 3 and 22 of proc(5) `stat`, counted behind the name in parentheses


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, and what it last said.

    Args:
        token: Drawn anew by each owner: no two are the same.
        host: Name of its machine.
        boot: Which start of the machine, and which space of process numbers, its pid is of.
        pid: Its number.
        started: When the kernel says it started, in ticks since boot: a number may be given twice.
        beat: Rises as long as it lives.
        told: Numbers that it tells those who wait for it.
    """

    token: str
    host: str
    boot: str
    pid: int
    started: int
    beat: int = 0
    told: tuple[int, ...] = ()

    @classmethod
    def this_process(cls) -> Self:
        """Return the calling process, under a new token."""
        pid = os.getpid()
        return cls(uuid.uuid4().hex, platform.node(), _boot(), pid, (_look(pid) or ("", 0))[1])

    @classmethod
    def parse(cls, content: bytes) -> Self | None:
        """Return the owner that `dumps` wrote, None if the content is anything else (or not all there yet)."""
        try:
            found = json.loads(content)
            told = tuple(int(number) for number in found.pop("told"))
            made = cls(**found, told=told)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        numbers = (made.pid, made.started, made.beat)
        return made if all(isinstance(number, int) for number in numbers) and made.pid > 0 else None

    def dumps(self) -> bytes:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self)).encode()

    def said(self, told: tuple[int, ...] | None, *, beat: int) -> Self:
        """Return the same owner after it has told something or given a sign of life."""
        return replace(self, told=self.told if told is None else told, beat=self.beat + beat)

    def is_dead(self) -> bool:
        """Say whether it is known to be dead: never of a process that can't be seen from here."""
        if (self.host, self.boot) != (platform.node(), _boot()):
            return False
        found = _look(self.pid)
        return found is None or found[0] in "ZX" or found[1] != self.started

    def __str__(self) -> str:
        """Return the process for a person."""
        return f"process {self.pid} on {self.host}"


def _boot() -> str:
    """Return what pids that can be compared have in common."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _look(pid: int) -> tuple[str, int] | None:
    """Return state and start of a process; None if there is none."""
    try:
        fields = (_PROC / f"{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[_STATE], int(fields[_STARTED])
    except FileNotFoundError:
        if not _PROC.joinpath("self").exists():
            return _ask(pid)
        return None
    except (OSError, ValueError, IndexError):
        return None


def _ask(pid: int) -> tuple[str, int] | None:
    """Do as `_look` on systems without /proc, which tell no start."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "R", 0
