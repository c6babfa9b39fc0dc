"""How a command ends: its exit code, and the lines that say why."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

from nexa_data.errors import (
    CatalogError,
    ConfigError,
    ContentMismatchError,
    NexaError,
    RecordError,
    ValidationRefusedError,
)
from nexa_data.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["EXIT_CODES", "ExitCode", "error_lines", "exit_code", "terminate_like_interrupt"]


class ExitCode(IntEnum):
    """What the process tells its caller."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    INTERRUPTED = 4


EXIT_CODES = """\b
Exit codes:
  0  ok
  1  the run failed
  2  wrong usage or config
  3  a check refused the data
  4  interrupted (Ctrl-C or SIGTERM); the same command goes on

--debug and --verbose may stand anywhere in the line.
"""
"""The same for a person; shown by `--help`."""


def exit_code(error: BaseException) -> ExitCode:
    """Return the exit code that says what kind of failure `error` is.

    Example:
        >>> exit_code(ConfigError("data.batch_size is 0")).value
        2
    """
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, ConfigError):
        return ExitCode.USAGE
    if isinstance(error, RecordError | ValidationRefusedError | CatalogError | ContentMismatchError):
        return ExitCode.REFUSED
    return ExitCode.FAILED


def error_lines(error: Exception) -> list[str]:
    """Return what stderr says of an error: a line for each fault, and its details indented below.

    Example:
        >>> error_lines(ConfigError("data.batch_size is 0", remedy="set it to at least 1"))
        ['error: data.batch_size is 0; set it to at least 1']
    """
    lines = [line.rstrip() for line in redact_text(_text(error)).splitlines() if line.strip()]
    # An indented line goes on about the one above it.
    return [line if line[0].isspace() else f"error: {line}" for line in lines]


def _text(error: Exception) -> str:
    if isinstance(error, NexaError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("nexa_"):
        package = error.name.partition(".")[0]
        return f"the package {package!r} isn't installed; pip install {package}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return "out of memory; give the process more, or lower data.batch_size and data.shards"
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"unexpected {type(error).__name__}: {first}; run it again with --debug and report what it shows"


@contextmanager
def terminate_like_interrupt() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C inside the block, so that a scheduler's stop is resumable too.

    A handler that was there is called first and put back at the end. Does nothing beside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGTERM)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if callable(previous):
            previous(number, frame)
        if signal.getsignal(signal.SIGTERM) is not interrupt:
            return  # a handler was laid over ours and calls it: the interrupt is its to raise, once
        # An event loop turns SIGINT into an orderly cancellation. A job started with `&` ignores SIGINT.
        if callable(signal.getsignal(signal.SIGINT)):
            signal.raise_signal(signal.SIGINT)
        else:
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if previous is None else previous)
