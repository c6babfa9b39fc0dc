from __future__ import annotations

import gc
import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.prepare import prepare_from_config
from torch.utils.dlpack import from_dlpack

F = 4


def test_a_batch_is_the_buffer_that_the_native_core_filled(base: dict[str, Any]) -> None:
    dataset: Any = build_loader(base, "train").dataset
    buffers = dataset._assembler.take([2, 0, 1])
    for buffer, tensor in zip(buffers, dataset._forms.values(buffers, 3), strict=True):
        assert tensor.data_ptr() == buffer.address
        assert buffer.address % 64 == 0
        assert tensor.nbytes == len(buffer)


def test_what_is_written_to_a_tensor_is_in_the_native_buffer(base: dict[str, Any]) -> None:
    dataset: Any = build_loader(base, "train").dataset
    buffers = dataset._assembler.take([0])
    features = dataset._forms.values(buffers, 1)[0]
    features.fill_(7.0)
    assert bytes(memoryview(buffers[0])) == np.full(F, 7, np.float32).tobytes()


def test_a_buffer_is_handed_over_as_it_is_or_refused(base: dict[str, Any]) -> None:
    assembler: Any = build_loader(base, "train").dataset._assembler
    buffer = assembler.take([0, 1])[0]
    as_stored = from_dlpack(buffer.dlpack("float32", (2, F)))
    as_bytes = from_dlpack(buffer.dlpack("uint8", (8 * F,)))
    assert as_stored.shape == (2, F)
    assert as_bytes.data_ptr() == as_stored.data_ptr() == buffer.address
    for dtype, shape in [
        ("float32", (3, F)),
        ("float64", (2, F)),
        ("float32", (-2, -F)),
        ("complex7", (2, F)),
    ]:
        with pytest.raises(ValueError, match=r"make no|complex7"):
            buffer.dlpack(dtype, shape)


def test_memory_that_was_offered_and_not_taken_goes_back_too(base: dict[str, Any]) -> None:
    assembler: Any = build_loader(base, "train").dataset._assembler
    capsule = assembler.take([0])[0].dlpack("float32", (1, F))
    assert assembler.pool_stats()[2] == 1
    del capsule
    assert assembler.pool_stats()[2] == 0


def test_records_are_asked_for_by_integers_or_by_a_buffer_of_them(base: dict[str, Any]) -> None:
    assembler: Any = build_loader(base, "train").dataset._assembler
    expected = [bytes(buffer) for buffer in assembler.take([5, 0])]
    # The last one's numbers don't lie side by side.
    for numbers in (np.array([5, 0]), np.array([5, 0], np.uint64), (5, 0), np.arange(6)[::-5]):
        assert [bytes(buffer) for buffer in assembler.take(numbers)] == expected
    for numbers in (np.array([5, -1]), np.array([1 << 40])):
        with pytest.raises(IndexError, match="out of range"):
            assembler.take(numbers)


def test_every_batch_of_the_loader_lies_in_live_buffers_that_go_back_when_it_dies(
    base: dict[str, Any],
) -> None:
    loader: Any = build_loader(base, "test")
    batches = list(loader)
    live = loader.dataset._assembler.pool_stats()[2]
    assert live == 2 * len(batches)
    view = batches[0][0][3:5, 1]
    del batches
    gc.collect()
    idle, idle_bytes, live = loader.dataset._assembler.pool_stats()
    assert live == 1
    assert idle > 0
    assert idle_bytes > 0
    del view
    gc.collect()
    assert loader.dataset._assembler.pool_stats()[2] == 0


def test_a_buffer_is_used_again_only_after_its_last_tensor_died(base: dict[str, Any]) -> None:
    loader: Any = build_loader(base, "train")
    held, addresses = [], set()
    for features, labels in loader:
        held.append((features, features.clone(), labels, labels.clone()))
        addresses |= {features.data_ptr(), labels.data_ptr()}
    assert len(addresses) == 2 * len(held)
    for features, copied, labels, copied_labels in held:
        assert torch.equal(features, copied)
        assert torch.equal(labels, copied_labels)
    del held, features, copied, labels, copied_labels
    again = {batch[0].data_ptr() for batch in loader}
    assert again & addresses


def test_a_tensor_outlives_its_loader(base: dict[str, Any]) -> None:
    loader = build_loader(base, "train")
    features, labels = next(iter(loader))
    kept = features.clone(), labels.clone()
    assembler = loader.dataset._assembler  # type: ignore[attr-defined]
    del loader
    gc.collect()
    assert assembler.pool_stats()[2] >= 2
    del assembler
    gc.collect()
    noise = [torch.full((16, F), 9.0) for _ in range(100)]
    assert torch.equal(features, kept[0])
    assert torch.equal(labels, kept[1])
    del noise


def test_changing_a_batch_changes_neither_the_next_epoch_nor_the_files(base: dict[str, Any]) -> None:
    folder = prepare_from_config(base).path
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in (folder / "shards").iterdir()}
    loader = build_loader({**base, "data": {**base["data"], "shuffle": False}}, "train")
    first = [(features.clone(), labels.clone()) for features, labels in loader]
    for features, labels in loader:
        features.zero_()
        labels.fill_(-1)
    for (features, labels), (kept, kept_labels) in zip(loader, first, strict=True):
        assert torch.equal(features, kept)
        assert torch.equal(labels, kept_labels)
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in before} == before


def test_who_holds_every_batch_is_never_kept_waiting(base: dict[str, Any]) -> None:
    loader = build_loader({**base, "data": {**base["data"], "batch_size": 1}}, "train")
    held = [batch for _ in range(5) for batch in loader]
    assert len(held) == 5 * len(loader)
