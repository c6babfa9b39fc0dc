from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from nexa_data.datasets.synthetic_sequences import SyntheticTextDataset, SyntheticTokenDataset
from nexa_data.errors import ConfigError
from nexa_data.loaders.torch_loader import build_loader

if TYPE_CHECKING:
    from pathlib import Path


def test_a_record_is_the_same_however_it_is_asked_for() -> None:
    dataset = SyntheticTokenDataset(20_000, 500, 3, seed=1, max_length=900)
    batches = [each.batch for each in dataset.row_source().batches()]
    assert len(batches) > 1
    rows = pa.Table.from_batches(batches)
    assert rows.num_rows == 20_000
    for index in (0, 4660, 19_999, -1):
        tokens, label = dataset[index]
        assert tokens.tolist() == rows["tokens"][index % 20_000].as_py()
        assert label == rows["label"][index % 20_000].as_py()
    assert rows["length"].to_pylist() == [len(each) for each in rows["tokens"]]
    assert (
        SyntheticTokenDataset(10**12, 500, 3, seed=1, max_length=900)[19_999][0].tolist()
        == dataset[19_999][0].tolist()
    )
    with pytest.raises(IndexError, match="has 20000"):
        dataset[20_000]


@pytest.mark.parametrize(
    ("lengths", "spread"), [("fixed", 0.0), ("uniform", 0.57), ("geometric", 0.99), ("lognormal", 0.53)]
)
def test_lengths_have_their_distribution(lengths: Any, spread: float) -> None:
    dataset = SyntheticTokenDataset(30_000, 100, lengths=lengths, mean_length=40, max_length=2000)
    _, found, _ = dataset.rows(np.arange(30_000))
    assert found.mean() == pytest.approx(40, rel=0.02)
    assert found.std() / found.mean() == pytest.approx(spread, abs=0.03)
    cut = SyntheticTokenDataset(1000, 100, lengths=lengths, mean_length=40, min_length=30, max_length=50)
    _, found, _ = cut.rows(np.arange(1000))
    assert (found.min() >= 30, found.max() <= 50) == (True, True)


def test_tokens_follow_zipfs_law_and_other_ones_are_frequent_in_each_class() -> None:
    dataset = SyntheticTokenDataset(4000, 1000, 2, lengths="fixed", mean_length=100)
    tokens, lengths, labels = dataset.rows(np.arange(4000))
    of = np.repeat(labels, lengths)
    for label in (0, 1):
        counts = np.roll(np.bincount(tokens[of == label], minlength=1000), -500 * label)
        expected = 1 / np.arange(1, 1001)
        expected *= counts.sum() / expected.sum()
        assert counts[:10] == pytest.approx(expected[:10], rel=0.05)
    assert np.bincount(labels) / 4000 == pytest.approx([0.5, 0.5], abs=0.03)


def test_a_bag_of_words_tells_the_class() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    dataset = SyntheticTokenDataset(2000, 300, 3, lengths="geometric", mean_length=20)
    tokens, lengths, labels = dataset.rows(np.arange(2000))
    bags = np.zeros((2000, 300))
    np.add.at(bags, (np.repeat(np.arange(2000), lengths), tokens), 1)
    model = linear.LogisticRegression(max_iter=500).fit(bags[:1000], labels[:1000])
    assert model.score(bags[1000:], labels[1000:]) > 0.85


def test_texts_are_words_of_the_tokens() -> None:
    texts = SyntheticTextDataset(50, 200, 2, seed=3, mean_length=6)
    rows = pa.Table.from_batches([each.batch for each in texts.row_source().batches()])
    assert rows["text"][7].as_py() == texts[7][0]
    assert [len(text.split()) for text in rows["text"].to_pylist()] == rows["length"].to_pylist()
    assert len(set(texts._words.to_pylist())) == 200


@pytest.mark.parametrize(("name", "column"), [("synthetic_tokens", "tokens"), ("synthetic_text", "text")])
def test_a_config_makes_and_loads_them(tmp_path: Path, name: str, column: str) -> None:
    data = {
        "dataset_name": name,
        "batch_size": 8,
        "preprocessing": {
            "num_samples": 300,
            "num_classes": 2,
            "features": ["length"],
            "columns": [column],
            "options": {"vocab_size": 100, "mean_length": 5, "max_length": 9},
        },
        "batch": {"as": "dict", "columns": [column, "label"]},
    }
    loader = build_loader({"data": data, "experiment": {"output_dir": str(tmp_path)}}, "train")
    batch = next(iter(loader))
    assert set(batch) == {column, "label"} or {column, "label"} <= set(batch)


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocab_size": 1},
        {"exponent": -1.0},
        {"lengths": "normal"},
        {"mean_length": 0},
        {"min_length": 9, "max_length": 8},
        {"num_samples": 0},
    ],
)
def test_impossible_sequences_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SyntheticTokenDataset(**wrong)
