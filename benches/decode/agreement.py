"""Whether ours and a peer read the same: what was written, added up, beside what each of them found in a small file.

`python -m benches.decode.agreement FORM FILE ROWS`
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.decode.data import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from benches.decode.contestants import Form

_TOLERANCE = 1e-3
"""Of the sum of features: some formats hold float64, others float32."""
_IDS, _LABELS = {"id", "__key__"}, {"label", "cls"}


@dataclass
class Sums:
    """What the columns of a file add up to.

    Args:
        rows: Records.
        ids: Sum of `id`.
        labels: Sum of `label`.
        features: Sum of all features of all records.
        characters: Of all texts.
    """

    rows: int = 0
    ids: int = 0
    labels: int = 0
    features: float = 0.0
    characters: int = 0

    def agrees(self, other: Sums) -> bool:
        """Tell whether both are of the same records."""
        exact = ("rows", "ids", "labels", "characters")
        same = all(getattr(self, name) == getattr(other, name) for name in exact)
        return same and math.isclose(self.features, other.features, abs_tol=_TOLERANCE)


def of_records(records: Iterable[Mapping[str, Any]]) -> Sums:
    """Add up records of `id`, `label`, `features` and `text`, each a mapping."""
    found = Sums()
    for record in records:
        found.rows += 1
        found.ids += int(record["id"])
        found.labels += int(record["label"])
        found.features += float(np.sum(record["features"], dtype=np.float64))
        found.characters += len(record["text"])
    return found


def of_batches(batches: Iterable[pa.RecordBatch]) -> Sums:
    """Add up Arrow's columns, whatever form the features have."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = Sums()
    for batch in batches:
        found.rows += batch.num_rows
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            values = column.storage if isinstance(column, pa.ExtensionArray) else column
            while pa.types.is_nested(values.type):
                values = values.flatten()
            if name in _IDS:
                found.ids += pc.sum(values.cast(pa.int64())).as_py()
            elif name in _LABELS:
                found.labels += pc.sum(values).as_py()
            elif pa.types.is_floating(values.type):
                found.features += float(values.to_numpy(zero_copy_only=False).sum(dtype=np.float64))
            elif pa.types.is_binary(values.type):
                found.characters += pc.sum(pc.binary_length(values)).as_py()
            else:
                found.characters += pc.sum(pc.utf8_length(values)).as_py()
    return found


def _written(rows: int) -> Sums:
    return of_records(
        dict(zip(chunk, record, strict=True))
        for chunk in chunks(rows)
        for record in zip(*chunk.values(), strict=True)
    )


def _ours(form: Form, path: Path) -> Sums:
    import pyarrow as pa
    from nexa_data import _core

    reader = _core.SourceReader(path / form.member, form.ours)
    return of_batches(pa.record_batch(batch) for _, batch, _ in reader.batches())


def main() -> None:
    """Compare the three."""
    from benches.decode.formats import FORMS

    name, file, rows = sys.argv[1:]
    form, path = FORMS[name], Path(file)
    written, ours, peer = _written(int(rows)), _ours(form, path), form.witness(path)
    if not (ours.agrees(written) and peer.agrees(written)):
        sys.exit(f"{name}: written {written}, ours read {ours}, a peer {peer}")


if __name__ == "__main__":
    main()
