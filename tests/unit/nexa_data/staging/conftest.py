"""The fixtures of staging's tests; what they return is in `staging_catalog.py`, which tests import by name."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from staging_catalog import Catalog, mount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Return a catalog of five shards of 10, 20, … 50 kB with checksums."""
    (tmp_path / "source").mkdir()
    made = Catalog(tmp_path / "source")
    for at in range(1, 6):
        made.write(f"s{at}.bin", bytes([at]) * at * 10_000)
    return made


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 24 MiB."""
    folder = tmp_path / "disk"
    mount(folder, "size=24m", "mode=0700")
    yield folder
    subprocess.run(["umount", folder], check=True)  # noqa: S607
