"""What the rules say of rows as they pass: those that statistics can't answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from nexa_data import _core
from nexa_data.errors import ConfigError, RecordError
from nexa_data.findings import Finding
from nexa_data.quality.custom import registered_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    from nexa_data.quality.checks import Check

__all__ = ["RowChecks"]

_ROWS_TOLD = 10
_BOUND_BYTES = 64 << 20

_Mask = Any
"""A boolean array: of pyarrow, null where a value is, or of numpy; or None."""


@dataclass(slots=True)
class _Broken:
    """How often a rule was broken by a column in a split."""

    count: int = 0
    total: int = 0
    rows: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


class RowChecks:
    """Holds rules against rows, batch by batch.

    Args:
        checks: All rules; those that statistics answer are passed over.
        folder: Where hashes of values go that `unique` has no memory for.

    Example:
        >>> import pyarrow as pa
        >>> from nexa_data.quality.checks import parse_checks
        >>> rules = RowChecks(parse_checks([{"allowed": {"column": "colour", "value": ["red", "blue"]}}]))
        >>> rules.add("train", 0, pa.record_batch({"colour": ["red", "green"]}))
        >>> [(finding.code, finding.count, finding.rows) for finding in rules.findings()]
        [('not-allowed', 1, (1,))]
    """

    def __init__(self, checks: Sequence[Check], folder: Path | str = ".") -> None:
        own = registered_checks()
        self._rules = [
            (check, _RULES.get(check.name) or _own_rule(own[check.name]))
            for check in checks
            if (check.name in _RULES and _looks(check)) or check.name in own
        ]
        self._broken: dict[tuple[int, str, str], _Broken] = {}
        self._unique = {
            number: _Unique(check, folder) for number, check in enumerate(checks) if check.name == "unique"
        }
        self._lock = Lock()

    def __bool__(self) -> bool:
        """Say whether any rule has to see rows."""
        return bool(self._rules or self._unique)

    def add(self, split: str, first_row: int, batch: pa.RecordBatch, label: str | None = None) -> None:
        """Take in rows.

        Args:
            split: Name of the split.
            first_row: Number of the first row in it.
            batch: Columns as the rules name them.
            label: Column that rules are about only if they name it.

        Raises:
            ConfigError: A rule names a column that isn't there, or fits none of that type.
            RecordError: A user's own rule raised, or returned something else than a mask.
        """
        with self._lock:
            features = batch if label not in batch.schema.names else batch.drop_columns([label])
            for number, (check, rule) in enumerate(self._rules):
                named = check.columns or check.name not in _RULES
                for column, mask in rule(check, batch if named else features):
                    self._note((number, split, column), first_row, batch.num_rows, mask)
            for unique in self._unique.values():
                unique.add(split, first_row, batch)

    def _note(self, key: tuple[int, str, str], first_row: int, rows: int, mask: _Mask) -> None:
        broken = self._broken.setdefault(key, _Broken())
        broken.total += rows
        if isinstance(mask, str):
            broken.said.append(mask)
            return
        bad = np.flatnonzero(_as_numpy(mask, rows))
        broken.count += len(bad)
        room = _ROWS_TOLD - len(broken.rows)
        broken.rows += [first_row + int(row) for row in bad[: max(room, 0)]]

    def findings(self) -> list[Finding]:
        """Return what was found; nothing can be added after."""
        found = [
            finding
            for (number, split, column), broken in self._broken.items()
            for finding in _told(self._rules[number][0], split, column, broken)
        ]
        return found + [finding for unique in self._unique.values() for finding in unique.findings()]


def _told(check: Check, split: str, column: str, broken: _Broken) -> Iterator[Finding]:
    own = (check.name, f"break the rule {check.name}", "correct or drop them")
    code, what, remedy = _SAID.get(check.name, own)
    for text in dict.fromkeys(broken.said):
        yield Finding(code, check.severity, f"{split}: {text}", column=column or None, remedy=remedy)
    if not check.tolerates(broken.count, broken.total):
        place = f"{column} in {split}" if column else split
        share = broken.count / broken.total
        yield Finding(
            code,
            check.severity,
            f"{broken.count:,} of {broken.total:,} values of {place} {what.format(**_shown(check))} "
            f"({share:.2%}, allowed {check.tolerance})",
            column=column or None,
            count=broken.count,
            share=share,
            rows=tuple(sorted(broken.rows)),
            remedy=remedy,
        )


def _looks(check: Check) -> bool:
    return check.name != "range" or check.max_share is not None or check.max_count is not None


def _shown(check: Check) -> dict[str, str]:
    low, high = check.options.get("min"), check.options.get("max")
    return {
        "value": str(check.value),
        "range": f"[{'-inf' if low is None else low}, {'inf' if high is None else high}]",
    }


def _as_numpy(mask: _Mask, rows: int) -> npt.NDArray[np.bool_]:
    import pyarrow as pa

    if isinstance(mask, pa.ChunkedArray):
        mask = mask.combine_chunks()
    # A value that is missing breaks no rule but `not_null`.
    values = (
        mask.fill_null(False).to_numpy(zero_copy_only=False)
        if isinstance(mask, pa.Array)
        else np.asarray(mask)
    )
    if values.shape != (rows,) or values.dtype != np.bool_:
        raise RecordError(
            f"a rule returned an array of shape {values.shape} and type {values.dtype} for {rows} rows",
            remedy="return a boolean for each row: True if it breaks the rule",
        )
    return values


def _chosen(
    check: Check, batch: pa.RecordBatch, fits: Callable[[pa.DataType], bool] = lambda _: True
) -> list[str]:
    names = check.chosen(batch.schema.names)
    if check.columns and not names:
        raise ConfigError(
            f"checks.{check.name}: there is no column {', '.join(check.columns)}",
            remedy=f"known: {', '.join(batch.schema.names[:50])}",
        )
    usable = [name for name in names if fits(batch.schema.field(name).type)]
    if check.columns and not usable:
        raise ConfigError(
            f"checks.{check.name}: column {names[0]!r} is a {batch.schema.field(names[0]).type}",
            remedy="name a column that the rule fits",
        )
    return usable


def _allowed(check: Check, batch: pa.RecordBatch) -> list[tuple[str, _Mask]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = []
    for name in _chosen(check, batch):
        values = batch[name]
        try:
            wanted = pa.array(check.value).cast(values.type)
        except pa.ArrowInvalid as error:
            raise ConfigError(
                f"checks.allowed: {check.value} are no values of column {name!r}, a {values.type}",
                remedy="write values of its type",
            ) from error
        found.append((name, pc.and_(pc.invert(pc.is_in(values, wanted)), pc.is_valid(values))))
    return found


def _regex(check: Check, batch: pa.RecordBatch) -> list[tuple[str, _Mask]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    def text(kind: pa.DataType) -> bool:
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

    try:
        re.compile(check.value)
        # The whole value has to match, as with `re.fullmatch`.
        return [
            (name, pc.invert(pc.match_substring_regex(batch[name], f"^(?:{check.value})$")))
            for name in _chosen(check, batch, text)
        ]
    except (re.error, pa.ArrowInvalid) as error:
        raise ConfigError(f"checks.regex: {check.value!r} is no regular expression: {error}") from error


def _in_range(check: Check, batch: pa.RecordBatch) -> list[tuple[str, _Mask]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    def number(kind: pa.DataType) -> bool:
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

    found = []
    low, high = check.options.get("min"), check.options.get("max")
    for name in _chosen(check, batch, number):
        values = batch[name]
        below = None if low is None else pc.less(values, pa.scalar(low))
        above = None if high is None else pc.greater(values, pa.scalar(high))
        found.append((name, above if below is None else below if above is None else pc.or_(below, above)))
    return found


def _shape(check: Check, batch: pa.RecordBatch) -> list[tuple[str, _Mask]]:
    found: list[tuple[str, _Mask]] = []
    for name in _chosen(check, batch):
        kind = batch.schema.field(name).type
        shape = list(getattr(kind, "shape", None) or ([kind.list_size] if hasattr(kind, "list_size") else []))
        if shape != check.value:
            found.append((name, f"{name} is of shape {shape}, not {check.value}"))
    return found


def _own_rule(rule: Any) -> Callable[[Check, pa.RecordBatch], list[tuple[str, _Mask]]]:
    def hold(check: Check, batch: pa.RecordBatch) -> list[tuple[str, _Mask]]:
        try:
            if hasattr(rule, "validate") and not isinstance(rule, type(hold)):
                from nexa_data.quality.schemas import schema_failures

                return schema_failures(rule, batch)
            found = rule(batch)
        except Exception as error:
            if isinstance(error, ConfigError):
                raise
            raise RecordError(f"the rule {check.name} raised {type(error).__name__}: {error}") from error
        return [] if found is None else [("", found)]

    return hold


class _Unique:
    """Values that may not come twice, in any split."""

    def __init__(self, check: Check, folder: Path | str) -> None:
        self._check = check
        self._folder = folder
        self._columns: dict[str, _core.Duplicates] = {}
        self._rows: dict[str, int] = {}
        self._splits: list[str] = []

    def add(self, split: str, first_row: int, batch: pa.RecordBatch) -> None:
        """Take in rows."""
        if split not in self._splits:
            self._splits.append(split)
        for name in _chosen(self._check, batch):
            held = self._columns.get(name)
            if held is None:
                held = self._columns[name] = _core.Duplicates(folder=self._folder, bound_bytes=_BOUND_BYTES)
            # A value that is missing is none, and may be missing twice.
            for start, end in _valid_runs(batch[name]):
                held.add(0, first_row + start, batch.select([name]).slice(start, end - start), [name])
            self._rows[name] = self._rows.get(name, 0) + batch.num_rows

    def findings(self) -> list[Finding]:
        """Return what was found."""
        found = []
        for name, held in self._columns.items():
            duplicates, _, groups, _, _ = held.finish(1)
            count, total = duplicates[0], self._rows[name]
            if not self._check.tolerates(count, total):
                rows = sorted({row for _, places in groups for _, row, _ in places})
                found.append(
                    Finding(
                        "not-unique",
                        self._check.severity,
                        f"{count:,} of {total:,} values of {name} were there before "
                        f"({count / total:.2%}, allowed {self._check.tolerance})",
                        column=name,
                        count=count,
                        share=count / total,
                        rows=tuple(rows[:_ROWS_TOLD]),
                        remedy="drop the repeated records, or correct the key",
                    )
                )
        return found


def _valid_runs(values: pa.Array) -> list[tuple[int, int]]:
    """Return where values without a gap begin and end."""
    if not values.null_count:
        return [(0, len(values))] if len(values) else []
    valid = np.concatenate([[False], values.is_valid().to_numpy(zero_copy_only=False), [False]])
    changes = np.flatnonzero(valid[1:] != valid[:-1])
    return [(int(start), int(end)) for start, end in zip(changes[::2], changes[1::2], strict=True)]


_RULES: dict[str, Callable[[Check, pa.RecordBatch], list[tuple[str, _Mask]]]] = {
    "allowed": _allowed,
    "range": _in_range,
    "regex": _regex,
    "shape": _shape,
}

_SAID = {
    "allowed": ("not-allowed", "are none of {value}", "correct them, or add them to checks.allowed"),
    "range": ("out-of-range", "lie outside {range}", "clip or scale the source, or widen checks.range"),
    "regex": ("no-match", "don't match {value}", "correct them, or the expression"),
    "shape": ("wrong-shape", "", "reshape the source, or correct checks.shape"),
}
