"""Claims about sizes as people write them."""

from __future__ import annotations

import pytest
from nexa_data.errors import ConfigError
from nexa_data.sizes import size_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        (4096, 4096),
        ("500GB", 500 * 10**9),
        ("64GiB", 64 * 2**30),
        ("64 gib", 64 * 2**30),
        ("0.1TB", 10**11),
        ("200MB/s", 2 * 10**8),
        ("12kB", 12_000),
        ("12B", 12),
    ],
)
def test_a_size_is_read_as_it_is_written(text: str | int, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "GB", "1XB", "64G", "1.5.2GB", "5iB", "1e9", "10 GB x", -5, "0.1B"]
)
def test_anything_else_is_refused_with_the_forms(text: str | int) -> None:
    with pytest.raises(ConfigError, match=r"max_bytes .* is no size; write plain bytes, 500GB or 64GiB"):
        size_bytes(text, what="max_bytes")
