"""A first config for somebody's data: which columns are features, which is the label, and why it was guessed so."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from nexa_data.config import SPLITS
from nexa_data.errors import NexaError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from nexa_data.datasets.rows import RowSource
    from nexa_data.datasets.source_file import SourceFile

__all__ = ["Scaffold", "scaffold"]

_Shares = tuple[float, float, float]

_LABEL_NAMES = (
    "label",
    "labels",
    "target",
    "targets",
    "class",
    "y",
    "species",
    "category",
    "outcome",
    "diagnosis",
    "label_probs",
    "teacher_probs",
)
_ID_NAMES = frozenset(
    {"id", "ids", "idx", "index", "row", "rowid", "key", "uuid", "guid", "no", "nr", "number"}
)
_SPLITS = ((0.8, 0.1, 0.1), (0.8, 0.0, 0.2), (0.5, 0.0, 0.5), (1.0, 0.0, 0.0))
_SAMPLE_ROWS = 100_000
_TRIED_PARTS = 64
_MOST_CLASSES = 1_000
_FEW_VALUES = 50
_SHOWN_VALUES = 5


@dataclass(frozen=True, slots=True)
class Scaffold:
    """A config as text, and the guesses behind it.

    Args:
        text: The commented YAML.
        guesses: A line for each guess: what and why.
        warnings: What will keep the config from preparing.
    """

    text: str
    guesses: list[str]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class _Column:
    """What a sample of a column shows."""

    name: str
    type: pa.DataType
    values: pa.ChunkedArray
    distinct: int | None

    @property
    def kind(self) -> str:
        """`integer`, `float`, `bool`, `text`, `vector` or `other`."""
        import pyarrow as pa

        inner = self.type.value_type if isinstance(self.type, pa.FixedShapeTensorType) else self.type
        nested = inner is not self.type
        while pa.types.is_list(inner) or pa.types.is_large_list(inner) or pa.types.is_fixed_size_list(inner):
            inner, nested = inner.value_type, True
        number = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner)
        if nested:
            return "vector" if number else "other"
        if pa.types.is_integer(inner):
            return "integer"
        if pa.types.is_floating(inner):
            return "float"
        if pa.types.is_boolean(inner):
            return "bool"
        text = pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_dictionary(inner)
        return "text" if text else "other"

    @property
    def n(self) -> int:
        """Rows of the sample."""
        return len(self.values)

    def whole(self) -> bool:
        """Whether all numbers are whole."""
        import pyarrow.compute as pc

        if self.kind in {"integer", "bool"}:
            return True
        present = self.values.drop_null()
        return self.kind == "float" and bool(pc.all(pc.equal(pc.floor(present), present)).as_py())

    def lengths(self) -> set[int]:
        """Lengths of a vector's values; -1 for null."""
        import pyarrow.compute as pc

        values = self.values
        if hasattr(self.type, "storage_type"):
            return {-1 if values.null_count else 0}
        return {-1 if each is None else each for each in pc.list_value_length(values).unique().to_pylist()}

    def is_id(self) -> bool:
        """Whether it names or counts the rows rather than describing them."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.kind != "integer" or self.distinct != self.n or self.n < 2:  # noqa: PLR2004 (one row is always distinct)
            return False
        bare = self.name.strip().lower()
        if (
            bare in _ID_NAMES
            or bare.endswith(("_id", "-id", " id"))
            or bare.startswith("unnamed")
            or not bare
        ):
            return True
        first = self.values[0].as_py()
        counting = pa.array(range(first or 0, (first or 0) + self.n), pa.int64())
        values = self.values.cast(pa.int64(), safe=False)
        return first in {0, 1} and bool(pc.all(pc.equal(values, counting)).as_py())


@dataclass(frozen=True, slots=True)
class _Label:
    column: _Column
    kind: str
    why: str
    mapping: dict[str, int] | None = None


def scaffold(uris: Sequence[str]) -> Scaffold:
    """Look at a source and write a config that loads and prepares as it is.

    Args:
        uris: Files, folders or globs, as `source_uri` takes them.

    Raises:
        ShardNotFoundError: Nothing matches.
        RecordError: A file is damaged, empty, or holds no numbers to learn from.
    """
    from nexa_data.datasets.decoding import row_source
    from nexa_data.datasets.files import find_files, recognise

    files = find_files(uris)
    source = row_source(uris)
    columns = _columns(source)
    label = _guess_label(columns)
    features, left_out = _choose_features(columns, label.column.name)
    if not features:
        raise RecordError(
            f"{source.where}: no column beside {label.column.name!r} holds numbers",
            remedy="encode text as numbers first, or store vectors",
        )
    formats = {recognise(file.path) for file in files}
    text, shares, refused = _fitting(
        lambda shares: _text(uris, files, formats, features, left_out, label, shares)
    )
    guesses = [
        f"format {' and '.join(sorted(formats))}: by content, else by name",
        f"label {label.column.name!r} ({label.kind}): {label.why}",
        f"features ({len(features)}): {_listed(features)}; all other columns of numbers",
        *(f"left out {name!r}: {why}" for name, why in left_out.items()),
        f"split {'/'.join(f'{share:g}' for share in shares)}: "
        + ("the default" if shares == _SPLITS[0] else "so few rows that a smaller share would stay empty"),
    ]
    return Scaffold(
        text, guesses, [f"`nexa-data prepare` will refuse this data: {refused}"] if refused else []
    )


def _columns(source: RowSource) -> list[_Column]:
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    held = 0
    for rows in source.batches():
        batches.append(rows.batch.slice(0, _SAMPLE_ROWS - held))
        held += batches[-1].num_rows
        if held >= _SAMPLE_ROWS:
            break
    if not held:
        raise RecordError(
            f"{source.where}: no records", remedy="a config is guessed from what is in the data"
        )
    table = pa.Table.from_batches(batches, source.schema)
    return [
        _Column(name, table.schema.field(name).type, table[name], _distinct(table[name]))
        for name in table.column_names
    ]


def _distinct(values: pa.ChunkedArray) -> int | None:
    import pyarrow as pa

    try:
        return len(values.unique())
    except pa.ArrowNotImplementedError:
        return None  # vectors aren't compared


def _guess_label(columns: Sequence[_Column]) -> _Label:
    by_name = {column.name.strip().lower(): column for column in reversed(columns)}
    for name in _LABEL_NAMES:
        if name in by_name:
            return _label(by_name[name], f"by its name, {by_name[name].name!r}")
    for column in reversed(columns):
        if column.kind in {"integer", "bool", "text"} and _is_few(column):
            return _label(
                column, f"the last column with few distinct values ({column.distinct} in {column.n:,} rows)"
            )
    for column in reversed(columns):
        if column.kind in {"integer", "float"} and not column.is_id():
            return _label(column, "no column has few distinct values, so the last number is to be predicted")
    raise RecordError(
        f"no column can be a label: {', '.join(f'{column.name} ({column.type})' for column in columns)}",
        remedy="add a column of class names, class ids or numbers; or write a config with `label: null`",
    )


def _is_few(column: _Column) -> bool:
    return column.distinct is not None and 1 < column.distinct <= min(_FEW_VALUES, max(2, column.n // 2))


def _label(column: _Column, why: str) -> _Label:
    if column.kind == "vector":
        return _Label(column, _vector_kind(column), why)
    if column.kind not in {"integer", "float"}:
        return _Label(column, "class", why)
    most = max(_FEW_VALUES, min(_MOST_CLASSES, column.n // 10))
    if not column.whole() or (column.distinct or 0) > most:
        return _Label(
            column, "float", f"{why}; its {column.distinct:,} values are numbers rather than classes"
        )
    if column.kind == "float" and min(column.values.drop_null().to_pylist(), default=0.0) < 0:
        return _Label(column, "float", f"{why}; class ids aren't negative, so it is a number to be predicted")
    values = sorted(int(value) for value in column.values.drop_null().unique().to_pylist())
    if (
        values
        and (values[0] < 0 or values[-1] >= 2 * len(values) + _SHOWN_VALUES)
        and column.kind == "integer"
    ):
        # Ids are 0, 1, 2, …: values like -1 or 1900 are names of classes, and are numbered.
        return _Label(column, "class", why, {str(value): at for at, value in enumerate(values)})
    return _Label(column, "class", why)


def _vector_kind(column: _Column) -> str:
    rows = [row for row in column.values.slice(0, 1000).to_pylist() if row]
    if all(abs(sum(row) - 1) < 1e-3 and min(row) >= 0 for row in rows):  # noqa: PLR2004
        return "distribution"
    return "multi_hot"


def _choose_features(columns: Sequence[_Column], label: str) -> tuple[list[str], dict[str, str]]:
    chosen: list[str] = []
    left_out: dict[str, str] = {}
    for column in columns:
        if column.name == label:
            continue
        why = _why_not(column)
        if why is None:
            chosen.append(column.name)
        else:
            left_out[column.name] = why
    return chosen, left_out


def _why_not(column: _Column) -> str | None:
    if column.kind == "text":
        return "text; encode it as numbers to use it"
    if column.kind == "other":
        return f"a {column.type}, not numbers"
    if column.values.null_count == column.n:
        return "it is empty"
    if column.is_id():
        return "it names or counts the rows"
    if column.kind == "vector" and len(column.lengths()) > 1:
        return "its lists have several lengths, or some are missing"
    return None


def _fitting(draft: Callable[[_Shares], str]) -> tuple[str, _Shares, str | None]:
    """Return the first draft whose splits all have records, its shares, and why preparing it will fail, if it will."""
    import yaml

    from nexa_data.pipeline import DataPipeline

    for shares in _SPLITS:
        text = draft(shares)
        wanted = {split for split, share in zip(SPLITS, shares, strict=True) if share}
        try:
            parts = islice(DataPipeline(yaml.safe_load(text)), _TRIED_PARTS)
            if wanted <= {part.split for part in parts}:
                return text, shares, None
        except NexaError as error:
            return text, shares, str(error)
    return text, shares, None


def _text(
    uris: Sequence[str],
    files: Sequence[SourceFile],
    formats: set[str],
    features: list[str],
    left_out: dict[str, str],
    label: _Label,
    shares: _Shares,
) -> str:
    source = _yaml(uris[0]) if len(uris) == 1 else f"[{', '.join(map(_yaml, uris))}]"
    form = f"  format: {next(iter(formats))}" if len(formats) == 1 else "  # format: files of several formats"
    lines = [
        f"# Written by `nexa-data init` from {len(files)} file(s). Correct what was guessed wrongly,",
        "# then `nexa-data run` this file. All keys: `nexa-data config schema`.",
        "experiment:",
        f"  name: {_name(files)}",
        "  output_dir: runs                  # artifacts lie below it, relative to the working directory",
        "",
        "data:",
        f"  dataset_name: {_name(files)}",
        '  dataset_version: "1"              # yours to raise; part of the artifact\'s name',
        f"  source_uri: {source}",
        form,
        "  batch_size: 32                    # records per batch and rank",
        "  shuffle: true                     # a new order of train for each epoch",
        f"  split: {{train: {shares[0]:g}, validation: {shares[1]:g}, test: {shares[2]:g}}}   # by a stable hash of each record",
        "  preprocessing:",
        "    seed: 0                         # of the split and of the order of each epoch",
        *_feature_lines(features, left_out),
        *_label_lines(label),
        "  # checks:                         # rules that the data must pass before it is published",
        "  #   - max_nan_share: 0",
        "  # cache_dir: /local/nvme          # local disk that loaders stage to and read from",
        "",
    ]
    return "\n".join(lines)


def _feature_lines(features: list[str], left_out: dict[str, str]) -> list[str]:
    return [
        "    features:                       # columns of numbers, joined to one float32 vector in this order",
        *(f"      - {_yaml(name)}" for name in features),
        *(f"      # - {_yaml(name)}            # left out: {why}" for name, why in left_out.items()),
    ]


def _label_lines(label: _Label) -> list[str]:
    lines = [
        f"    # Chosen as the label: {label.why}.",
        f"    label: {{column: {_yaml(label.column.name)}, kind: {label.kind}}}   # class, float, multi_hot or distribution",
    ]
    if label.mapping:
        lines.append("    label_map:                      # class ids are 0, 1, 2, …")
        lines += [f"      {_yaml(name)}: {number}" for name, number in label.mapping.items()]
    return lines


def _yaml(text: str) -> str:
    """Return text as YAML reads it back, in one line; `$` is escaped from OmegaConf's interpolation."""
    return json.dumps(text.replace("${", "\\${"), ensure_ascii=False)


def _name(files: Sequence[SourceFile]) -> str:
    stem = files[0].path.stem if len(files) == 1 else files[0].path.resolve().parent.name
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", stem).strip("-._+")[:80] or "dataset"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN_VALUES])
    return shown if len(names) <= _SHOWN_VALUES else f"{shown}, …"
