"""What version 1 wrote is read for ever, and its orders stay as they were.

The artifact beside this file was made once, in the repository's root, by

    python tests/golden/v1/test_golden_v1.py

which also prints the expected numbers. It is not to be made again: a later version adds a folder `v2`.
"""

from __future__ import annotations

import copy
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nexa_data._core import ORDER_VERSION, Order
from nexa_data.artifacts import is_complete, read_meta, verify_artifact
from nexa_data.catalog import ShardCatalog

if TYPE_CHECKING:
    from nexa_data.datasets.shards import ShardDataset

HERE = Path(__file__).parent
FOLDER = HERE / "artifact"
SEED = 3
CONFIG: dict[str, Any] = {
    "data": {
        "dataset_name": "golden",
        "preprocessing": {"seed": SEED, "features": ["x", "y"]},
        "label": "kind",
        "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
        "shards": {"rows": 7},
    }
}

EXPECTED: dict[str, Any] = (
    json.loads((HERE / "expected.json").read_text()) if (HERE / "expected.json").is_file() else {}
)


def source_text() -> str:
    rows = (f"{at},{at / 4},{('ant', 'bee', 'cow')[at % 3]}" for at in range(30))
    return "\n".join(["x,y,kind", *rows]) + "\n"


def batches(epoch: int) -> list[list[list[float]]]:
    """Return the batches of five of an epoch of train: x, y and label of each record."""
    from nexa_data.loaders.plan import BatchPlan
    from nexa_data.loaders.sampler import ShardSampler

    dataset = opened()
    sampler = ShardSampler(dataset, BatchPlan(len(dataset), 5, 0, 1, "keep"), seed=SEED, shuffle=True)
    sampler.set_epoch(epoch)
    found = (dataset[request] for request in sampler)
    return [
        [[*row, label] for row, label in zip(features.tolist(), labels.tolist(), strict=True)]
        for features, labels in found
    ]


def opened() -> ShardDataset:
    from nexa_data.datasets.shards import ShardDataset

    return ShardDataset(FOLDER, "train")


def test_the_artifact_still_opens_and_has_its_hash() -> None:
    meta = verify_artifact(FOLDER)
    assert meta.hash == EXPECTED["hash"]
    assert meta.labels["format_version"] == "1"


def test_the_catalog_is_still_valid_to_the_last_byte() -> None:
    count, findings = ShardCatalog.validate(FOLDER, full=True, for_staging=True)
    assert (count, findings) == (EXPECTED["shards"], [])


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_batches_of_an_epoch_are_the_same_in_the_same_order(epoch: int) -> None:
    assert batches(epoch) == EXPECTED["batches"][str(epoch)]


def test_preparing_the_same_source_still_gives_the_same_shards(tmp_path: Path) -> None:
    made, stored = ShardCatalog.load(make(tmp_path).path), ShardCatalog.load(FOLDER)
    assert [shard.as_dict() for shard in made] == [shard.as_dict() for shard in stored]


def test_the_orders_are_those_of_version_1() -> None:
    # A later version keeps this one under its number.
    assert ORDER_VERSION == 1
    assert Order(10, seed=0, epoch=0).records(0, 10) == EXPECTED["orders"]["10"]
    assert Order(1000, seed=1, epoch=2).records(0, 10) == EXPECTED["orders"]["1000"]
    assert Order(2**63, seed=1, epoch=2).record(12345) == EXPECTED["orders"]["2**63"]


def make(folder: Path) -> Any:
    """Prepare the dataset from a source in `folder`."""
    import contextlib

    from nexa_data.prepare import prepare_from_config

    (folder / "golden.csv").write_text(source_text())
    config = copy.deepcopy(CONFIG)
    # The name of the source is part of the key: it is relative, as in most configs.
    config["data"]["source_uri"] = "golden.csv"
    config["experiment"] = {"output_dir": str(folder / "runs")}
    with contextlib.chdir(folder):
        return prepare_from_config(config)


def main() -> None:
    """Make the artifact and the expected numbers."""
    if is_complete(FOLDER):
        sys.exit(f"{FOLDER} exists; it is not to be made again")
    with tempfile.TemporaryDirectory() as folder:
        meta = make(Path(folder))
        shutil.copytree(meta.path, FOLDER)
    stored = json.loads((FOLDER / "meta.json").read_bytes()) | {"uri": "/made/elsewhere"}
    (FOLDER / "meta.json").write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n")
    expected = {
        "hash": read_meta(FOLDER).hash,
        "shards": len(ShardCatalog.load(FOLDER)),
        "orders": {
            "10": Order(10, seed=0, epoch=0).records(0, 10),
            "1000": Order(1000, seed=1, epoch=2).records(0, 10),
            "2**63": Order(2**63, seed=1, epoch=2).record(12345),
        },
        "batches": {str(epoch): batches(epoch) for epoch in (0, 1)},
    }
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
