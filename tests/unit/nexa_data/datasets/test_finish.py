from __future__ import annotations

from typing import Any

import pytest
import torch
from nexa_data.datasets.finish import Finish, Records, Whole, apart, collate
from nexa_data.errors import ConfigError
from torch.utils.data import default_collate

BATCH = (torch.arange(6.0).view(3, 2), torch.tensor([5, 6, 7]))


def test_without_anything_to_do_it_says_so() -> None:
    assert Finish().idle
    assert not Finish(masked=True).idle
    assert not Finish(collate_fn=list).idle


@pytest.mark.parametrize("batch", [BATCH, {"x": BATCH[0], "y": BATCH[1]}], ids=["tuple", "dict"])
def test_records_taken_apart_and_collated_are_the_batch(batch: Any) -> None:
    again = Finish(sample_transform=lambda record: record).batch(batch, 3, 3)
    pairs = (
        zip(again.values(), batch.values(), strict=True)
        if isinstance(batch, dict)
        else zip(again, batch, strict=True)
    )
    assert all(torch.equal(found, expected) for found, expected in pairs)
    assert type(apart(batch)[0]) is type(batch)


def test_the_steps_come_in_their_order() -> None:
    finish = Finish(
        transform=lambda batch: ("whole", *batch),
        sample_transform=lambda record: (record[0] + 1, record[1]),
        collate_fn=lambda records: (sum(features for features, _ in records), len(records)),
        masked=True,
    )
    word, features, count, mask = finish.batch(BATCH, 3, 2)
    assert (word, features.tolist(), count, mask.tolist()) == ("whole", [9.0, 12.0], 3, [True, True, False])


def test_the_mask_is_a_key_of_a_mapping_and_the_last_of_a_tuple() -> None:
    masked = Finish(masked=True)
    assert masked.batch({"x": BATCH[0]}, 3, 1)["mask"].tolist() == [True, False, False]
    assert masked.batch(BATCH, 3, 3)[2].tolist() == [True] * 3
    assert masked.batch(BATCH, 3, 0)[2].dtype == torch.bool


def test_a_collated_batch_without_a_place_for_the_mask_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"collate_fn returned a Tensor.*tuple or a mapping"):
        Finish(masked=True, collate_fn=lambda records: torch.tensor(len(records))).batch(BATCH, 3, 3)


def test_whatever_was_drawn_ours_collates_to_the_batch() -> None:
    assert collate(Whole(BATCH)) is BATCH
    assert collate(BATCH) is BATCH
    records = Records(apart(BATCH), lambda: BATCH)
    assert collate(records) is BATCH
    assert torch.equal(default_collate(records)[0], BATCH[0])
