"""What each `order_version` yields is kept for ever: a state saved years ago goes on with the same records.

`v1.json` beside this file was written once, in the repository's root, by

    python tests/golden/orders/test_golden_orders.py

It is not to be written again: another order gets another version, and a file of its own. Short epochs are there record by
record, long ones as the sha256 of their records (unsigned, 64 bits, little endian) at some places.
"""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest
from nexa_data._core import ORDER_VERSION, Mixture, Order

FILE = Path(__file__).parent / f"v{ORDER_VERSION}.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text()) if FILE.is_file() else []

_SHORT = 64
_ROWS = 5000


def made(case: dict[str, Any]) -> Order:
    """Return the order that a case describes."""
    if case["mode"] != "mixture":
        block, window = case.get("block", 0), case.get("window", 1)
        return Order(
            case["n"],
            seed=case["seed"],
            epoch=case["epoch"],
            shuffle=case["mode"] != "none",
            block=block,
            window=window,
        )
    mixings = [(start, weights, most, stop) for start, weights, most, stop in case["mixings"]]
    plan = Mixture(case["records_of_sources"], mixings)
    return Order.mixed(
        plan, case["done"], seed=case["seed"], epoch=case["epoch"], shuffle=case.get("shuffle", True)
    )


def digest(order: Order, start: int) -> str:
    return hashlib.sha256(array("Q", order.records(start, _ROWS)).tobytes()).hexdigest()


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """Return what the order yields: all records, or digests of some places."""
    order = made(case)
    n = case["positions"]
    if n <= _SHORT:
        return {"records": order.records(0, n)}
    return {"digests": {str(start): digest(order, start) for start in (0, n // 3, max(n - _ROWS // 2, 0))}}


@pytest.mark.skipif(sys.byteorder != "little", reason="the digests are of little-endian numbers")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['mode']}-{case['positions']}-{case['seed']}")
def test_the_order_is_what_it_was(case: dict[str, Any]) -> None:
    assert answer(case) == case["answer"]


def test_there_are_cases_of_every_mode_and_of_huge_epochs() -> None:
    assert {case["mode"] for case in CASES} == {"none", "full", "block", "mixture"}
    assert max(case["positions"] for case in CASES) == 2**63
    assert min(case["positions"] for case in CASES) == 1


def _cases() -> list[dict[str, Any]]:
    sizes = [1, 2, 3, 10, 64, 1000, 65_537, 10**9, 2**40 + 1, 2**63]
    cases: list[dict[str, Any]] = [
        {"mode": "full", "n": n, "seed": seed, "epoch": epoch}
        for n in sizes
        for seed, epoch in ((0, 0), (1, 2), (2**64 - 1, 2**64 - 1))
    ]
    cases += [{"mode": "none", "n": n, "seed": 1, "epoch": 2} for n in (10, 2**40 + 1)]
    cases += [
        {"mode": "block", "n": n, "seed": seed, "epoch": 3, "block": block, "window": window}
        for n in sizes
        for seed, block, window in ((0, 4, 3), (5, 32_768, 64), (7, 1, 2**20))
    ]
    cases = [case | {"positions": case["n"]} for case in cases]
    sources = [[10, 20, 5], [1000, 70_000, 12], [10**12, 10**9, 10**6]]
    for records in sources:
        for shuffle in (True, False):
            for mixing in (
                [[0, [1, 1, 1], [None, None, None], "first"]],
                [[0, [7, 2, 1], [None, None, 2 * records[2]], "all"]],
                [[0, records, [None, None, None], sum(records)]],
                [
                    [0, [3, 1, 1], [None, None, None], sum(records) * 2],
                    [sum(records) // 2, [1, 1, 9], [None, None, None], sum(records)],
                ],
            ):
                plan = Mixture(records, [tuple(each) for each in mixing])  # type: ignore[misc]
                cases.append(
                    {
                        "mode": "mixture",
                        "records_of_sources": records,
                        "mixings": mixing,
                        "done": [5, 10**9, 2**63 - 1],
                        "seed": len(cases),
                        "epoch": 4,
                        "shuffle": shuffle,
                        "positions": len(plan),
                    }
                )
    return cases


def main() -> None:
    """Write the file of this version."""
    if FILE.is_file():
        sys.exit(f"{FILE} exists; it is not to be written again")
    lines = [json.dumps(case | {"answer": answer(case)}) for case in _cases()]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
