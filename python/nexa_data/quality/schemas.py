"""A user's pandera schema as a rule: its failure cases are the rows that break it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data.optional import needed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["schema_failures"]


def schema_failures(schema: Any, batch: pa.RecordBatch) -> list[tuple[str, Any]]:
    """Hold a schema against a batch.

    Args:
        schema: A schema of `pandera.polars` or `pandera.pandas`, or a model class of either.
        batch: The rows.

    Returns:
        Column and mask of the rows that fail, or text where the failure is of no row (a column is missing, say).
    """
    with needed("pandera", "a rule that is a schema", install="nexa-data[quality]"):
        from pandera.errors import SchemaErrors

    frame: Any
    if _of_polars(schema):
        with needed("polars", "a rule that is a schema of pandera.polars", install="nexa-data[quality]"):
            import polars as pl

        frame = pl.from_arrow(batch)
    else:
        frame = batch.to_pandas()
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        return _failures(error.failure_cases, batch)
    return []


def _of_polars(schema: Any) -> bool:
    kinds = schema.__mro__ if isinstance(schema, type) else type(schema).__mro__
    return any("polars" in kind.__module__ for kind in kinds)


def _failures(cases: Any, batch: pa.RecordBatch) -> list[tuple[str, Any]]:
    rows = cases.to_dicts() if hasattr(cases, "to_dicts") else cases.to_dict("records")
    masks: dict[str, Any] = {}
    found: list[tuple[str, Any]] = []
    for row in rows:
        index, column = row.get("index"), row.get("column") or ""
        if index is None or index != index:  # noqa: PLR0124 (NaN, as pandas says "no row")
            found.append((str(column), f"{column}: {row.get('check')} ({row.get('failure_case')})"))
        else:
            mask = masks.setdefault(str(column), np.zeros(batch.num_rows, np.bool_))
            mask[int(index)] = True
    return found + list(masks.items())
