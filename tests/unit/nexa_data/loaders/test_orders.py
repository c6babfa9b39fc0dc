from __future__ import annotations

import copy
import pickle
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from loader_catalogs import numbers, write_catalog
from nexa_data.datasets.orders import EpochOrder
from nexa_data.datasets.shards import BatchRequest, ShardDataset
from nexa_data.errors import ConfigError, RecordError
from nexa_data.loaders.orders import BalancedOrders, PlainOrders, block_records
from nexa_data.loaders.plan import BatchPlan
from nexa_data.loaders.sampler import ShardSampler
from nexa_data.loaders.torch_loader import ShardLoader, build_loader
from torch.utils.data import DataLoader

if TYPE_CHECKING:
    from pathlib import Path

    from nexa_data.loaders.orders import Orders

N = 1000


def label(number: int) -> int:
    """Classes of very unequal size: 700, 250 and 50 of a thousand."""
    return 0 if number % 20 < 14 else 7 if number % 20 < 19 else -3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalog(tmp_path_factory.mktemp("orders"), range(N), label=label, shard=130)


def loader(folder: Path, orders: Orders, batch: int = 16, **keys: Any) -> ShardLoader:
    dataset = ShardDataset(folder, "train", **keys)
    plan = BatchPlan(orders.order(0).records, batch, 0, 1, "keep")
    return ShardLoader(dataset, ShardSampler(dataset, plan, seed=3, shuffle=True, orders=orders))


def having(base: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"data": base["data"] | data, "experiment": base["experiment"]}


def test_blocks_are_mixed_by_windows_and_every_record_comes_once(folder: Path) -> None:
    made = loader(folder, PlainOrders(N, 3, shuffle=True, block=20, window=5))
    first, second = numbers(made), numbers(made)
    assert sorted(first) == sorted(second) == list(range(N))
    assert first != second
    for window in range(10):
        records = first[window * 100 : (window + 1) * 100]
        assert set(Counter(record // 20 for record in records).values()) == {20}
        assert len({record // 20 for record in records[:20]}) > 1


def test_a_config_asks_for_blocks(base: dict[str, Any]) -> None:
    config = having(base, order={"mode": "block", "block": 8, "window": 3}, batch={"tail": "keep"})
    made = build_loader(config, "train")
    order = made.sampler._orders.order(0)  # type: ignore[attr-defined]
    assert (order.block, order.window, order.shuffle) == (8, 3, True)
    records = [row for features, _ in made for row in features[:, 0].tolist()]
    assert len(set(records)) == len(records) == len(made.dataset)  # type: ignore[arg-type]
    for split in ("validation", "test"):
        assert not build_loader(config, split).sampler._orders.order(0).shuffle  # type: ignore[attr-defined]
    unshuffled = build_loader(having(config, shuffle=False), "train")
    assert numbers(unshuffled) == sorted(numbers(unshuffled))


@pytest.mark.parametrize(
    ("record_bytes", "records"),
    [(136, 32_768), (4096, 1024), (1, 2**22), (3 * 2**20, 2), (2**30, 1), (0, 2**22)],
)
def test_a_block_is_one_large_read_unless_told_otherwise(record_bytes: int, records: int) -> None:
    assert block_records(record_bytes) == records
    assert block_records(record_bytes) * max(record_bytes, 1) >= 4 * 2**20


def test_the_default_block_is_in_the_state(base: dict[str, Any]) -> None:
    made = build_loader(having(base, order={"mode": "block"}), "train")
    assert made.state_dict()["order"] == {"mode": "block", "block": 2**18, "window": 64}


def test_a_state_of_other_blocks_is_refused_with_what_differs(base: dict[str, Any]) -> None:
    blocks = build_loader(having(base, order={"mode": "block", "block": 8}), "train")
    other = build_loader(having(base, order={"mode": "block", "block": 4}), "train")
    full = build_loader(base, "train")
    balanced = build_loader(having(base, order={"balance": "classes"}), "train")
    for left, right in (
        (blocks, other),
        (blocks, full),
        (full, blocks),
        (blocks, balanced),
        (balanced, full),
    ):
        with pytest.raises(ConfigError, match="doesn't fit: order is"):
            left.load_state_dict(right.state_dict())


def test_classes_come_equally_often_however_unequal_they_are(folder: Path) -> None:
    dataset = ShardDataset(folder, "train")
    labels, counts, _ = dataset.classes
    assert (labels, counts) == ([-3, 0, 7], [50, 700, 250])
    made = loader(folder, BalancedOrders(tuple(counts), 3, shuffle=True))
    seen: Counter[int] = Counter()
    for _ in range(6):
        epoch = numbers(made)
        assert len(epoch) == N
        shares = Counter(label(number) for number in epoch)
        assert max(shares.values()) - min(shares.values()) <= 1
        assert len({label(number) for number in epoch[:12]}) == 3
        seen.update(epoch)
    # 2,000 turns of each class in six epochs: every record of a class equally often, to one.
    for name, count in zip(labels, counts, strict=True):
        times = {seen[number] for number in range(N) if label(number) == name}
        assert times <= {2000 // count, 2000 // count - 1, 2000 // count + 1}


def test_a_config_asks_for_balanced_classes(base: dict[str, Any]) -> None:
    made = build_loader(having(base, order={"balance": "classes"}, batch={"tail": "keep"}), "train")
    labels = [int(each) for _, batch in made for each in batch]
    assert len(labels) == len(made.dataset)  # type: ignore[arg-type]
    assert max(Counter(labels).values()) - min(Counter(labels).values()) <= 1
    validation = build_loader(having(base, order={"balance": "classes"}), "validation")
    assert numbers(validation) == sorted(numbers(validation))


@pytest.mark.parametrize("where", [1, 30, 62])
def test_balanced_classes_are_resumed_exactly(folder: Path, where: int) -> None:
    orders = BalancedOrders((50, 700, 250), 3, shuffle=True)
    straight = loader(folder, orders)
    expected = [numbers(straight) for _ in range(3)]
    running = loader(folder, orders)
    numbers(running)
    before = numbers(islice(running, where))
    resumed = loader(folder, orders)
    resumed.load_state_dict(pickle.loads(pickle.dumps(running.state_dict())))  # noqa: S301 (our own)
    assert before + numbers(resumed) == expected[1]
    assert numbers(resumed) == expected[2]
    resumed.set_epoch(1)
    assert numbers(resumed) == expected[1]


def test_labels_that_are_no_classes_cannot_be_balanced(base: dict[str, Any], tmp_path: Path) -> None:
    config = copy.deepcopy(having(base, label={"column": "a", "kind": "float"}, order={"balance": "classes"}))
    config["data"]["preprocessing"] = {"features": ["b"]}
    config["experiment"] = {"output_dir": str(tmp_path)}
    with pytest.raises(
        RecordError, match=r"'label' is float32\[\], but filters and classes want one integer"
    ):
        build_loader(config, "train")


def test_a_dataset_of_allowed_labels_has_their_records_alone(folder: Path) -> None:
    whole = ShardDataset(folder, "train")
    few = ShardDataset(folder, "train", allow_labels=[7, -3, 99])
    kept = [number for number in range(N) if label(number) != 0]
    assert len(few) == len(kept) == 300
    assert numbers([few[list(range(300))]]) == kept
    assert int(few[-1][0]) == kept[-1]
    with pytest.raises(IndexError, match="has 300"):
        few[300]
    assert few.fingerprint != whole.fingerprint
    assert few.fingerprint == ShardDataset(folder, "train", allow_labels=[99, 7, -3, 7]).fingerprint
    with pytest.raises(ConfigError, match="no record of split 'train' has one of the labels 5"):
        ShardDataset(folder, "train", allow_labels=[5])


@pytest.mark.parametrize("block", [0, 9])
def test_the_order_is_drawn_over_what_was_kept(folder: Path, block: int) -> None:
    made = loader(folder, PlainOrders(300, 3, shuffle=True, block=block, window=4), allow_labels=[7, -3])
    epochs = [numbers(made) for _ in range(2)]
    kept = [number for number in range(N) if label(number) != 0]
    assert sorted(epochs[0]) == sorted(epochs[1]) == kept
    assert epochs[0] != epochs[1]
    plain = DataLoader(made.dataset, batch_size=7)
    assert numbers(plain) == kept


def test_classes_are_balanced_among_what_was_kept(folder: Path) -> None:
    dataset = ShardDataset(folder, "train", allow_labels=[7, -3])
    labels, counts, _ = dataset.classes
    assert (labels, counts) == ([-3, 7], [50, 250])
    made = loader(folder, BalancedOrders(tuple(counts), 3, shuffle=True), allow_labels=[7, -3])
    assert Counter(label(number) for number in numbers(made)) == {-3: 150, 7: 150}


@pytest.mark.parametrize("name", ["blocks", "classes", "kept"])
def test_another_process_finds_the_same_batches(folder: Path, name: str) -> None:
    orders: Orders = (
        BalancedOrders((50, 700, 250), 3, shuffle=True)
        if name == "classes"
        else PlainOrders(300 if name == "kept" else N, 3, shuffle=True, block=9 if name == "blocks" else 0)
    )
    keys = {"allow_labels": [7, -3]} if name == "kept" else {}
    made: Any = loader(folder, orders, **keys)
    twin = pickle.loads(pickle.dumps(made.dataset))  # noqa: S301 (our own)
    requests = pickle.loads(pickle.dumps(list(made.sampler)))  # noqa: S301 (our own)
    made.set_epoch(0)
    assert numbers(twin[request] for request in requests) == numbers(made)


def test_a_request_that_needs_its_dataset_says_so() -> None:
    order = BalancedOrders((5, 6), 3, shuffle=True).order(0)
    with pytest.raises(ConfigError, match="hand the request to the dataset"):
        list(BatchRequest(order, 0, 4))


def test_states_are_small_whatever_the_order(base: dict[str, Any]) -> None:
    for order in ({}, {"mode": "block"}, {"balance": "classes"}):
        state = build_loader(having(base, order=order), "train").state_dict()
        assert len(pickle.dumps(state)) < 1024


def test_the_middle_of_huge_epochs_is_arithmetic() -> None:
    for order in (
        EpochOrder(2**62, 1, 5, shuffle=True),
        EpochOrder(2**62, 1, 5, shuffle=True, block=1000, window=64),
        BalancedOrders((2**60, 3, 2**50), 1, shuffle=True).order(10**12),
    ):
        if order.mixed is None:
            assert len(set(order.native().records(2**61, 1000))) == 1000
        else:
            assert order.mixed.plan().counts(3 * 2**40) == [2**40] * 3
