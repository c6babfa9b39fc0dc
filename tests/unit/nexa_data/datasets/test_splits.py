from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexa_data.config import load_config
from nexa_data.datasets.rows import RowBatch
from nexa_data.datasets.splits import Cut, assign_splits
from nexa_data.errors import ConfigError, RecordError

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
    with pytest.raises(RecordError, match="row 1: column 'k' is null"):
        assign_splits(rows(0, k=[1, None]), SHARES, seed=0, key="k")


def test_the_cut_is_the_one_that_was_always_made() -> None:
    # A change here moves records between the splits of everybody's data.
    assert assign_splits(rows(24), SHARES, seed=0).tolist() == ROWS
    assert assign_splits(rows(0, k=[f"k{at}" for at in range(24)]), SHARES, seed=0, key="k").tolist() == KEYS


ROWS = [0, 2, 1, 0, 0, 1, 1, 1, 0, 2, 0, 0, 0, 0, 0, 1, 2, 2, 0, 0, 0, 0, 0, 2]
KEYS = [0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2, 1, 1, 1, 0]


def cut(labels: list[int], sizes: list[int], seed: int = 0, **split: Any) -> list[int]:
    """Return the splits of rows that come in batches of these sizes."""
    section = load_config({"data": {"dataset_name": "x", "split": split}}).data
    made, found, first = Cut(section, seed), [], 0
    for size in sizes:
        part = labels[first : first + size]
        found += made.assign(rows(0, x=part, first=first), np.array(part, np.int64)).tolist()
        first += size
    return found


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=400),
    st.integers(1, 50),
    st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5, 0.0), (0.34, 0.33, 0.33)]),
)
def test_a_stratified_cut_meets_the_shares_in_each_class_whatever_the_batches(
    labels: list[int], size: int, shares: tuple[float, ...]
) -> None:
    split = {"stratify": True, **dict(zip(SHARES, shares, strict=True))}
    pieces = [size] * (len(labels) // size + 1)
    found = cut(labels, pieces, **split)
    assert found == cut(labels, [len(labels)], **split)
    for label in set(labels):
        mine = [each for each, of in zip(found, labels, strict=True) if of == label]
        whole = mine[: len(mine) // 100 * 100]
        counts = np.bincount(whole, minlength=3)
        np.testing.assert_allclose(counts, np.multiply(shares, len(whole)), atol=1.01)


def test_a_stratified_cut_is_another_one_with_another_seed() -> None:
    labels = [at % 2 for at in range(200)]
    stratified = {"stratify": True}
    assert cut(labels, [200], **stratified) != cut(labels, [200], seed=1, **stratified)


def test_a_column_names_the_split_in_the_words_that_people_use() -> None:
    names = ["train", "Training", "val", "VALID", "validation", "dev", "test ", "train"]
    made = Cut(load_config({"data": {"dataset_name": "x", "split": {"column": "part"}}}).data, 0)
    batch = rows(0, part=names, label=list(range(8)))
    assert made.assign(batch, np.arange(8)).tolist() == [0, 0, 1, 1, 1, 1, 2, 0]


@pytest.mark.parametrize(
    ("names", "what"),
    [(["train", "holdout"], "names the split 'holdout'.*known: train"), (["train", None], "row 1: .*null")],
)
def test_a_column_that_names_no_split_is_refused(names: list[Any], what: str) -> None:
    made = Cut(load_config({"data": {"dataset_name": "x", "split": {"column": "part"}}}).data, 0)
    with pytest.raises(RecordError, match=what):
        made.assign(rows(0, part=names), np.arange(2))


def test_a_group_never_parts_and_is_cut_as_a_key_is() -> None:
    groups = [f"patient {at // 7}" for at in range(700)]
    by_group = Cut(load_config({"data": {"dataset_name": "x", "split": {"group": "g"}}}).data, 3)
    found = by_group.assign(rows(0, g=groups), np.zeros(700)).tolist()
    assert found == assign_splits(rows(0, g=groups), SHARES, seed=3, key="g").tolist()
    assert all(len({found[at] for at in range(700) if groups[at] == group}) == 1 for group in set(groups))


@pytest.mark.parametrize(
    "split",
    [
        {"column": "c", "train": 0.8},
        {"column": "c", "group": "g"},
        {"stratify": True, "group": "g"},
        {"column": "c", "stratify": True},
    ],
)
def test_ways_to_cut_that_exclude_each_other_are_refused(split: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"data\.split"):
        load_config({"data": {"dataset_name": "x", "split": split}})
