"""Faults to plant at known rates, in made-up and in real data; run as a program it prints what was planted and what was found.

python tests/behaviour/planted_faults.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from nexa_data.quality.drift import measure_drift
from nexa_data.quality.measure import Described, measure_batches
from nexa_data.quality.model import QualityStatistics, Target
from nexa_data.quality.observations import observe

if TYPE_CHECKING:
    from collections.abc import Callable

    from nexa_data.findings import Finding

LABELLED = Described(label="label", kind="class")
Rows = dict[str, Any]
Splits = dict[str, Rows]


def made_up(seed: int = 0, n: int = 20_000) -> Splits:
    random = np.random.default_rng(seed)
    columns: Rows = {f"x{k}": random.normal(k, 1 + k, n) for k in range(8)}
    columns["income"] = random.lognormal(10, 1, n)
    columns["wait"] = random.exponential(3, n)
    columns["count"] = random.poisson(30, n)
    columns["city"] = np.array(["Oslo", "Rome", "Bern"])[random.integers(0, 3, n)]
    columns["label"] = (columns["x0"] + random.normal(size=n) > 0).astype(np.int64) + (columns["x1"] > 3)
    return cut(columns)


def digits() -> Splits:
    from sklearn import datasets

    pixels, labels = datasets.load_digits(return_X_y=True)
    # Of the rim's pixels some are always 0: they would be said to be constant, and rightly.
    inner = [k for k in range(64) if (pixels[:, k] == 0).mean() < 0.9]
    columns: Rows = {f"pixel {k}": pixels[:, k].astype(np.float32) for k in inner}
    columns["label"] = labels.astype(np.int64)
    return cut(columns)


def cut(columns: Rows) -> Splits:
    n = len(columns["label"])
    where = {
        "train": slice(0, n * 7 // 10),
        "validation": slice(n * 7 // 10, n * 8 // 10),
        "test": slice(n * 8 // 10, n),
    }
    return {split: {name: values[rows] for name, values in columns.items()} for split, rows in where.items()}


def statistics(splits: Splits) -> QualityStatistics:
    return measure_batches([(split, pa.record_batch(rows)) for split, rows in splits.items()], LABELLED)


def findings(splits: Splits) -> list[Finding]:
    return observe(statistics(splits))


def numeric(rows: Rows) -> str:
    """Return a column that has a scale: half of its values are not one and the same."""
    return next(
        name for name in rows if name != "label" and np.ptp(np.quantile(rows[name], [0.25, 0.75])) > 0
    )


def put(splits: Splits, rate: float, change: Callable[[Any], Any]) -> int:
    """Change a share of a column of train, and return how many values that are."""
    rows = splits["train"]
    name = numeric(rows)
    values = np.array(rows[name])
    chosen = np.random.default_rng(1).choice(len(values), round(rate * len(values)), replace=False)
    values[chosen] = change(values[chosen])
    rows[name] = values
    return len(chosen)


def missing(splits: Splits, rate: float) -> float:
    return put(splits, rate, lambda _: np.nan)


def infinite(splits: Splits, rate: float) -> float:
    return put(splits, rate, lambda values: np.where(np.arange(len(values)) % 2, np.inf, -np.inf))


def outliers(splits: Splits, rate: float) -> float:
    spread = float(np.std(splits["train"][numeric(splits["train"])]))
    return put(splits, rate, lambda values: values + 40 * spread)


def nulls(splits: Splits, rate: float) -> float:
    rows = splits["train"]
    name = numeric(rows)
    chosen = np.random.default_rng(1).choice(len(rows[name]), round(rate * len(rows[name])), replace=False)
    gone = np.zeros(len(rows[name]), np.bool_)
    gone[chosen] = True
    rows[name] = pa.array(rows[name], mask=gone)
    return len(chosen)


def repeated(splits: Splits, rate: float) -> float:
    return copied(splits, "train", rate)


def leaked(splits: Splits, rate: float) -> float:
    return copied(splits, "test", rate)


def conflicting(splits: Splits, rate: float) -> float:
    # Both the row and its copy have a twin with another label.
    return 2 * copied(splits, "train", rate, relabel=True)


def copied(splits: Splits, to: str, rate: float, *, relabel: bool = False) -> int:
    """Put the first rows of train in place of the last ones of a split."""
    rows, target = splits["train"], splits[to]
    count = round(rate * len(target["label"]))
    for name in rows:
        values = np.array(target[name])
        values[-count:] = np.array(rows[name])[:count]
        if name == "label" and relabel:
            values[-count:] = (values[-count:] + 1) % (rows["label"].max() + 1)
        target[name] = values
    return count


def giving_away(splits: Splits, _: float) -> None:
    for rows in splits.values():
        rows["case"] = rows["label"] * 10.0 + np.random.default_rng(2).normal(0, 0.5, len(rows["label"]))


def constant(splits: Splits, _: float) -> None:
    for rows in splits.values():
        rows["unit"] = np.full(len(rows["label"]), 4.0)


def rare(splits: Splits, rate: float) -> float:
    """Keep only a few records of class 1."""
    rows = splits["train"]
    labels = rows["label"]
    of_one = np.flatnonzero(labels == 1)
    kept = np.ones(len(labels), np.bool_)
    kept[of_one[max(1, round(rate * len(labels))) :]] = False
    splits["train"] = {name: np.array(values)[kept] for name, values in rows.items()}
    return float((splits["train"]["label"] == 1).mean())


def unseen(splits: Splits, rate: float) -> int:
    labels = np.array(splits["test"]["label"])
    count = round(rate * len(labels))
    labels[:count] = 77
    splits["test"]["label"] = labels
    return count


def absent(splits: Splits, _: float) -> None:
    rows = splits["test"]
    kept = rows["label"] != 1
    splits["test"] = {name: np.array(values)[kept] for name, values in rows.items()}


FAULTS: dict[str, tuple[Callable[[Splits, float], float | None], list[float], set[str]]] = {
    "nan-values": (missing, [0.002, 0.02, 0.2], set()),
    "null-values": (nulls, [0.002, 0.02, 0.2], set()),
    "infinite-values": (infinite, [0.002, 0.02], set()),
    "outliers": (outliers, [0.005, 0.02], set()),
    "duplicate-rows": (repeated, [0.002, 0.02, 0.2], set()),
    "leakage": (leaked, [0.005, 0.02, 0.2], set()),
    # The copy with another label is a duplicate too.
    "conflicting-labels": (conflicting, [0.002, 0.02, 0.2], {"duplicate-rows"}),
    "label-in-feature": (giving_away, [0], set()),
    "constant-column": (constant, [0], set()),
    "class-imbalance": (rare, [0.004], {"few-records-of-class"}),
    "unseen-class": (unseen, [0.005, 0.05], {"leakage"}),
    "missing-class": (absent, [0], set()),
}


MOVED = {("train", "x3"), ("train", "city")}
"""Split and column of what `moved` changes."""


def moved(splits: Splits, by: float) -> Splits:
    """Move a column by some standard deviations, and give half of the rows the same city."""
    rows = splits["train"]
    rows["x3"] = rows["x3"] + by * np.std(rows["x3"])
    rows["city"] = np.where(np.random.default_rng(3).random(len(rows["city"])) < 0.5, "Oslo", rows["city"])
    return splits


DATA = {"made up": made_up, "digits": digits}


def main() -> None:
    """Print the table."""
    print("| data | fault | planted | found | other findings |\n| --- | --- | ---: | ---: | --- |")  # noqa: T201
    for name, data in DATA.items():
        said = [str(each) for each in findings(data())]
        print(f"| {name} | none | 0 | {len(said)} | {' · '.join(said) or '–'} |")  # noqa: T201
        for code, (plant, rates, _) in FAULTS.items():
            for rate in rates:
                splits = data()
                planted = plant(splits, rate)
                seen = findings(splits)
                found = next((each for each in seen if each.code == code), None)
                others = sorted({each.code for each in seen} - {code})
                print(  # noqa: T201
                    f"| {name} | {code}{f', {rate:.1%}' if rate else ''} | {_amount(planted)} | {_amount(_of(found, planted))} "
                    f"| {', '.join(others) or '–'} |"
                )

    drifted = moved(made_up(seed=1), 0.5)
    drift = measure_drift(
        statistics(drifted), statistics(made_up(seed=2)), Target(kind="dataset", uri="before")
    )
    others = sorted({each.code for each in observe(statistics(drifted), drift)} - {"drift"})
    found_in = sum(each.drifted for each in drift.columns)
    print(  # noqa: T201
        f"| made up | drift of columns beside other data | {len(MOVED)} | {found_in} | {', '.join(others) or '–'} |"
    )


def _of(found: Finding | None, planted: float | None) -> float | None:
    """Return what was found in the terms in which it was planted: a count, a share, or that it is there."""
    if found is None:
        return 0
    if planted is None:
        return None
    return found.share if isinstance(planted, float) else found.count


def _amount(value: float | None) -> str:
    if value is None:
        return "yes"
    return f"{value:.2%} of rows" if isinstance(value, float) else f"{value:,}"


if __name__ == "__main__":
    main()
