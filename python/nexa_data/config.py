"""What a user may say in a config, and the one place where it is checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from nexa_data.config_columns import Converts, PackConfig, Raggeds, Residual  # noqa: TC001 (pydantic reads annotations)
from nexa_data.config_corrupt import CorruptConfig  # noqa: TC001 (pydantic reads annotations)
from nexa_data.config_order import MixtureConfig, MixtureSource, OptionalMixture, OrderConfig
from nexa_data.config_reading import (
    ErrorPolicy,
    FormatName,
    NormalizeConfig,
    ReadConfig,
    RecordErrors,
    SplitSources,
)
from nexa_data.config_section import Count as _Count
from nexa_data.config_section import PathText as _Path
from nexa_data.config_section import Section as _Section
from nexa_data.config_section import no_bool as _no_bool
from nexa_data.config_source import ConfigSource
from nexa_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "SPLITS",
    "BatchConfig",
    "Config",
    "DataConfig",
    "ExperimentConfig",
    "LabelConfig",
    "MixtureConfig",
    "MixtureSource",
    "OrderConfig",
    "PreprocessingConfig",
    "ShardConfig",
    "SplitConfig",
    "config_schema",
    "load_config",
]

SPLITS = ("train", "validation", "test")
"""Names of the splits, in the order in which they are cut."""

_SHARE_TOLERANCE = 1e-6


def _or_text(schema: dict[str, Any]) -> None:
    """Tell editors of the short form: a single name."""
    schema["anyOf"].append({"type": "string"})


def _or_number(schema: dict[str, Any]) -> None:
    schema["type"] = ["string", "number"]


# The bound stands next to its type, before our validator: only there does it reach the JSON Schema.
_Whole = Annotated[int, Field(ge=0), BeforeValidator(_no_bool)]
_Seed = Annotated[int, Field(ge=0, lt=1 << 63), BeforeValidator(_no_bool)]
_Share = Annotated[float, Field(ge=0.0, le=1.0), BeforeValidator(_no_bool)]
_Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
# `1` and `1.0` in YAML are numbers; a version is a name.
_Version = Annotated[
    _Name,
    BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value),
    Field(json_schema_extra=_or_number),
]


class SplitConfig(_Section):
    """Shares of the records per split; they sum to 1, and zero leaves a split out."""

    train: _Share = 0.8
    """Share of the records that the model is trained on."""
    validation: _Share = 0.1
    """Share that decides about hyperparameters."""
    test: _Share = 0.1
    """Share held out to the end."""
    column: str | None = None
    """Column that names each record's split (`train`, `val`, `test`, …), instead of shares."""
    group: str | None = None
    """Column whose equal values stay together: no group is in two splits."""
    stratify: bool = False
    """Meet the shares within each class."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        shares = self.model_fields_set & set(SPLITS)
        if self.column is not None and (shares or self.group is not None or self.stratify):
            raise ValueError(
                "column: the source says which split a record is in; leave the rest of `split` out"
            )
        if self.stratify and self.group is not None:
            raise ValueError("stratify and group exclude each other: a group may hold several classes")
        return self

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1.0) > _SHARE_TOLERANCE:
            raise ValueError(
                f"the shares sum to {total:g}, not 1 (a split that isn't named has its default share)"
            )
        return self

    def shares(self) -> dict[str, float]:
        """Return the share per split, in the order of `SPLITS`."""
        return {name: getattr(self, name) for name in SPLITS}


class LabelConfig(_Section):
    """Which column is the label, and what kind of label it is."""

    column: str = "label"
    """Name of the column in the source."""
    kind: Literal["class", "float", "multi_hot", "distribution"] = "class"
    """`class`: one class id (int64); `float`: a number (float32); `multi_hot` and `distribution`: a float32 vector."""


def _text_keys(value: object) -> object:
    """Return a mapping with its keys as text: YAML reads `10:` and `true:` as something else."""
    if not isinstance(value, dict):
        return value
    return {str(key).lower() if isinstance(key, bool) else str(key): item for key, item in value.items()}


def _label(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


_Label = Annotated[LabelConfig, BeforeValidator(_label)]
_OptionalLabel = Annotated[_Label | None, Field(json_schema_extra=_or_text)]


class PreprocessingConfig(_Section):
    """How records become features and a label."""

    features: Annotated[
        list[str] | None,
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        Field(json_schema_extra=_or_text),
    ] = None
    """Columns, scalar or vector, joined in their order to one float32 vector; default: all numeric ones but the label."""
    label: _OptionalLabel = None
    """Label column, or `{column, kind}`; default `label`; null if there is none."""
    label_map: Annotated[dict[str, _Whole] | None, BeforeValidator(_text_keys)] = None
    """Class id for each label value as text; default: integers as they are, strings in sorted order."""
    columns: list[str] = Field(default_factory=list)
    """Further columns to keep as they are: text, bytes, tokens, ids; batches name them in `batch.columns`."""
    dtype: Literal["float32", "float64", "float16", "uint8", "int8", "uint16", "int16", "int32", "int64"] = (
        "float32"
    )
    """Type of the features in the shards; a number that it can't hold is a bad record."""
    normalize: Literal["standard", "minmax"] | NormalizeConfig | None = None
    """Features become `(x - mean) / std`: `standard` and `minmax` find the numbers in train; or `{mean, std}`."""
    key: str | None = None
    """Column whose value decides about the split, so that equal keys never part; default: source file and row."""
    seed: _Seed = 0
    """Seed of the split, of the order of each epoch, and of synthetic data."""
    num_samples: _Count = 10_000
    """Records of synthetic data."""
    num_features: _Count = 32
    """Features of synthetic data."""
    num_classes: Annotated[int, Field(ge=2), BeforeValidator(_no_bool)] | None = None
    """Number of classes: of synthetic data (default 10), or the bound that labels are checked against."""
    class_sep: Annotated[float, Field(gt=0.0), BeforeValidator(_no_bool)] = 1.0
    """Distance between the class centres of synthetic data, in standard deviations of a feature."""
    n_informative: _Count | None = None
    """Features of synthetic data that tell the classes apart, the first ones; default: all but the redundant."""
    n_redundant: _Whole = 0
    """Features of synthetic data that are sums of the informative ones; the rest is noise."""
    n_clusters_per_class: _Count = 1
    """Clusters of each class of synthetic data."""
    weights: list[_Share] | None = None
    """Share of each class of synthetic data; default: equal."""
    flip_y: _Share = 0.0
    """Share of the records of synthetic data whose label is drawn anew."""
    corrupt: CorruptConfig | None = None
    """Faults that synthetic data gets, at known rates: `{missing: 0.01, duplicates: 0.05}`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Whatever a builder of your own wants to know; part of the key."""

    @model_validator(mode="after")
    def _normalizes_floats(self) -> Self:
        if self.normalize is not None and not self.dtype.startswith("float"):
            raise ValueError(
                f"normalize makes fractions, which {self.dtype} can't hold; choose a float as dtype"
            )
        return self

    @field_validator("features")
    @classmethod
    def _distinct(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and (not value or len(set(value)) != len(value)):
            raise ValueError("name at least one column, and each only once")
        return value


class ShardConfig(_Section):
    """How large a shard may grow; the first bound that is reached closes it."""

    rows: _Count | None = None
    """Records per shard."""
    bytes: _Count = 128 * 1024 * 1024
    """Bytes of payload per shard."""


class BatchConfig(_Section):
    """The form of a batch."""

    as_: Literal["tuple", "dict"] | None = Field(default=None, alias="as")
    """`tuple`: `(features, labels)`; `dict`: by column name; default: `dict` if there is more than features and label."""
    columns: list[str] | None = None
    """Columns to load; default: features and label."""
    convert: Converts = Field(default_factory=dict)
    """Another type of numbers, per column, made in the pass that assembles: `{features: {dtype: float32, scale: 0.0039}}`."""
    ragged: Raggeds = Field(default_factory=dict)
    """Form of columns of lists: `{tokens: {as: padded, to: [128, 512], value: 0}}`; default: `(values, offsets)`."""
    residual: Residual | None = None
    """Labels that are stored as their largest probabilities: what becomes of the rest. `renormalize` scales them to sum
    to 1, `spread` gives it to all other classes, `class` to one more, `keep` to nobody; default: as the dataset says."""
    pack: PackConfig | None = None
    """Sequences packed into rows of one length: `{column: tokens, length: 2048}`; a batch is then of rows."""
    tail: Literal["drop", "keep", "repeat", "pad"] | None = None
    """Last, shorter batch: default `drop` for train (of more than one batch) and `keep` for the other splits; `repeat` fills
    it up from the epoch's beginning; `pad` too, and gives each batch a boolean mask, True for what counts."""

    @property
    def as_dict(self) -> bool:
        """Whether batches are mappings."""
        if self.as_ is not None:
            return self.as_ == "dict"
        return not set(self.columns or ()) <= {"features", "label"}

    @model_validator(mode="after")
    def _packs_alone(self) -> Self:
        pack = self.pack
        if pack is None:
            return self
        if self.columns not in (None, [pack.column]):
            raise ValueError(
                f"pack: rows of packed {pack.column!r} have no other columns; leave `columns` out"
            )
        if self.convert or self.ragged:
            raise ValueError("pack: say the type in pack.dtype, and leave `convert` and `ragged` out")
        return self


class DataConfig(_Section):
    """The section `data:`."""

    dataset_name: _Name
    """A registered dataset (`synthetic`, `digits`, your own), or with `source_uri` any name."""
    dataset_version: _Version = "1"
    """Your version of it; part of the artifact's name."""
    source_uri: _Path | list[_Path] | SplitSources | None = None
    """File, folder or glob, or a list of these, relative to the working directory; or these for each split."""
    format: FormatName | None = None
    """Format of the source; default: recognised from content and name."""
    read: ReadConfig = ReadConfig()
    """How files are read whose format leaves something open: types, separators, missing values."""
    batch_size: _Count = 32
    """Records per batch and rank."""
    global_batch_size: _Count | None = None
    """Records per batch over all ranks, instead of `batch_size`: batches are then the same for every world size."""
    num_workers: _Whole | None = None
    """Another name for `threads`, as other loaders call it; no worker processes are started."""
    threads: _Count | None = None
    """Threads of the native core; default: automatic, from the CPUs of this container and LOCAL_WORLD_SIZE."""
    shuffle: bool = True
    """Draw a new order for each epoch of train."""
    pin_memory: bool = False
    """Put batches into page-locked memory where there is a device to pin for."""
    split: SplitConfig = SplitConfig()
    """Shares of the splits."""
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    """From records to features and label."""
    label: _OptionalLabel = None
    """The same as `preprocessing.label`."""
    augmentations: list[str | dict[str, Any]] = Field(default_factory=list)
    """Augmentations of train batches, by name: `[{gaussian_noise: {std: 0.1}}, feature_dropout]`."""
    filters: list[dict[str, Any]] = Field(default_factory=list)
    """Which records are kept: `[{label: {allow: [0, 1]}}]`."""
    checks: list[str | dict[str, Any]] = Field(default_factory=list)
    """Rules that the data must pass before it is published: `[{max_nan_share: 0}]`."""
    batch: BatchConfig = BatchConfig()
    """Form of a batch."""
    order: OrderConfig = OrderConfig()
    """Order of an epoch."""
    shards: ShardConfig = ShardConfig()
    """Size of a shard."""
    mixture: OptionalMixture = None
    """Several prepared datasets in one loader: `[{artifact: runs/a/…/latest, weight: 0.7}, …]`."""
    on_error: ErrorPolicy = RecordErrors()
    """What a broken record does: `fail` ends the run before anything is published; `skip`; `quarantine`."""
    cache_dir: _Path | None = None
    """Local folder that loaders stage the dataset to and read it from, for example `${oc.env:SLURM_TMPDIR,null}`."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if self.threads is not None and self.num_workers and self.threads != self.num_workers:
            raise ValueError("threads and num_workers are two names of one setting and differ; keep one")
        if self.global_batch_size is not None and "batch_size" in self.model_fields_set:
            raise ValueError(
                "batch_size (per rank) and global_batch_size (over all ranks) exclude each other"
            )
        if self.mixture is not None:
            self._alone()
        if isinstance(self.source_uri, dict) and (not self.source_uri or "split" in self.model_fields_set):
            raise ValueError("source_uri names the files of each split: name some, and leave `split` out")
        label_kind = self.label_config and self.label_config.kind
        if self.split.stratify and label_kind != "class":
            raise ValueError("split.stratify wants class labels; set label.kind to class, or leave it out")
        if label_kind is None:
            self._without_label()
        label = self.preprocessing.label
        if self.label is not None and label is not None and self.label != label:
            raise ValueError("label and preprocessing.label differ; keep one")
        return self

    def _without_label(self) -> None:
        """Refuse what wants a label where there is none."""
        for name, wanted in {
            "augmentations": bool(self.augmentations),
            "order.balance": self.order.balance is not None,
            "preprocessing.label_map": self.preprocessing.label_map is not None,
            "batch.columns": "label" in (self.batch.columns or ()),
        }.items():
            if wanted:
                raise ValueError(f"{name} wants a label, and label is null; name its column, or leave it out")

    def _alone(self) -> None:
        """Refuse what a mixture of prepared datasets would silently ignore."""
        for name, remedy in {
            "source_uri": "a mixture reads what is prepared; prepare it, and name the artifact",
            "filters": "name filters at the mixture's sources",
            "checks": "sources were checked when they were prepared",
            "cache_dir": "stage the sources, and name the staged folders",
        }.items():
            if getattr(self, name):
                raise ValueError(f"mixture and {name} exclude each other: {remedy}")
        if self.order.mode == "block" or self.order.balance:
            raise ValueError(
                "a mixture's order is full or none, and not balanced; leave the rest of `order` out"
            )

    @property
    def label_config(self) -> LabelConfig | None:
        """The label, wherever it was named; None where `label: null` says that there is none."""
        named = self.label or self.preprocessing.label
        silent = "label" not in self.model_fields_set | self.preprocessing.model_fields_set
        return LabelConfig() if named is None and silent else named

    @field_serializer("label")
    def _label_in_force(self, _: object) -> LabelConfig | None:
        """Write the label that holds: a null would be read as none."""
        return self.label_config

    @property
    def n_threads(self) -> int | None:
        """Threads of the native core, None for automatic."""
        return self.threads or self.num_workers or None

    @property
    def sources(self) -> list[str]:
        """All that `source_uri` names, as a list."""
        uri = self.source_uri
        if isinstance(uri, dict):
            return [each for part in uri.values() for each in _as_list(part)]
        return _as_list(uri)

    @property
    def split_sources(self) -> dict[str, list[str]] | None:
        """What `source_uri` names for each split, None where it doesn't say."""
        uri = self.source_uri
        return {split: _as_list(each) for split, each in uri.items()} if isinstance(uri, dict) else None

    @property
    def cuts_by_share(self) -> bool:
        """Whether it is the shares of `split` that say which splits there are."""
        return self.mixture is None and self.split_sources is None and self.split.column is None

    def content(self) -> dict[str, Any]:
        """Return, for the key, what changes the data; settings of the loader are not in it.

        Defaults are left out, so that a key that is new here with a default changes nobody's artifacts.
        """
        kept = {
            "dataset_name",
            "dataset_version",
            "source_uri",
            "format",
            "read",
            "on_error",
            "split",
            "filters",
            "checks",
            "shards",
        }
        content = self.model_dump(mode="json", include=kept, exclude_defaults=True)
        content["preprocessing"] = self.preprocessing.model_dump(
            mode="json", exclude={"label"}, exclude_defaults=True
        )
        content["label"] = self.label_config and self.label_config.model_dump(mode="json")
        return content


def _as_list(uri: str | list[str] | None) -> list[str]:
    return [] if uri is None else [uri] if isinstance(uri, str) else list(uri)


class ExperimentConfig(_Section):
    """The section `experiment:`."""

    name: _Name = "default"
    """Name of the experiment; artifacts lie below it."""
    output_dir: _Path = "runs"
    """Root of the store; relative to the working directory."""
    tags: list[str] | dict[str, str] = Field(default_factory=list)
    """Free words; kept in the artifact's inputs."""


class Config(BaseModel):
    """A whole config; further top-level sections (`model`, `training`, …) belong to others and are let be."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    data: DataConfig
    experiment: ExperimentConfig = ExperimentConfig()

    _origin: str = PrivateAttr(default="<config>")

    @property
    def origin(self) -> str:
        """Where it was read from, for messages."""
        return self._origin

    @property
    def store(self) -> Path:
        """Folder that holds the versions of this dataset."""
        experiment = self.experiment
        root = Path(experiment.output_dir).expanduser()
        return root / experiment.name / "datasets" / self.data.dataset_name

    @property
    def seed(self) -> int:
        """Seed of splits and orders."""
        return self.data.preprocessing.seed


def load_config(
    config: Path | str | Mapping[str, Any] | Config, *, overrides: Sequence[str] | Mapping[str, Any] = ()
) -> Config:
    """Read, resolve and check a config.

    Args:
        config: Path of a YAML file, a mapping of the same form, or a config, which is taken as it is.
        overrides: Changes as `["data.batch_size=64"]` or `{"data.batch_size": 64}`.

    Returns:
        The checked, frozen config.

    Raises:
        ShardNotFoundError: There is no such file.
        ConfigError: It is malformed, has an unknown key in `data:` or `experiment:`, or an impossible value;
            the message names file, line, key and the nearest known key, for every fault found.

    Example:
        >>> load_config({"data": {"dataset_name": "synthetic"}}).data.batch_size
        32
    """
    if isinstance(config, Config):
        if not overrides:
            return config
        origin = config.origin
        config = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    else:
        origin = None
    source = ConfigSource.read(config, overrides, origin=origin)
    try:
        checked = Config.model_validate(source.sections("data", "experiment"))
    except ValidationError as error:
        raise ConfigError(source.explain(error, Config)) from error
    checked._origin = source.origin  # noqa: SLF001 (a private attribute is the only one that a frozen model lets us set)
    return checked


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of a config, for editors."""
    schema = Config.model_json_schema(by_alias=True)
    # The short form of a mixture: its sources alone.
    schema["$defs"]["DataConfig"]["properties"]["mixture"]["anyOf"].append(
        {"type": "array", "items": {"$ref": "#/$defs/MixtureSource"}}
    )
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "nexa-data config"
    return schema
