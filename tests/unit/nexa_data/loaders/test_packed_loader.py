from __future__ import annotations

import pickle
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import torch
from nexa_data.errors import ConfigError
from nexa_data.loaders.torch_loader import build_loader

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from nexa_data.loaders.torch_loader import ShardLoader

LENGTH, LOOKAHEAD = 32, 50
SOURCES = {"a": (1, 400), "b": (100_000, 6000)}
"""First token and number of sequences of each source; no token occurs twice."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return catalogs of sequences of 1 to 11 tokens, and of one of 70."""
    root, made = tmp_path_factory.mktemp("packed"), {}
    for name, (first, records) in SOURCES.items():
        made[name] = root / name
        made[name].mkdir()
        rows, token = [], first
        for record in range(records):
            length = 70 if record == 7 else 1 + record * 5 % 11
            rows.append(list(range(token, token + length)))
            token += length
        batch = pa.record_batch([pa.array(rows, pa.list_(pa.int32()))], names=["tokens"])
        with (
            pa.OSFile(str(made[name] / "0.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, batch.schema) as file,
        ):
            file.write(batch)
        (made[name] / "catalog.jsonl").write_text(
            f'{{"uri": "0.arrow", "split": "train", "records": {records}}}\n'
        )
    return made


def build(folders: dict[str, Path], weights: dict[str, float | None], **keys: Any) -> ShardLoader:
    sources = [
        {"artifact": str(folders[name])} | ({} if weight is None else {"weight": weight})
        for name, weight in weights.items()
    ]
    stop = {"stop": keys.pop("stop")} if "stop" in keys else {}
    ranks = {key: keys.pop(key) for key in ("rank", "world_size") if key in keys}
    pack = {"column": "tokens", "length": LENGTH, "lookahead": LOOKAHEAD, "dtype": "int32"}
    batch = {"pack": pack, "tail": keys.pop("tail", "keep")}
    if "global_batch_size" not in keys:
        keys = {"batch_size": 16} | keys
    data = {"dataset_name": "mix", "batch": batch, "mixture": {"sources": sources, **stop}} | keys
    return build_loader({"data": data}, "train", **ranks)


def rows(batches: Iterable[Any]) -> list[tuple[int, ...]]:
    return [tuple(row) for batch in batches for row in batch["input_ids"].tolist()]


def tokens(found: Iterable[tuple[int, ...]]) -> list[int]:
    return sorted(token for row in found for token in row if token)


def everything(name: str) -> list[int]:
    first, records = SOURCES[name]
    count = sum(70 if record == 7 else 1 + record * 5 % 11 for record in range(records))
    return list(range(first, first + count))


def test_sources_are_packed_together_and_each_token_comes_once(folders: dict[str, Path]) -> None:
    loader = build(folders, {"a": None, "b": None})
    expected = len(loader)
    batches = list(loader)
    assert len(batches) == expected
    found = rows(batches)
    assert tokens(found) == everything("a") + everything("b")
    shared = [
        row for row in found if min(row) < 100_000 <= max(row) and any(0 < token < 100_000 for token in row)
    ]
    assert len(shared) > 100, "documents of both sources stand in one row"


def test_weights_hold_for_sequences_and_a_small_source_begins_again(folders: dict[str, Path]) -> None:
    found = rows(build(folders, {"a": 1, "b": 1}, stop={"records": 2000}))
    counts = Counter(token < 100_000 for token in tokens(found))
    assert counts[True] / counts.total() == pytest.approx(0.5, abs=0.05)
    assert max(Counter(tokens(found)).values()) == 3, "1,000 of 400 sequences are two passes and a half"


@pytest.mark.parametrize("stop", [1, 7, 30, 200])
def test_a_packed_mixture_resumes_as_if_nothing_had_stopped(folders: dict[str, Path], stop: int) -> None:
    def made() -> ShardLoader:
        return build(folders, {"a": 1, "b": 3}, stop={"records": 5000})

    straight = made()
    expected = rows(straight) + rows(straight)
    running = made()
    before = rows(islice(running, stop))
    resumed = made()
    resumed.load_state_dict(pickle.loads(pickle.dumps(running.state_dict())))  # noqa: S301 (our own)
    while len(before) < len(expected):
        before += rows(resumed)
    assert before == expected


def test_other_weights_leave_the_rows_that_were_begun_as_they_are(folders: dict[str, Path]) -> None:
    def made(weight: float) -> ShardLoader:
        return build(folders, {"a": 1, "b": weight}, stop={"records": 6000})

    old = rows(made(1))
    running = made(1)
    before = rows(islice(running, 3))
    changed = made(5)
    changed.load_state_dict(running.state_dict())
    expected = before + rows(changed)
    # Turns are mixed by windows of 4,096 sequences: what is packed of the first stays.
    same = next(at for at, (now, then) in enumerate(zip(expected, old, strict=False)) if now != then)
    assert same > 4096 // LOOKAHEAD * LOOKAHEAD * 6 // LENGTH - 60
    assert same < len(old) - 1
    share = Counter(token < 100_000 for token in tokens(expected[same + 60 :]))
    assert share[True] / share.total() == pytest.approx(1 / 6, abs=0.05)
    # And that is resumed as any other.
    again = made(5)
    again.load_state_dict(running.state_dict())
    middle = rows(islice(again, 40))
    last = made(5)
    last.load_state_dict(again.state_dict())
    assert before + middle + rows(last) == expected


def test_a_damaged_state_is_refused(folders: dict[str, Path]) -> None:
    loader = build(folders, {"a": 1, "b": 1}, stop={"records": 500})
    state = loader.state_dict()
    with pytest.raises(ConfigError, match="damaged: positions"):
        loader.load_state_dict(state | {"positions": "many"})
    with pytest.raises(ConfigError, match="damaged"):
        loader.load_state_dict(state | {"consumed": 10**9})


def test_global_batches_are_the_same_for_every_world_size(folders: dict[str, Path]) -> None:
    keys: dict[str, Any] = {"global_batch_size": 12}
    whole = [batch["input_ids"] for batch in build(folders, {"a": None}, **keys)]
    parts = [
        [each["input_ids"] for each in build(folders, {"a": None}, **keys, rank=rank, world_size=3)]
        for rank in range(3)
    ]
    assert len(whole) == len(parts[0]) == len(parts[1]) == len(parts[2])
    for batch, *slices in list(zip(whole, *parts, strict=True))[:-1]:
        assert torch.equal(torch.cat(slices), batch)


@pytest.mark.parametrize("world", [1, 2])
def test_a_padded_tail_has_a_mask_and_no_labels(folders: dict[str, Path], world: int) -> None:
    kept = rows(build(folders, {"a": None}))
    assert len(kept) % 16
    found = []
    for rank in range(world):
        batches = list(
            build(folders, {"a": None}, tail="pad", batch_size=16 // world, rank=rank, world_size=world)
        )
        assert all(len(batch["input_ids"]) == len(batch["mask"]) == 16 // world for batch in batches)
        for batch in batches:
            mask = batch["mask"]
            assert (batch["labels"][~mask] == -100).all()
            assert (batch["labels"][mask] != -100).any(dim=1).all()
        found += rows({"input_ids": batch["input_ids"][batch["mask"]]} for batch in batches)
    assert sorted(found) == sorted(kept)
