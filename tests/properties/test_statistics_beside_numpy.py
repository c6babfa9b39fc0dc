from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nexa_data import _core
from nexa_data.quality.measure import Described, Measurement
from nexa_data.quality.model import QUANTILES, ColumnQuality, QualityStatistics

FLOATS = st.floats(width=64, allow_nan=True, allow_infinity=True)
TAME = st.floats(-1e9, 1e9, width=64) | st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf])


def seen(cuts: list[pa.RecordBatch]) -> QualityStatistics:
    measurement = Measurement(Described(label=None))
    for batch in cuts:
        measurement.add("train", batch)
    return measurement.statistics()


def column(values: pa.Array, *cuts: int) -> ColumnQuality:
    whole = pa.record_batch({"x": values})
    edges = sorted({0, len(values), *(cut % (len(values) + 1) for cut in cuts)})
    parts = [whole.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    found = seen(parts).splits["train"].column("x")
    assert found is not None
    return found


@given(st.lists(st.none() | FLOATS, min_size=1, max_size=300), st.integers(0, 300), st.integers(0, 300))
def test_counts_and_extremes_are_numpys_for_any_cut(values: list[float | None], a: int, b: int) -> None:
    found = column(pa.array(values, pa.float64()), a, b)
    numbers = np.array([value for value in values if value is not None], np.float64)
    finite = numbers[np.isfinite(numbers)]
    assert found.nulls == values.count(None)
    assert found.nans == np.isnan(numbers).sum()
    assert (found.positive_infinities, found.negative_infinities) == (
        np.isposinf(numbers).sum(),
        np.isneginf(numbers).sum(),
    )
    assert found.zeros == (numbers == 0).sum()
    assert found.finite == len(finite)
    assert (found.min, found.max) == ((finite.min(), finite.max()) if len(finite) else (None, None))
    missing = [k for k, value in enumerate(values) if value is None or math.isnan(value)]
    assert found.first_missing == (missing[0] if missing else None)
    # Polars counts null and NaN as values, and zeros of both signs as one.
    there = pl.Series(numbers[~np.isnan(numbers)])
    assert (found.distinct, found.distinct_error) == (there.n_unique() if len(there) else 0, 0.0)
    assert sum(count for _, count in found.top) <= len(there)


@given(st.lists(TAME, min_size=1, max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_mean_and_std_are_those_of_exact_arithmetic_for_any_cut(values: list[float], cuts: list[int]) -> None:
    found, whole = column(pa.array(values), *cuts), column(pa.array(values))
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        assert (found.mean, found.std) == (None, None)
        return
    mean = math.fsum(finite) / len(finite)
    assert found.mean == pytest.approx(mean, rel=1e-12, abs=1e-300)
    assert found.mean == pytest.approx(whole.mean, rel=1e-12, abs=1e-300)
    assert found.std == pytest.approx(whole.std, rel=1e-12, abs=1e-300)
    assert found.std == pytest.approx(np.std(finite), rel=1e-9, abs=1e-6)


@given(st.lists(TAME.filter(math.isfinite), min_size=1, max_size=300))
def test_quantiles_of_few_rows_are_numpys(values: list[float]) -> None:
    found = column(pa.array(values))
    expected = np.quantile(values, np.linspace(0, 1, QUANTILES))
    assert np.allclose(np.array(found.quantiles), expected, rtol=1e-12, atol=1e-12 * np.abs(values).max())
    assert found.histogram is not None
    assert sum(found.histogram.counts) == len(values)


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(["normal", "lognormal", "integers", "few"]), st.integers(0, 1000), st.integers(1, 200_000)
)
def test_quantiles_of_many_rows_are_within_the_stated_rank_error(kind: str, seed: int, cut: int) -> None:
    random = np.random.default_rng(seed)
    n = 200_000
    values = {
        "normal": lambda: random.normal(size=n),
        "lognormal": lambda: random.lognormal(3, 2, n),
        "integers": lambda: random.integers(0, 50_000, n).astype(np.float64),
        "few": lambda: random.integers(0, 9, n).astype(np.float64),
    }[kind]()
    measured = seen([pa.record_batch({"x": values[:cut]}), pa.record_batch({"x": values[cut:]})]).splits[
        "train"
    ]
    assert measured == seen([pa.record_batch({"x": values})]).splits["train"].model_copy(
        update={"columns": measured.columns}
    )
    found = measured.columns[0]
    assert 0 < measured.rank_error < 0.0064
    ordered = np.sort(values)
    wanted = np.linspace(0, 1, QUANTILES)
    points = np.array(found.quantiles)
    below = np.searchsorted(ordered, points, side="left") / n
    upto = np.searchsorted(ordered, points, side="right") / n
    allowed = measured.rank_error + 1 / 256
    assert (below <= wanted + allowed).all()
    assert (upto >= wanted - allowed).all()
    true = len(np.unique(values))
    assert abs(found.distinct - true) <= 5 * found.distinct_error * true


@given(st.lists(st.none() | st.text(max_size=20), min_size=1, max_size=100), st.integers(0, 100))
def test_texts_are_counted_by_their_characters(values: list[str | None], cut: int) -> None:
    found = column(pa.array(values, pa.string()), cut)
    there = [value for value in values if value is not None]
    lengths = [len(value) for value in there]
    assert (found.kind, found.nulls, found.zeros) == ("text", values.count(None), lengths.count(0))
    assert (found.min, found.max) == ((min(lengths), max(lengths)) if lengths else (None, None))
    assert found.distinct == len(set(there))
    assert dict(found.top) == {value: there.count(value) for value in {each for each, _ in found.top}}


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60),
    st.integers(1, 60),
)
def test_equal_rows_are_those_of_polars_for_any_cut(rows: list[tuple[int, int, int]], cut: int) -> None:
    columns = {
        "a": [float(a) for a, _, _ in rows],
        "b": [str(b) for _, b, _ in rows],
        "label": [c for *_, c in rows],
    }
    measurement = Measurement(Described(label="label", kind="class"))
    whole = pa.record_batch(columns)
    for start in range(0, len(rows), cut):
        measurement.add("train", whole.slice(start, cut))
    found = measurement.statistics().duplicates
    assert found is not None
    frame = pl.DataFrame(columns)
    assert found.rows["train"] == len(rows) - frame.select("a", "b").n_unique()
    conflicts = frame.filter(pl.col("label").n_unique().over("a", "b") > 1)
    assert found.conflicts["train"] == len(conflicts)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_what_is_found_doesnt_depend_on_threads_or_merging(threads: int) -> None:
    import subprocess
    import sys

    program = f"""
import numpy as np, pyarrow as pa
from nexa_data import _core
_core.set_threads({threads})
random = np.random.default_rng(0)
rows = pa.record_batch({{"x": random.normal(size=150_000), "y": random.integers(0, 5, 150_000)}})
halves = [_core.RowStatistics(), _core.RowStatistics()]
for half, first in zip(halves, (0, 70_000)):
    half.add(rows.slice(first, 70_000 if first == 0 else 80_000), first)
halves[0].merge(halves[1])
print(halves[0].summary()[0].decode())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    merged = QualityStatistics.model_validate_json(f'{{"splits": {{"train": {done.stdout}}}}}')
    random = np.random.default_rng(0)
    rows = pa.record_batch({"x": random.normal(size=150_000), "y": random.integers(0, 5, 150_000)})
    alone = _core.RowStatistics()
    alone.add(rows, 0)
    whole = QualityStatistics.model_validate_json(b'{"splits": {"train": ' + alone.summary()[0] + b"}}")
    for ours, theirs in zip(merged.splits["train"].columns, whole.splits["train"].columns, strict=True):
        exact: dict[str, Any] = {"mean": ours.mean, "std": ours.std}
        assert theirs.model_copy(update=exact) == ours
        assert (theirs.mean, theirs.std) == pytest.approx((ours.mean, ours.std), rel=1e-12)
