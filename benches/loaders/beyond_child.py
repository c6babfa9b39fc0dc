"""One epoch in a fresh interpreter, of data beyond memory: what it took, and what memory of its own it needed at most."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def _anonymous() -> int:
    """Return the anonymous bytes of this moment."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Measure `argv`: folder of the catalog, records of a batch, `direct` or `mapped`, blocks of a window."""
    folder, batch, direct, window = sys.argv[1:5]
    from nexa_data.datasets.shards import ShardDataset
    from nexa_data.loaders.orders import PlainOrders, block_records
    from nexa_data.loaders.plan import BatchPlan
    from nexa_data.loaders.sampler import ShardSampler
    from nexa_data.loaders.torch_loader import ShardLoader

    began = time.perf_counter()
    dataset = ShardDataset(folder, "train", direct=direct == "direct")
    orders = PlainOrders(
        len(dataset), 0, shuffle=True, block=block_records(dataset.record_bytes), window=int(window)
    )
    plan = BatchPlan(len(dataset), int(batch), 0, 1, "keep")
    loader = ShardLoader(dataset, ShardSampler(dataset, plan, seed=0, shuffle=True, orders=orders))
    before, peak = _anonymous(), 0
    for number, _ in enumerate(loader):
        if number % 256 == 0:
            peak = max(peak, _anonymous())
    seconds = time.perf_counter() - began
    print(json.dumps(loader.stats().as_dict() | {"epoch_s": seconds, "anonymous_bytes": peak - before}))


main()
