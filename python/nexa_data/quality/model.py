"""What is known of data's quality, as it is stored and read: statistics, drift, and the report over both."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "QUANTILES",
    "REPORT_NAME",
    "REPORT_PAGE_NAME",
    "REPORT_SCHEMA_VERSION",
    "ColumnDrift",
    "ColumnQuality",
    "DriftReport",
    "DuplicateGroup",
    "Duplicates",
    "FindingEntry",
    "Histogram",
    "LabelAssociation",
    "LabelQuality",
    "Leakage",
    "QualityReport",
    "QualityStatistics",
    "RowPlace",
    "SplitQuality",
    "Target",
]

REPORT_NAME = "quality_report.json"
REPORT_PAGE_NAME = "quality_report.html"

REPORT_SCHEMA_VERSION = 1
"""Version of the form; raised when a field changes its meaning."""

QUANTILES = 257
"""Points of a column's quantile function: the probabilities 0, 1/256, …, 1."""

_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_Count = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Histogram(_Model):
    """Counts of finite values between ascending edges; each bin holds its left edge, the last both."""

    edges: tuple[float, ...]
    """n + 1 edges; the first is the least value, the last the greatest."""
    counts: tuple[_Count, ...]
    """n counts, scaled to all rows where they come from a sample."""


class ColumnQuality(_Model):
    """One column of one split; a column of vectors of F elements is F columns named `name[0]` … `name[F-1]`.

    A vector of more elements than are listed one by one is one column `name`, all its elements taken together. Of text
    and lists, `quantiles`, `histogram`, `min`, `max`, `mean` and `std` are those of the lengths: Unicode characters of
    text, bytes of binary data, elements of a list.
    """

    name: str
    kind: Literal["number", "boolean", "text", "binary", "list"]
    dtype: str
    """numpy's name for numbers, else Arrow's: `float32`, `bool`, `string`, `list<int32>`, …; of a vector its elements'."""
    values: _Count
    """Values, nulls among them: the split's rows, times the elements that are taken together."""
    nulls: _Count = 0
    nans: _Count = 0
    first_missing: _Count | None = None
    """Number in the split of the first row with a null or a NaN."""
    positive_infinities: _Count = 0
    negative_infinities: _Count = 0
    zeros: _Count = 0
    """Numbers that are 0, or texts and lists that are empty."""
    min: float | None = None
    """Least finite value; None without any. So for the next three."""
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    """Population standard deviation (ddof 0)."""
    quantiles: tuple[float, ...] | None = None
    """`QUANTILES` points of the finite values' quantile function, None without any."""
    histogram: Histogram | None = None
    outliers: _Count = 0
    """Numbers beyond the fences; scaled to all rows where quantiles are those of a sample."""
    fences: tuple[float, float] | None = None
    """Further out than the column's own tails lead one to expect; None where they are not known."""
    distinct: _Count = 0
    """Distinct values, null and NaN not among them."""
    distinct_error: float = 0.0
    """Relative standard error of `distinct`; 0 where it is exact."""
    top: tuple[tuple[str | int | float | bool, int], ...] = ()
    """Most frequent values and their counts, descending; long texts are cut short."""
    top_exact: bool = True
    """Whether the counts of `top` are exact, or scaled from a sample."""

    @property
    def finite(self) -> int:
        """Values that are numbers: neither null, nor NaN, nor infinite."""
        return self.values - self.nulls - self.nans - self.positive_infinities - self.negative_infinities


class LabelQuality(_Model):
    """The labels of one split; of those that are no classes only `kind` is said, the rest is in a column `label`."""

    kind: Literal["class", "float", "multi_hot", "distribution"]
    counts: dict[str, _Count] = Field(default_factory=dict)
    """Records of each class that has any, by class id as text."""
    names: dict[str, str] = Field(default_factory=dict)
    """Names of the classes, where the source had some."""


class SplitQuality(_Model):
    """One split."""

    rows: _Count
    sample_rows: _Count
    """Rows that quantiles, histograms and the top values of columns of many values come from; all, if there are few."""
    rank_error: _Share = 0.0
    """With probability 0.99 no quantile's rank is further off than this share of the rows; 0 where they are exact."""
    columns: tuple[ColumnQuality, ...] = ()
    label: LabelQuality | None = None

    def column(self, name: str) -> ColumnQuality | None:
        """Return a column by its name."""
        return next((each for each in self.columns if each.name == name), None)


class RowPlace(_Model):
    """Where a row is."""

    split: str
    row: _Count
    """Its number in the split, from 0, in the order of the catalog."""
    label: str | None = None
    id: str | None = None
    """Its value in the key column, where the config names one."""


class DuplicateGroup(_Model):
    """Some rows of equal features."""

    count: _Count
    """Rows of the group, also those that aren't listed."""
    rows: tuple[RowPlace, ...]
    """The first few."""


class Leakage(_Model):
    """Rows of one split whose features also stand in another."""

    split: str
    other: str
    """The split that shouldn't know them: `train` wherever it is one of the two."""
    rows: _Count
    """Rows of `split` that `other` has too."""
    share: _Share
    """The same as a share of the rows of `split`."""
    samples: tuple[tuple[RowPlace, RowPlace], ...] = ()
    """A few: the row in `split`, and one of its twins in `other`."""


class Duplicates(_Model):
    """Rows of equal features, found by 128-bit hashes of all rows."""

    rows: dict[str, _Count]
    """Of each split: rows that an earlier row of the same split equals."""
    conflicts: dict[str, _Count]
    """Of each split: rows that have a twin, in any split, with another label."""
    groups: tuple[DuplicateGroup, ...] = ()
    """Some of the largest groups within a split."""
    conflict_groups: tuple[DuplicateGroup, ...] = ()
    """Some groups of more than one label."""
    leakage: tuple[Leakage, ...] = ()


class LabelAssociation(_Model):
    """How much one column alone says of the label, found on a half of train's sample and measured on the other."""

    column: str
    score: _Share
    """Classes: share of the majority guess's errors that go away; numbers: the squared rank correlation."""


class QualityStatistics(_Model):
    """What one pass over the data found."""

    schema_version: int = REPORT_SCHEMA_VERSION
    splits: dict[str, SplitQuality]
    duplicates: Duplicates | None = None
    associations: tuple[LabelAssociation, ...] = ()
    """Of the columns that say most, descending."""

    @property
    def rows(self) -> int:
        """Rows of all splits."""
        return sum(split.rows for split in self.splits.values())


class ColumnDrift(_Model):
    """How one column, or the label (`label`), differs between a reference and the current data."""

    column: str
    split: str
    psi: float | None = None
    """Population stability index over the reference's deciles, or over the values of a column of few."""
    ks: _Share | None = None
    """Two-sample Kolmogorov–Smirnov statistic; None for values without an order."""
    js: _Share | None = None
    """Jensen–Shannon distance, base 2."""
    null_share: _Share = 0.0
    """Missing values (null and NaN) now, as a share."""
    reference_null_share: _Share = 0.0
    drifted: bool = False
    """Whether a threshold is passed by more than chance explains."""
    bins: tuple[str, ...] = ()
    """What the bins of the picture are."""
    current: tuple[_Share, ...] = ()
    """Share of the current values in each bin."""
    reference: tuple[_Share, ...] = ()


class DriftReport(_Model):
    """The current data beside a reference."""

    reference: Target
    columns: tuple[ColumnDrift, ...]
    """Those that differ most first."""
    thresholds: dict[str, float]
    """By measure."""
    added: tuple[str, ...] = ()
    """Columns that the reference doesn't have."""
    removed: tuple[str, ...] = ()
    """Columns that only the reference has."""


class FindingEntry(_Model):
    """A finding, as `nexa_data.findings.Finding` writes it."""

    code: str
    severity: Literal["warning", "error", "critical"]
    message: str
    column: str | None = None
    count: int | None = None
    share: float | None = None
    shard: str | None = None
    line: int | None = None
    rows: tuple[int, ...] = ()
    remedy: str | None = None


class Target(_Model):
    """What was looked at."""

    kind: str
    """The artifact's kind, `catalog` or `source`."""
    uri: str
    name: str | None = None
    version: str | None = None
    hash: str | None = None
    created_at: str | None = None


class QualityReport(_Model):
    """The report on one target; `quality_report.json`, and what `quality_report.html` shows."""

    schema_version: int = REPORT_SCHEMA_VERSION
    verdict: Literal["accepted", "refused"]
    fail_on: Literal["warning", "error", "critical"] = "error"
    created_at: str
    """ISO 8601, UTC."""
    target: Target
    findings: tuple[FindingEntry, ...]
    rules: tuple[dict[str, Any], ...] = ()
    """The config's `checks:`, as they were given."""
    statistics: QualityStatistics
    drift: DriftReport | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)
    """The artifact's inputs and labels, as its `meta.json` has them."""


DriftReport.model_rebuild()
