from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from nexa_data.datasets.shards import ShardDataset
from nexa_data.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from pathlib import Path

    from nexa_data.datasets.forms import Ragged

TOKENS = [[1, 2, 3], [], [4], [5, 6]]
TEXTS = ["", "ä", "a text", "b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a catalog of two shards with a column of every kind."""
    folder = tmp_path_factory.mktemp("forms")
    table = pa.table(
        {
            "pixels": pa.array([0, 51, 102, 255], pa.uint8()),
            "label": pa.array([3, 1, 0, 2], pa.int32()),
            "tokens": pa.array(TOKENS, pa.list_(pa.uint16())),
            "boxes": pa.array([[], [[1, 2]], [[3, 4], [5, 6]], []], pa.list_(pa.list_(pa.float32(), 2))),
            "text": TEXTS,
            "raw": pa.array([text.encode() for text in TEXTS], pa.binary()),
        }
    )
    lines = []
    for number, part in enumerate([table.slice(0, 3), table.slice(3)]):
        with (
            pa.OSFile(str(folder / f"{number}.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as file,
        ):
            file.write_table(part, max_chunksize=2)
        lines.append(f'{{"uri": "{number}.arrow", "split": "train", "records": {part.num_rows}}}\n')
    (folder / "catalog.jsonl").write_text("".join(lines))
    return folder


def dataset(folder: Path, *columns: str, **options: Any) -> ShardDataset:
    return ShardDataset(folder, "train", columns=columns, as_dict=True, **options)


def test_numbers_are_converted_on_the_way(folder: Path) -> None:
    convert = {"pixels": {"dtype": "float32", "scale": 1 / 51, "shift": -1}, "label": "int64"}
    batch = dataset(folder, "pixels", "label", convert=convert)[[3, 0, 1]]
    assert batch["pixels"].dtype == torch.float32
    assert torch.allclose(batch["pixels"], torch.tensor([4.0, -1.0, 0.0]))
    assert torch.equal(batch["label"], torch.tensor([2, 3, 1]))


def test_bfloat16_comes_as_torch_rounds_it(folder: Path) -> None:
    convert = {"pixels": {"dtype": "bfloat16", "scale": 0.1}}
    batch = dataset(folder, "pixels", convert=convert)[[0, 1, 2, 3]]
    expected = (torch.tensor([0.0, 51.0, 102.0, 255.0]) * 0.1).to(torch.bfloat16)
    assert torch.equal(batch["pixels"], expected)


def test_a_ragged_column_is_its_values_and_offsets(folder: Path) -> None:
    values, offsets = dataset(folder, "tokens")[[2, 1, 0, 0]]["tokens"]
    assert values.tolist() == [4, 1, 2, 3, 1, 2, 3]
    assert values.dtype == torch.uint16
    assert offsets.tolist() == [0, 1, 1, 4, 7]
    assert offsets.dtype == torch.int64


def test_lists_of_vectors_keep_their_items_shape(folder: Path) -> None:
    boxes = dataset(folder, "boxes")[[2, 3, 1]]["boxes"]
    assert boxes.values.tolist() == [[3, 4], [5, 6], [1, 2]]
    assert boxes.offsets.tolist() == [0, 2, 2, 3]
    padded = dataset(folder, "boxes", ragged={"boxes": {"as": "padded", "value": -1}})[[2, 1]]
    assert padded["boxes"].tolist() == [[[3, 4], [5, 6]], [[1, 2], [-1, -1]]]
    assert padded["boxes_mask"].tolist() == [[True, True], [True, False]]


def test_a_padded_column_has_a_mask_beside_it(folder: Path) -> None:
    options: dict[str, Any] = {
        "convert": {"tokens": "int64"},
        "ragged": {"tokens": {"as": "padded", "value": -100}},
    }
    batch = dataset(folder, "tokens", "label", **options)[[1, 0, 3]]
    assert list(batch) == ["tokens", "tokens_mask", "label"]
    assert batch["tokens"].tolist() == [[-100, -100, -100], [1, 2, 3], [5, 6, -100]]
    assert batch["tokens"].dtype == torch.int64
    assert batch["tokens_mask"].tolist() == [[False] * 3, [True] * 3, [True, True, False]]


@pytest.mark.parametrize(("to", "width"), [("max", 3), (5, 5), ([8, 4, 2], 4), ([3], 3)], ids=str)
def test_the_smallest_width_that_fits_is_taken(folder: Path, to: Any, width: int) -> None:
    batch = dataset(folder, "tokens", ragged={"tokens": {"as": "padded", "to": to}})[[0, 1]]
    assert batch["tokens"].shape == batch["tokens_mask"].shape == (2, width)


def test_a_batch_of_empty_lists_has_no_width(folder: Path) -> None:
    batch = dataset(folder, "tokens", ragged={"tokens": "padded"})[[1, 1]]
    assert batch["tokens"].shape == batch["tokens_mask"].shape == (2, 0)
    values, offsets = dataset(folder, "tokens")[[1]]["tokens"]
    assert (values.tolist(), offsets.tolist()) == ([], [0, 0])


def test_what_is_longer_than_the_largest_width_is_an_error_or_cut(folder: Path) -> None:
    to_two = {"as": "padded", "to": [1, 2]}
    with pytest.raises(RecordError, match="record 0: column 'tokens' has 3 items, and is padded to 2"):
        dataset(folder, "tokens", ragged={"tokens": to_two})[[3, 0]]
    batch = dataset(folder, "tokens", ragged={"tokens": to_two | {"truncate": True}})[[3, 0]]
    assert batch["tokens"].tolist() == [[5, 6], [1, 2]]
    assert batch["tokens_mask"].all()


def test_text_and_bytes_are_lists(folder: Path) -> None:
    batch = dataset(folder, "raw", "label", "text")[[3, 2, 0, 1]]
    assert list(batch) == ["raw", "label", "text"]
    assert batch["text"] == ["b", "a text", "", "ä"]
    assert batch["raw"] == [b"b", b"a text", b"", "ä".encode()]


def test_a_record_is_one_row_without_padding(folder: Path) -> None:
    record = dataset(folder, "tokens", "text", "label", ragged={"tokens": {"as": "padded", "to": 9}})[3]
    assert record["tokens"].tolist() == [5, 6]
    assert (record["text"], int(record["label"])) == ("b", 2)
    assert dataset(folder, "tokens")[0]["tokens"].tolist() == [1, 2, 3]


def test_an_empty_batch_has_every_column(folder: Path) -> None:
    batch = dataset(folder, "tokens", "text", "label", ragged={"tokens": "padded"})[[]]
    assert batch["tokens"].shape == (0, 0)
    assert (batch["text"], batch["label"].shape) == ([], (0,))


def test_a_pickled_dataset_has_the_same_forms(folder: Path) -> None:
    made = dataset(folder, "tokens", "pixels", convert={"pixels": "float32"}, ragged={"tokens": "padded"})
    again = pickle.loads(pickle.dumps(made))  # noqa: S301 (our own bytes)
    assert again[[0]]["tokens"].tolist() == [[1, 2, 3]]
    assert again[[1]]["pixels"].dtype == torch.float32


def test_the_bytes_of_a_record_count_what_the_batch_holds(folder: Path) -> None:
    assert dataset(folder, "pixels").record_bytes == 1
    assert dataset(folder, "pixels", convert={"pixels": "float64"}).record_bytes == 8
    plain, wide = dataset(folder, "tokens"), dataset(folder, "tokens", convert={"tokens": "int64"})
    assert wide.record_bytes > plain.record_bytes > 0


def test_values_are_the_callers_own(folder: Path) -> None:
    made = dataset(folder, "tokens", convert={"tokens": "int32"})
    first: Ragged = made[[0]]["tokens"]
    first.values.zero_()
    assert made[[0]]["tokens"].values.tolist() == [1, 2, 3]


REFUSED: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    (("label",), {"convert": {"label": "uint8"}}, "column 'label' is int32 and can't become uint8"),
    (("pixels",), {"convert": {"pixels": {"dtype": "int64", "scale": 2}}}, "scale and shift want a float"),
    (("boxes",), {"convert": {"boxes": "int64"}}, "column 'boxes' is float32 and can't become int64"),
    (("pixels",), {"convert": {"label": "int64"}}, "names column 'label'"),
    (("pixels",), {"convert": {"pixels": "float31"}}, "convert.pixels"),
    (("text",), {"convert": {"text": "int64"}}, "text and bytes come as a list"),
    (("text",), {"ragged": {"text": "padded"}}, "text and bytes come as a list"),
    (("label",), {"ragged": {"label": "padded"}}, "one width"),
    (("label",), {"ragged": {"label": "ragged"}}, "one width"),
    (("tokens",), {"ragged": {"tokens": {"as": "padded", "value": -1}}}, "-1 is no uint16"),
    (("tokens",), {"ragged": {"tokens": {"as": "padded", "truncate": True}}}, "truncate wants a width"),
    (("tokens",), {"ragged": {"tokens": {"as": "padded", "to": []}}}, "one width at least"),
]


@pytest.mark.parametrize(("columns", "options", "message"), REFUSED, ids=[each[2] for each in REFUSED])
def test_what_does_not_fit_is_refused_when_the_dataset_is_made(
    folder: Path, columns: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        dataset(folder, *columns, **options)


def test_a_tuple_of_lists_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="a tuple of tensors"):
        ShardDataset(folder, "train", columns=("tokens", "label"))


def test_null_rows_and_shards_that_differ_are_errors_with_their_file(tmp_path: Path) -> None:
    lines = []
    for number, column in enumerate([pa.array([[1]]), pa.array([[1.5]]), pa.array([[1], None])]):
        with (
            pa.OSFile(str(tmp_path / f"{number}.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, pa.schema([("x", column.type)])) as file,
        ):
            file.write(pa.record_batch([column], names=["x"]))
        lines.append(f'{{"uri": "{number}.arrow", "split": "train", "records": {len(column)}}}\n')
    (tmp_path / "catalog.jsonl").write_text("".join(lines))
    made = dataset(tmp_path, "x")
    assert made[[0]]["x"].values.tolist() == [1]
    with pytest.raises(RecordError, match=r"1\.arrow: column 'x' is list of float64"):
        made[[1]]
    with pytest.raises(RecordError, match=r'2\.arrow: column "x" is null in row 1'):
        made[[3]]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_floats_become_what_torch_makes_of_them(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32) * 1e3
    with pa.OSFile(str(tmp_path / "0.arrow"), "wb") as sink:
        batch = pa.record_batch({"x": values})
        with pa.ipc.new_file(sink, batch.schema) as file:
            file.write(batch)
    (tmp_path / "catalog.jsonl").write_text('{"uri": "0.arrow", "split": "train", "records": 1000}\n')
    found = dataset(tmp_path, "x", convert={"x": dtype})[list(range(1000))]["x"]
    assert torch.equal(found, torch.from_numpy(values).to(getattr(torch, dtype)))
