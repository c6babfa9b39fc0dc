"""Calls on several files at once: in order, and all ended by the first that fails."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data import _core
from nexa_data.side_by_side import side_by_side

if TYPE_CHECKING:
    from pathlib import Path

LARGE_BYTES = 1 << 40
"""A file without content, whose digest would take minutes."""


def test_results_come_in_the_order_of_the_items() -> None:
    assert side_by_side(lambda item, _: item * 2, range(50)) == list(range(0, 100, 2))


def test_a_failure_ends_the_native_work_of_the_others(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(LARGE_BYTES)
    begun, ended = threading.Event(), threading.Event()

    def digest(path: Path | None, control: Any) -> str:
        if path is None:
            begun.wait(5)  # in vain where there is only one thread
            raise ValueError("no path")
        begun.set()
        try:
            return str(_core.digest_file(path, "sha256", control=control)[1])
        finally:
            ended.set()

    with pytest.raises(ValueError, match="no path"):
        side_by_side(digest, [None, large])
    assert ended.is_set() == begun.is_set() == (_core.default_threads() > 1)
