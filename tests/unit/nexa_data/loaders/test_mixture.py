from __future__ import annotations

import logging
import pickle
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from loader_catalogs import numbers, write_catalog
from nexa_data import _core
from nexa_data.errors import ConfigError, RecordError, ShardNotFoundError
from nexa_data.loaders.torch_loader import build_loader
from nexa_data.prepare import prepare_from_config
from nexa_data.shard_output import tensor_batch

if TYPE_CHECKING:
    from pathlib import Path

    from nexa_data.loaders.torch_loader import ShardLoader

A, B, C = range(300), range(1000, 8000), range(10_000, 10_050)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return three catalogs: 300, 7,000 and 50 records; a's labels go from 0 to 4, and it has a validation split."""
    root = tmp_path_factory.mktemp("mixture")
    made = {
        "a": write_catalog(root / "a", A, label=lambda number: number % 5, shard=90),
        "b": write_catalog(root / "b", B, label=lambda number: number % 5, shard=2000),
        "c": write_catalog(root / "c", C, label=lambda number: number % 5, shard=20),
    }
    write_catalog(root / "a", range(500, 530), split="validation")
    write_catalog(root / "c", range(600, 610), split="validation")
    return made


def config(folders: dict[str, Path], *sources: dict[str, Any], **data: Any) -> dict[str, Any]:
    stop = {"stop": data.pop("stop")} if "stop" in data else {}
    named = [source | {"artifact": str(folders[source["artifact"]])} for source in sources]
    keys = {"dataset_name": "mix", "batch_size": 50, "batch": {"tail": "keep"}}
    return {"data": keys | {"mixture": {"sources": named, **stop}} | data}


def source(name: str, **keys: Any) -> dict[str, Any]:
    return {"artifact": name} | keys


def made(folders: dict[str, Path], *sources: dict[str, Any], **data: Any) -> ShardLoader:
    return build_loader(config(folders, *sources, **data), "train")


def shares(found: list[int]) -> tuple[int, int, int]:
    counts = Counter("a" if at in A else "b" if at in B else "c" for at in found)
    return counts["a"], counts["b"], counts["c"]


def test_without_weights_each_source_comes_once_and_mixed(folders: dict[str, Path]) -> None:
    loader = made(folders, source("a"), source("c"))
    found = numbers(loader)
    assert sorted(found) == [*A, *C]
    assert shares(found[:100])[2] > 5
    assert found != numbers(loader)


def test_repeats_are_exact_also_those_of_a_part(folders: dict[str, Path]) -> None:
    loader = made(folders, source("a", repeat=2), source("c", repeat=0.5))
    epochs = [Counter(numbers(loader)) for _ in range(2)]
    assert all(epoch[number] == 2 for epoch in epochs for number in A)
    assert [len([number for number in epoch if number in C]) for epoch in epochs] == [25, 25]
    assert {number for epoch in epochs for number in epoch if number in C} == set(C)


def test_weights_are_shares_of_every_window(folders: dict[str, Path]) -> None:
    loader = made(folders, source("a", weight=0.1), source("b", weight=0.9), stop={"records": 12_288})
    found = numbers(loader)
    for window in range(3):
        a, b, _ = shares(found[window * 4096 : (window + 1) * 4096])
        assert abs(a - 409.6) < 2
        assert a + b == 4096
    assert max(Counter(number for number in found if number in B).values()) == 2


@pytest.mark.parametrize(("stop", "a", "b"), [("first", 300, 300), ("all", 7000, 7000)])
def test_an_epoch_ends_as_told(folders: dict[str, Path], stop: str, a: int, b: int) -> None:
    found = numbers(made(folders, source("a", weight=1), source("b", weight=1), stop=stop))
    count = shares(found)
    assert count[0] in {a, a - 1}
    assert count[1] in {b, b + 1}
    if stop == "first":
        assert len(set(found)) == len(found)
    else:
        assert set(found) == {*A, *B}


def test_a_bounded_source_leaves_its_weight_to_the_others(folders: dict[str, Path]) -> None:
    sources = source("a", weight=1), source("b", weight=1), source("c", weight=2, max_epochs=2)
    found = numbers(made(folders, *sources, stop={"records": 500}))
    assert shares(found) == (200, 200, 100)
    assert set(Counter(number for number in found if number in C).values()) == {2}
    with pytest.raises(ConfigError, match="asks for 500 records, but max_epochs allows 100"):
        made(folders, source("c", weight=1, max_epochs=2), stop={"records": 500})


def test_a_large_source_goes_on_where_the_epoch_before_ended(folders: dict[str, Path]) -> None:
    loader = made(folders, source("a", weight=1), source("b", weight=1), stop={"records": 3500})
    found = [number for _ in range(4) for number in numbers(loader) if number in B]
    assert len(found) == len(set(found)) == 7000


def test_filters_of_a_source_hold_before_the_order_is_drawn(folders: dict[str, Path]) -> None:
    few = source("a", filters=[{"label": {"allow": [1, 2]}}, {"label": {"deny": [2]}}])
    loader = made(folders, few, source("c"))
    found = numbers(loader)
    assert sorted(found) == [*(number for number in A if number % 5 == 1), *C]
    assert len(loader.dataset) == 60 + 50  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"no record of split 'train' has one of the labels 77"):
        made(folders, source("a", filters=[{"label": {"allow": [77]}}]))


def test_classes_are_named_as_the_artifact_names_them(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("x,label\n" + "".join(f"{at},{'ab'[at % 2]}\n" for at in range(200)))
    meta = prepare_from_config(
        {
            "data": {"dataset_name": "named", "source_uri": str(tmp_path / "in.csv")},
            "experiment": {"output_dir": str(tmp_path / "runs")},
        }
    )
    mixture = [{"artifact": meta.uri, "filters": [{"label": {"allow": ["b"]}}]}]
    loader = build_loader({"data": {"dataset_name": "mix", "mixture": mixture}}, "train")
    assert all(number % 2 == 1 for number in numbers(loader))
    mixture[0]["filters"] = [{"label": {"allow": ["c"]}}]  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="no class 'c'"):
        build_loader({"data": {"dataset_name": "mix", "mixture": mixture}}, "train")


def test_other_splits_are_the_sources_one_after_the_other_without_those_whose_split_is_for_train(
    folders: dict[str, Path],
) -> None:
    sources = source("a", weight=1), source("b", weight=1, split="train"), source("c", weight=3)
    loader = build_loader(config(folders, *sources), "validation")
    assert numbers(loader) == numbers(loader) == [*range(500, 530), *range(600, 610)]
    only = config(folders, source("b", split="train"))
    with pytest.raises(ConfigError, match="none has 'validation'"):
        build_loader(only, "validation")


def test_without_shuffling_sources_come_as_stored(folders: dict[str, Path]) -> None:
    loader = made(folders, source("a", weight=3), source("c", weight=1), shuffle=False)
    found = numbers(loader)
    assert [number for number in found if number in A] == [*A][: shares(found)[0]]
    assert numbers(loader) != found  # c goes on where it ended


def test_ranks_together_see_what_one_alone_sees(folders: dict[str, Path]) -> None:
    keys = config(
        folders, source("a", weight=2), source("b", weight=1), global_batch_size=30, batch={"tail": "drop"}
    )
    del keys["data"]["batch_size"]
    alone = [numbers([batch]) for batch in build_loader(keys, "train")]
    parts = [build_loader(keys, "train", rank=rank, world_size=3) for rank in range(3)]
    assert [
        [at for each in batches for at in numbers([each])] for batches in zip(*parts, strict=True)
    ] == alone


@pytest.mark.parametrize("where", [0, 3, 83, 89])
def test_resuming_continues_with_the_same_records_and_epochs(folders: dict[str, Path], where: int) -> None:
    sources = source("a", weight=0.3), source("b", weight=0.6), source("c", weight=0.1)
    straight = made(folders, *sources, stop={"records": 4500})
    expected = [numbers(straight) for _ in range(3)]
    running = made(folders, *sources, stop={"records": 4500})
    assert numbers(running) == expected[0]
    before = numbers(islice(running, where))
    state = pickle.loads(pickle.dumps(running.state_dict()))  # noqa: S301 (our own)
    resumed = made(folders, *sources, stop={"records": 4500})
    resumed.load_state_dict(state)
    assert before + numbers(resumed) == expected[1]
    assert numbers(resumed) == expected[2]


def test_a_state_tells_each_sources_content_and_position_and_is_small(folders: dict[str, Path]) -> None:
    sources = source("a", weight=0.3), source("b", weight=0.6), source("c", weight=0.1)
    loader = made(folders, *sources, stop={"records": 1000})
    loader.set_epoch(3)
    state = loader.state_dict()
    assert [(records, done) for _, records, done in state["mixture"]["sources"]] == [
        (300, 900),
        (7000, 1800),
        (50, 300),
    ]
    assert len(pickle.dumps(state)) < 1024


def test_other_weights_hold_from_the_next_window_on_and_nothing_is_lost(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    def loader(weight: float) -> ShardLoader:
        sources = source("a", weight=1), source("b", weight=weight), source("c", weight=1)
        return made(folders, *sources, stop={"records": 9000})

    first = loader(1)
    old = numbers(first)
    running = loader(1)
    before = numbers(islice(running, 20))
    assert len(before) == 1000
    resumed = loader(6)
    with caplog.at_level(logging.WARNING, "nexa_data"):
        resumed.load_state_dict(running.state_dict())
    window = _core.MIXTURE_WINDOW
    assert f"the mixture changes at record {window} of epoch 0" in caplog.text
    assert "b (train) 0.75" in caplog.text
    rest = numbers(resumed)
    together = before + rest
    assert together[:window] == old[:window]
    assert abs(shares(together[window:])[1] - (9000 - window) * 0.75) <= 2
    fresh = [number for number in together if number in B]
    assert len(fresh) == len(set(fresh))
    # Sources go on behind what the changed epoch took; the new weights hold from the first record.
    following = numbers(resumed)
    assert len(following) == 9000
    assert abs(shares(following)[1] - 6750) <= 2
    left = set(B) - set(fresh)
    assert left <= {number for number in following if number in B}


@pytest.mark.parametrize("where", [25, 110])
def test_a_changed_mixture_is_resumed_as_exactly_as_any(folders: dict[str, Path], where: int) -> None:
    def loader(weight: float) -> ShardLoader:
        return made(folders, source("a", weight=1), source("b", weight=weight), stop={"records": 6000})

    running = loader(1)
    list(islice(running, 20))
    changed = loader(4)
    changed.load_state_dict(running.state_dict())
    expected = [numbers(changed) for _ in range(3)]
    again = loader(4)
    again.load_state_dict(running.state_dict())
    before = numbers(islice(again, where - 20))
    resumed = loader(4)
    resumed.load_state_dict(pickle.loads(pickle.dumps(again.state_dict())))  # noqa: S301 (our own)
    assert before + numbers(resumed) == expected[0]
    assert [numbers(resumed) for _ in range(2)] == expected[1:]
    resumed.set_epoch(2)
    assert numbers(resumed) == expected[2]


def test_an_epoch_in_its_last_window_is_finished_as_it_was_begun(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    running = made(folders, source("a", weight=1), source("b", weight=1), stop={"records": 600})
    expected = numbers(running)
    running.set_epoch(0)
    before = numbers(islice(running, 3))
    resumed = made(folders, source("a", weight=1), source("b", weight=2), stop={"records": 900})
    resumed.load_state_dict(running.state_dict())
    assert "the mixture changes at epoch 1" in caplog.text
    assert before + numbers(resumed) == expected
    assert shares(numbers(resumed)) == (300, 600, 0)


def test_other_content_is_refused_by_name(folders: dict[str, Path], tmp_path: Path) -> None:
    state = made(folders, source("a", weight=1), source("b", weight=1)).state_dict()
    other = folders | {"b": write_catalog(tmp_path / "b", range(1000, 1020))}
    with pytest.raises(
        ConfigError, match=r"b \(train\) has other content than there \(20 records here, 7000 there\)"
    ):
        made(other, source("a", weight=1), source("b", weight=1)).load_state_dict(state)
    filtered = source("b", weight=1, filters=[{"label": {"deny": [99]}}])
    with pytest.raises(ConfigError, match=r"b \(train\) has other content"):
        made(folders, source("a", weight=1), filtered).load_state_dict(state)
    with pytest.raises(ConfigError, match="2 sources, 1 are here"):
        made(folders, source("a", weight=1)).load_state_dict(state)


def test_the_state_of_one_dataset_is_not_a_mixtures_and_the_other_way_round(
    folders: dict[str, Path], base: dict[str, Any]
) -> None:
    mixed, plain = made(folders, source("a")), build_loader(base, "train")
    with pytest.raises(ConfigError, match="of one dataset, not of a mixture"):
        mixed.load_state_dict(plain.state_dict())
    with pytest.raises(ConfigError, match="doesn't fit: fingerprint"):
        plain.load_state_dict(mixed.state_dict())


@pytest.mark.parametrize(
    "mixture",
    [
        {},
        {"sources": [["x"]], "mixings": []},
        {"sources": None, "mixings": None},
        {"mixings": []},
        {"mixings": [[0, [1], [None], None]]},
        {"mixings": [[0, [1, -1], [None, None], "first"]]},
        {"mixings": [[5, [1, 1], [None, None], "first"]]},
        {"mixings": [[0, [1, 1], [None, None], "sometime"]]},
    ],
)
def test_a_damaged_mixture_is_refused(folders: dict[str, Path], mixture: dict[str, Any]) -> None:
    loader = made(folders, source("a", weight=1), source("b", weight=1))
    state = loader.state_dict()
    whole = state["mixture"] if mixture else {}
    with pytest.raises(ConfigError, match=r"damaged|data\.mixture"):
        loader.load_state_dict(state | {"mixture": whole | mixture})
    with pytest.raises(ConfigError, match="damaged"):
        loader.load_state_dict(state | {"consumed": 10**6})
    assert loader.state_dict() == state


def test_weights_are_taken_as_they_are_written(folders: dict[str, Path]) -> None:
    loader = made(folders, source("a", weight=0.1), source("b", weight=0.2), stop={"records": 30})
    assert loader.state_dict()["mixture"]["mixings"] == [[0, [1, 2], [None, None], 30]]
    with pytest.raises(ConfigError, match="no shares of whole records; round them"):
        made(folders, source("a", weight=1e-30), source("b", weight=0.7))


def batch_of(rows: int, width: int) -> Any:
    return tensor_batch({"features": np.zeros((rows, width), np.float32), "label": np.zeros(rows, np.int64)})


def test_what_cannot_be_mixed_is_refused_by_name(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ShardNotFoundError, match="nowhere"):
        made(folders | {"a": tmp_path / "nowhere"}, source("a"))
    empty = tmp_path / "empty"
    empty.mkdir()
    _core.write_shard(empty / "x.arrow", [batch_of(0, 1)])
    (empty / "catalog.jsonl").write_text('{"uri": "x.arrow", "split": "train", "records": 0}\n')
    with pytest.raises(ConfigError, match=r"empty \(train\) has no records"):
        made(folders | {"b": empty}, source("a", weight=1), source("b", weight=1))
    wide = tmp_path / "wide"
    wide.mkdir()
    _core.write_shard(wide / "x.arrow", [batch_of(1, 2)])
    (wide / "catalog.jsonl").write_text('{"uri": "x.arrow", "split": "train", "records": 1}\n')
    with pytest.raises(RecordError, match=r"'features' is float32\[2\], but float32\[1\]"):
        numbers(made(folders | {"b": wide}, source("a"), source("b")))


def test_a_mixture_is_read_by_another_process_as_by_this_one(folders: dict[str, Path]) -> None:
    loader: Any = made(folders, source("a", filters=[{"label": {"allow": [3]}}]), source("c"))
    twin = pickle.loads(pickle.dumps(loader.dataset))  # noqa: S301 (our own)
    requests = pickle.loads(pickle.dumps(list(loader.sampler)))  # noqa: S301 (our own)
    loader.set_epoch(0)
    expected = numbers(loader)
    assert numbers(twin[request] for request in requests) == expected
    assert numbers([twin[[index for request in requests for index in request]]]) == expected
