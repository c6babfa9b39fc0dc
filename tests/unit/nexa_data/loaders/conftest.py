from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nexa_data.prepare import prepare_from_config

N, F = 150, 4


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a config whose dataset is prepared already: 150 records of train, a few of the others."""
    folder = tmp_path_factory.mktemp("loader")
    features = np.arange((N + 40) * F, dtype=np.float32).reshape(-1, F)
    rows = [
        "a,b,c,d,part,label",
        *(",".join(f"{v:g}" for v in row) + f",p{at},{at % 3}" for at, row in enumerate(features)),
    ]
    (folder / "in.csv").write_text("\n".join(rows) + "\n")
    config = {
        "data": {
            "dataset_name": "mine",
            "source_uri": str(folder / "in.csv"),
            "batch_size": 16,
            "preprocessing": {"features": ["a", "b", "c", "d"]},
            "shards": {"rows": 17},
        },
        "experiment": {"output_dir": str(folder / "runs")},
    }
    prepare_from_config(config)
    return config
