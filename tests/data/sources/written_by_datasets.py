"""Writes the folders of this directory with Hugging Face `datasets` 5.2.0: python written_by_datasets.py FOLDER."""

import sys
from pathlib import Path

import datasets
import numpy as np

root = Path(sys.argv[1])
numbers = np.random.default_rng(0)


def rows(n: int) -> dict:
    return {
        "text": [f"text {at} — ü" for at in range(n)],
        "label": numbers.integers(0, 3, n).tolist(),
        "vector": numbers.standard_normal((n, 4)).astype(np.float32).tolist(),
    }


features = datasets.Features(
    text=datasets.Value("string"),
    label=datasets.ClassLabel(names=["a", "b", "c"]),
    vector=datasets.List(datasets.Value("float32"), length=4),
)
train = datasets.Dataset.from_dict(rows(40), features=features)
train.save_to_disk(root / "hf_dataset", num_shards=2)
splits = datasets.DatasetDict(train=train, test=datasets.Dataset.from_dict(rows(9), features=features))
splits.save_to_disk(root / "hf_dataset_dict")
