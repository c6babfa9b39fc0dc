"""A batch of any columns holds what a naive reading of the same shards by pyarrow gives."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nexa_data.datasets.shards import ShardDataset

FIXED = {
    name: getattr(pa, name)()
    for name in (
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int32",
        "uint64",
        "int64",
        "float16",
        "float32",
    )
} | {"float64": pa.float64(), "bool": pa.bool_()}
VECTORS = {"vector": pa.list_(pa.float32(), 3), "flags": pa.list_(pa.bool_(), 5)}
LISTS = {
    "shorts": pa.list_(pa.uint16()),
    "longs": pa.large_list(pa.int64()),
    "marks": pa.list_(pa.bool_()),
    "boxes": pa.large_list(pa.list_(pa.float32(), 2)),
}
TEXTS = {
    "text": pa.string(),
    "large_text": pa.large_string(),
    "text_view": pa.string_view(),
    "raw": pa.binary(),
    "large_raw": pa.large_binary(),
    "raw_view": pa.binary_view(),
}
TYPES: dict[str, pa.DataType] = FIXED | VECTORS | LISTS | TEXTS


def drawn(kind: pa.DataType, rows: int, random: np.random.Generator) -> pa.Array:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = random.integers(0, 6, rows) * random.integers(0, 2, rows)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        items = drawn(kind.value_type, int(offsets[-1]), random)
        made = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
        index = pa.int64() if pa.types.is_large_list(kind) else pa.int32()
        return made.from_arrays(pa.array(offsets, index), items, type=kind)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(
            drawn(kind.value_type, rows * kind.list_size, random), type=kind
        )
    if kind in TEXTS.values():
        texts = ["".join(random.choice(list("aäß€𝄞 "), random.integers(0, 30))) for _ in range(rows)]
        text = "text" in str(kind) or "string" in str(kind)
        return pa.array(texts if text else [each.encode() for each in texts], kind)
    if kind == pa.bool_():
        return pa.array(random.integers(0, 2, rows).astype(bool))
    dtype = pa.array([], kind).to_numpy(zero_copy_only=False).dtype
    return pa.array(random.integers(0, 100, rows).astype(dtype), kind)


def write(folder: Path, sizes: list[int], chunk: int, columns: list[str], seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    rows = sum(sizes)
    # Three more rows in front: what is written is a slice, with offsets of its own.
    table = pa.table({name: drawn(TYPES[name], rows + 3, random) for name in columns}).slice(3)
    lines, start = [], 0
    for number, size in enumerate(sizes):
        with (
            pa.OSFile(str(folder / f"{number}.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as file,
        ):
            file.write_table(table.slice(start, size), max_chunksize=chunk)
        lines.append(f'{{"uri": "{number}.arrow", "split": "train", "records": {size}}}\n')
        start += size
    (folder / "catalog.jsonl").write_text("".join(lines))
    return pa.concat_tables(
        pa.ipc.open_file(folder / f"{number}.arrow").read_all() for number in range(len(sizes))
    )


def plain(value: Any) -> Any:
    """Return what a batch holds of a column as pyarrow would give it: a list of rows."""
    if isinstance(value, list):
        return value
    if isinstance(value, tuple):
        values, offsets = value
        return [values[a:b].tolist() for a, b in pairwise(offsets)]
    return value.tolist()


@st.composite
def stores(draw: st.DrawFn) -> tuple[list[int], int, list[str], list[int], int]:
    sizes = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4).filter(any))
    columns = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=6, unique=True))
    records = draw(st.lists(st.integers(0, sum(sizes) - 1), max_size=20))
    return sizes, draw(st.integers(1, 12)), columns, records, draw(st.integers(0, 1000))


@settings(max_examples=80, deadline=None)
@given(stores())
def test_a_batch_holds_the_rows_that_pyarrow_reads(
    drawn: tuple[list[int], int, list[str], list[int], int],
) -> None:
    sizes, chunk, columns, records, seed = drawn
    with tempfile.TemporaryDirectory() as name:
        table = write(Path(name), sizes, chunk, columns, seed)
        batch = ShardDataset(name, "train", columns=columns, as_dict=True)[records]
        assert list(batch) == columns
        for column in columns:
            naive = table.column(column).to_pylist()
            assert plain(batch[column]) == [naive[record] for record in records], column


@settings(max_examples=50, deadline=None)
@given(
    drawn=stores(),
    column=st.sampled_from(sorted(LISTS)),
    to=st.sampled_from(["max", 5, [2, 3, 40], [9]]),
    dtype=st.sampled_from(["float32", "float64", None]),
)
def test_a_padded_batch_holds_the_same_items_and_says_where(
    drawn: tuple[list[int], int, list[str], list[int], int], column: str, to: Any, dtype: str | None
) -> None:
    sizes, chunk, _, records, seed = drawn
    with tempfile.TemporaryDirectory() as name:
        table = write(Path(name), sizes, chunk, [column], seed)
        convert = {column: dtype} if dtype else {}
        padding = {column: {"as": "padded", "to": to, "value": 1}}
        batch = ShardDataset(name, "train", columns=[column], as_dict=True, convert=convert, ragged=padding)[
            records
        ]
        values, mask = batch[column], batch[f"{column}_mask"]
        naive = [table.column(column)[record].as_py() for record in records]
        longest = max(map(len, naive), default=0)
        widths = [longest] if to == "max" else [to] if isinstance(to, int) else to
        width = min(each for each in widths if each >= longest)
        assert values.shape[:2] == mask.shape == (len(records), width)
        for row, expected in enumerate(naive):
            assert mask[row].tolist() == [at < len(expected) for at in range(width)]
            assert values[row, : len(expected)].tolist() == expected
            assert torch.all(values[row, len(expected) :] == 1)


@settings(max_examples=50, deadline=None)
@given(
    drawn=stores(),
    column=st.sampled_from(sorted(set(FIXED) - {"uint64", "int64"})),
    dtype=st.sampled_from(["float32", "bfloat16", "float16", "float64"]),
    scale=st.floats(-2, 2, width=32),
    shift=st.floats(-2, 2, width=32),
)
def test_a_converted_batch_is_what_numpy_computes(
    drawn: tuple[list[int], int, list[str], list[int], int],
    column: str,
    dtype: str,
    scale: float,
    shift: float,
) -> None:
    sizes, chunk, _, records, seed = drawn
    with tempfile.TemporaryDirectory() as name:
        table = write(Path(name), sizes, chunk, [column], seed)
        convert = {column: {"dtype": dtype, "scale": scale, "shift": shift}}
        batch = ShardDataset(name, "train", columns=[column], as_dict=True, convert=convert)[records]
        stored = table.column(column).to_numpy()[records]
        wide = np.float64 if dtype == "float64" or column in {"uint32", "int32", "float64"} else np.float32
        line = stored.astype(wide) * wide(scale) + wide(shift)
        target = getattr(torch, dtype)
        expected = torch.from_numpy(line).to(target)
        if wide is np.float64 and dtype in {"bfloat16", "float16"}:
            # torch rounds twice there, by way of float32: the last digit may differ.
            assert torch.allclose(batch[column].double(), expected.double(), rtol=2**-7)
        else:
            assert torch.equal(batch[column], expected)
