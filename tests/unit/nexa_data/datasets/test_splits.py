from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexa_data.datasets.rows import RowBatch
from nexa_data.datasets.splits import assign_splits
from nexa_data.errors import RecordError

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def rows(n: int, *, origin: str = "a.csv", first: int = 0, **columns: Any) -> RowBatch:
    return RowBatch(origin, first, pa.record_batch(columns or {"x": list(range(n))}))


def test_the_shares_are_met_approximately() -> None:
    counts = np.bincount(assign_splits(rows(20_000), SHARES, seed=0), minlength=3)
    np.testing.assert_allclose(counts / 20_000, [0.8, 0.1, 0.1], atol=0.01)


@given(
    n=st.integers(1, 300), more=st.integers(0, 300), cut=st.integers(0, 300), seed=st.integers(0, 2**63 - 1)
)
def test_adding_data_and_cutting_it_into_other_batches_moves_nothing(
    n: int, more: int, cut: int, seed: int
) -> None:
    alone = assign_splits(rows(n), SHARES, seed=seed)
    grown = assign_splits(rows(n + more), SHARES, seed=seed)
    assert grown[:n].tolist() == alone.tolist()
    cut = min(cut, n)
    pieces = [rows(cut), rows(n - cut, first=cut)]
    assert (
        np.concatenate([assign_splits(each, SHARES, seed=seed) for each in pieces]).tolist() == alone.tolist()
    )


def test_another_seed_or_another_file_gives_another_cut() -> None:
    one = assign_splits(rows(500), SHARES, seed=0)
    assert (one != assign_splits(rows(500), SHARES, seed=1)).any()
    assert (one != assign_splits(rows(500, origin="b.csv"), SHARES, seed=0)).any()


@given(st.lists(st.integers(0, 20), min_size=1, max_size=200), st.integers(0, 1000))
def test_groups_of_a_key_never_part(keys: list[int], first: int) -> None:
    found = assign_splits(rows(0, k=keys, first=first), SHARES, seed=0, key="k")
    by_key: dict[int, set[int]] = {}
    for key, split in zip(keys, found, strict=True):
        by_key.setdefault(key, set()).add(int(split))
    assert all(len(splits) == 1 for splits in by_key.values())


def test_a_key_decides_alone_whatever_file_row_or_type_it_stands_in() -> None:
    keys = list(range(400))
    number = assign_splits(rows(0, k=keys), SHARES, seed=0, key="k")
    text = assign_splits(
        rows(0, k=[str(key) for key in keys], origin="z.parquet", first=99), SHARES, seed=0, key="k"
    )
    backwards = assign_splits(rows(0, k=keys[::-1]), SHARES, seed=0, key="k")
    assert number.tolist() == text.tolist() == backwards[::-1].tolist()
    counts = (
        np.bincount(assign_splits(rows(0, k=list(range(5000))), SHARES, seed=0, key="k"), minlength=3) / 5000
    )
    np.testing.assert_allclose(counts, [0.8, 0.1, 0.1], atol=0.02)


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.0, 0.5), (0.0, 1.0, 0.0)])
def test_a_share_of_zero_gets_no_record(shares: tuple[float, ...]) -> None:
    found = assign_splits(rows(5000), dict(zip(SHARES, shares, strict=True)), seed=0)
    assert set(found.tolist()) == {at for at, share in enumerate(shares) if share}


def test_a_key_column_that_is_missing_or_null_is_refused() -> None:
    with pytest.raises(RecordError, match=r"no column 'kk'.*k"):
        assign_splits(rows(0, k=[1]), SHARES, seed=0, key="kk")
    with pytest.raises(RecordError, match="'k' has nulls"):
        assign_splits(rows(0, k=[1, None]), SHARES, seed=0, key="k")


def test_the_cut_is_the_one_that_was_always_made() -> None:
    # A change here moves records between the splits of everybody's data.
    assert assign_splits(rows(24), SHARES, seed=0).tolist() == ROWS
    assert assign_splits(rows(0, k=[f"k{at}" for at in range(24)]), SHARES, seed=0, key="k").tolist() == KEYS


ROWS = [0, 2, 1, 0, 0, 1, 1, 1, 0, 2, 0, 0, 0, 0, 0, 1, 2, 2, 0, 0, 0, 0, 0, 2]
KEYS = [0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2, 1, 1, 1, 0]
