"""A completion's tokens reach the training loop as tensors, with as many alternatives as were asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import torch
from nexa_data.distill_tokens import materialize_token_targets
from nexa_data.errors import ConfigError, RecordError
from nexa_data.loaders.torch_loader import build_loader
from nexa_distill.read_tokens import TokenTargets
from teacher_files import row, spoken, write

if TYPE_CHECKING:
    from pathlib import Path

HALF, QUARTER, EIGHTH = math.log(0.5), math.log(0.25), math.log(0.125)
IDS = {b"He": 7, b"llo": 9, b"y": 3, b" \xf0\x9f": 40}
HELLO = (
    (b"He", HALF, {b"He": HALF, b"y": QUARTER}),
    (b"llo", QUARTER, {b"y": QUARTER, b"llo": HALF, b"He": EIGHTH}),
)
HEY = ((b"He", HALF, {b"He": HALF}),)
SAID = [HELLO, HEY]


def loaded(catalog: Path, *columns: str) -> dict[str, Any]:
    lists = [name for name in columns if name not in {"text", "id"}]
    config = {
        "data": {
            "dataset_name": "said",
            "source_uri": str(catalog),
            "shuffle": False,
            "batch": {
                "columns": list(columns),
                "ragged": dict.fromkeys(lists, "padded"),
                "convert": {name: "float32" for name in lists if "logprobs" in name},
                "tail": "keep",
            },
        }
    }
    batch: dict[str, Any] = next(iter(build_loader(config, "train")))
    return batch


@pytest.mark.parametrize("ids", [IDS, None])
def test_alternatives_come_as_one_tensor_of_ids_and_one_of_logarithms(
    tmp_path: Path, ids: dict[bytes, int] | None
) -> None:
    rows = [spoken(*said, ids=ids) | {"id": f"r{at}"} for at, said in enumerate(SAID)]
    found = TokenTargets.open(write(tmp_path / "x.parquet", rows), carry=("id",))
    assert found.most_alternatives() == 3
    catalog = materialize_token_targets(found.batches(), tmp_path / "out", top_k=3)
    batch = loaded(catalog, "text", "id", "token_ids", "top_ids", "top_logprobs", "residual_mass")
    assert (batch["text"], batch["id"]) == (["Hello", "He"], ["r0", "r1"])
    if ids is None:
        with pa.ipc.open_file(catalog.parent / "tokens.arrow") as file:
            table = file.read_all().column("bytes").to_pylist()
    else:
        table = [next((name for name, number in ids.items() if number == at), b"") for at in range(50)]
        assert not (catalog.parent / "tokens.arrow").exists()
    assert [table[at] for at in batch["token_ids"][0]] == [b"He", b"llo"]
    assert batch["token_ids_mask"].tolist() == [[True, True], [True, False]]
    assert [table[at] for at in batch["top_ids"][0, 1]] == [b"llo", b"y", b"He"]
    assert batch["top_logprobs"][0, 1].exp().tolist() == pytest.approx([0.5, 0.25, 0.125], rel=1e-3)
    assert batch["top_logprobs"][0, 0].exp().tolist() == pytest.approx([0.5, 0.25, 0.0], rel=1e-3)
    assert batch["residual_mass"][0].tolist() == pytest.approx([0.25, 0.125])
    # What a loss does with it: the teacher's mass against a student's logarithms.
    student = torch.log_softmax(torch.zeros(2, 2, 50), -1)
    cross = -(batch["top_logprobs"].exp() * student.gather(-1, batch["top_ids"].long())).sum(-1)
    assert cross[batch["token_ids_mask"]].tolist() == pytest.approx(
        [0.75 * math.log(50), 0.875 * math.log(50), 0.5 * math.log(50)], rel=1e-3
    )


def test_fewer_alternatives_leave_more_mass_to_the_rest(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", [spoken(*said, ids=IDS) for said in SAID])
    catalog = materialize_token_targets(
        TokenTargets.open(file).batches(), tmp_path / "out", top_k=1, dtype="float32", split="train"
    )
    batch = loaded(catalog, "top_ids", "top_logprobs", "residual_mass")
    assert batch["top_ids"][0, :, 0].tolist() == [7, 9]
    assert batch["residual_mass"][0].tolist() == pytest.approx([0.5, 0.5])
    assert batch["top_logprobs"].shape == (2, 2, 1)


def test_rows_without_tokens_are_named_or_left_out_and_counted(tmp_path: Path) -> None:
    silent = {"status": "ok", "teacher_output": "x"}
    rows = [spoken(*HELLO), row(None), silent, row(None, status="rejected", error="no")]
    file = write(tmp_path / "x.parquet", rows)
    with pytest.raises(RecordError, match=r"row 1 is failed.*missing='skip'"):
        list(TokenTargets.open(file).batches())
    found = TokenTargets.open(file, missing="skip")
    assert sum(batch.num_rows for batch in found.batches()) == 1
    assert found.skipped == {"failed": 1, "no tokens": 1, "rejected": 1}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"top_logprobs": [[HALF]]}, "row 1: lists of logarithms and of tokens differ"),
        ({"top_logprobs": [[HALF], [HALF]]}, "row 1: lists of logarithms and of tokens differ"),
        ({"token_logprobs": [0.5, 0.5]}, "NaN or above 0"),
        ({"token_logprobs": [float("nan"), 0.0]}, "NaN or above 0"),
        ({"id": None}, "column 'id' is null in some"),
    ],
)
def test_lists_that_dont_fit_each_other_are_refused(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    rows = [spoken(*HELLO) | {"id": "a"}, spoken(*HELLO) | {"id": "b"} | change]
    file = write(tmp_path / "x.parquet", rows)
    with pytest.raises(RecordError, match=says):
        materialize_token_targets(TokenTargets.open(file, carry=("id",)).batches(), tmp_path / "out", top_k=2)
    assert not (tmp_path / "out").exists()


def test_ids_that_some_rows_lack_are_not_made_up(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", [spoken(*HELLO, ids=IDS), spoken(*HEY)])
    found = TokenTargets.open(file)
    with pytest.raises(RecordError, match="token_ids is missing in some; name the tokens by bytes"):
        materialize_token_targets(found.batches(), tmp_path / "out", top_k=2, names="ids")
    catalog = materialize_token_targets(found.batches(), tmp_path / "out", top_k=2)
    assert (catalog.parent / "tokens.arrow").is_file()


def test_what_cant_be_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", [spoken(*HEY)])
    for options in ({"top_k": 0}, {"top_k": 1, "names": "words"}, {"top_k": 1, "dtype": "int8"}):
        with pytest.raises(ConfigError):
            materialize_token_targets(TokenTargets.open(file).batches(), tmp_path / "out", **options)  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="no rows"):
        materialize_token_targets([], tmp_path / "out", top_k=1)
    with pytest.raises(RecordError, match="no log probabilities of tokens"):
        TokenTargets.open(write(tmp_path / "y.parquet", [row([0.5, 0.5])]))
    with pytest.raises(RecordError, match="no token has alternatives"):
        TokenTargets.open(write(tmp_path / "z.parquet", [spoken((b"a", 0.0, {}))])).most_alternatives()
