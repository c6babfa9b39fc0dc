"""How two artifacts differ, in lines for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexa_data.artifact_facts import ArtifactFacts
from nexa_data.artifacts import read_meta
from nexa_data.quality.drift import measure_drift
from nexa_data.quality.report import artifact_target, read_statistics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from nexa_data.quality.model import QualityStatistics

__all__ = ["compare_artifacts"]

_LISTED = 20


def compare_artifacts(first: Path, second: Path) -> dict[str, list[str]]:
    """Return what differs, by part: columns, splits, config, source, statistics, drift; a part without difference is empty.

    Raises:
        ArtifactError: One is no complete artifact, or its report is damaged.
    """
    metas = read_meta(first), read_meta(second)
    facts = [ArtifactFacts.of(meta.path, meta.kind, meta.labels, meta.path.name) for meta in metas]
    if metas[0].hash == metas[1].hash and metas[0].kind == metas[1].kind:
        return {}
    statistics = [read_statistics(meta.path) for meta in metas]
    drift: list[str] = []
    if statistics[0] is not None and statistics[1] is not None:
        found = measure_drift(statistics[1], statistics[0], artifact_target(metas[0])).columns
        drift = [
            f"{each.column} in {each.split}: PSI {each.psi or 0:.3f}, KS {each.ks or 0:.3f}, JS {each.js or 0:.3f}"
            for each in found
            if each.drifted
        ][:_LISTED]
    return {
        "kind": list(_changed({"kind": metas[0].kind}, {"kind": metas[1].kind})),
        "columns": list(
            _changed(
                *({each.name: f"{each.dtype} {list(each.shape)}" for each in of.columns} for of in facts)
            )
        ),
        "splits": list(
            _changed(
                *({name: f"{each.records:,} records" for name, each in of.splits.items()} for of in facts)
            )
        ),
        "config": list(_changed(*(_flat(meta.inputs) for meta in metas)))[: 5 * _LISTED],
        "statistics": list(_changed(*(map(_figures, statistics))))[:_LISTED],
        "drift": drift,
    }


def _changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*first, *second]):
        if name not in second:
            yield f"- {name}: {first[name]}"
        elif name not in first:
            yield f"+ {name}: {second[name]}"
        elif first[name] != second[name]:
            yield f"~ {name}: {first[name]} → {second[name]}"


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Return nested keys as paths."""
    if isinstance(value, dict):
        return {
            path: text
            for key, each in value.items()
            for path, text in _flat(each, f"{name}.{key}".lstrip(".")).items()
        }
    return {name: str(value)}


def _figures(statistics: QualityStatistics | None) -> dict[str, str]:
    """Return a few figures of each column of train, in as many digits as one compares by eye."""
    split = None if statistics is None else statistics.splits.get("train")
    return {
        column.name: f"mean {column.mean or 0:.4g}, std {column.std or 0:.4g}, missing {column.nulls + column.nans:,}"
        for column in (() if split is None else split.columns)
    }
