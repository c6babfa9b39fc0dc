"""How commands speak: results on stdout, all else on stderr, and no progress bar where nobody watches."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from nexa_data.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.progress import Progress, TaskID

__all__ = [
    "Bar",
    "bytes_text",
    "configure_logging",
    "rate_text",
    "reuse_text",
    "say",
    "seconds_text",
    "show",
    "show_facts",
    "show_json",
    "show_table",
    "silence_broken_pipe",
    "watching",
]

_PATIENCE_S = 1.0
_POLL_S = 0.1
_PIPED_COLUMNS = 160
_UNIT = 1024


def show(text: str) -> None:
    """Print a line of the result to stdout; a reader that went away (`| head`) is no error."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        silence_broken_pipe()


def say(text: str) -> None:
    """Print a line to stderr: what is good to know but not the result."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        silence_broken_pipe()


def silence_broken_pipe() -> None:
    """Send stdout and stderr nowhere where nobody reads them any more, so that exiting doesn't complain either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def show_json(value: Any) -> None:
    """Print a value as one indented JSON document; NaN and infinities become null."""
    import orjson

    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    show(orjson.dumps(value, default=_jsonable, option=options).decode())


def _jsonable(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print `name  value` lines, values aligned; those that are None are left out."""
    shown = {name: value for name, value in facts.items() if value is not None}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        first, *more = str(value).splitlines() or [""]
        show(f"{name:<{width}}  {first}".rstrip())
        for line in more:
            show(f"{'':<{width}}  {line}")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table; columns of numbers are aligned to the right.

    Args:
        columns: Headings; one that begins with `>` is of numbers.
        rows: Cells; None stays empty.
        title: A line above it.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if title:
        show(title)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(
            column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    # Without a terminal rich assumes 80 columns and would fold paths in two.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPED_COLUMNS)
    with console.capture() as captured:
        console.print(table)
    show("\n".join(line.rstrip() for line in captured.get().splitlines()))


def bytes_text(count: int) -> str:
    """Return a size for a person.

    Example:
        >>> bytes_text(512), bytes_text(3 * 1024 * 1024 // 2)
        ('512 B', '1.5 MiB')
    """
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < _UNIT:
            break
        size, unit = size / _UNIT, larger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


def seconds_text(seconds: float) -> str:
    """Return a duration for a person.

    Example:
        >>> seconds_text(0.0123), seconds_text(83.4)
        ('0.012 s', '83.4 s')
    """
    return f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.1f} s"


def rate_text(size: int | None, seconds: float) -> str | None:
    """Return bytes per second for a person, None where they aren't known.

    Example:
        >>> rate_text(3 * 1024 * 1024, 2.0)
        '1.5 MiB/s'
    """
    return None if size is None or seconds <= 0 else f"{bytes_text(int(size / seconds))}/s"


def reuse_text(seconds: float, *, reused: bool) -> str:
    """Return whether something was reused, and how long that took to make or find.

    Example:
        >>> reuse_text(0.0123, reused=True)
        'yes (0.012 s)'
    """
    return f"{'yes' if reused else 'no'} ({seconds_text(seconds)})"


class _Notes(logging.StreamHandler[Any]):
    """Prints log records to whatever stderr is at the moment: a progress bar may have taken its place."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return redact_text(super().format(record))


def configure_logging(*, verbose: bool) -> None:
    """Show our warnings on stderr, with `verbose` all that we log."""
    handler = _Notes()
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s" if verbose else "warning: %(message)s"
    handler.setFormatter(logging.Formatter(form))
    for name in ("nexa_data", "nexa_distill"):
        logger = logging.getLogger(name)
        logger.handlers = [each for each in logger.handlers if not isinstance(each, _Notes)] + [handler]
        logger.setLevel(logging.INFO if verbose else logging.WARNING)


class Bar:
    """A progress bar on stderr that appears once the work has lasted a second, if stderr is a terminal.

    Args:
        label: What is being done.
        unit: What is counted: `records` or `bytes`.
    """

    def __init__(self, label: str, unit: str) -> None:
        self._label = label
        self._unit = unit
        self._watched = sys.stderr.isatty()
        self._since = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._parts = ""

    def count_parts(self, done: int, total: int) -> None:
        """Say how many of the shards are done."""
        self._parts = f" {done:,}/{total:,} shards"

    def __call__(self, done: int, total: int | None = None) -> None:
        """Say how far the work is."""
        if not self._watched or time.monotonic() - self._since < _PATIENCE_S:
            return
        if self._progress is None or self._task is None:
            self._progress = self._new()
            self._task = self._progress.add_task(self._label, total=total, completed=done)
            self._progress.tasks[0].start_time = self._since
            self._progress.start()
        label = self._label + self._parts
        self._progress.update(self._task, completed=done, total=total, description=label)

    def _new(self) -> Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        counted = (
            (DownloadColumn(binary_units=True), TransferSpeedColumn())
            if self._unit == "bytes"
            else (TextColumn("{task.completed:,} " + self._unit),)
        )
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            *counted,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        return Progress(*columns, console=Console(stderr=True), transient=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()


@contextmanager
def watching(bar: Bar, done: Callable[[], int], total: int | None) -> Iterator[None]:
    """Feed `bar` with `done()` from another thread, for work that doesn't call back itself."""
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(_POLL_S):
            bar(done(), total)

    thread = threading.Thread(target=watch, name="nexa-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
