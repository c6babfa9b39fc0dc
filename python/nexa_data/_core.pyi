import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Final, Protocol, TypeAlias, TypeVar, final

from numpy.typing import NDArray

_SupportsBuffer: TypeAlias = NDArray[Any] | bytes | bytearray | memoryview
_Path: TypeAlias = str | PathLike[str]
_Record = TypeVar("_Record")

__all__ = [
    "MIXTURE_WINDOW",
    "ORDER_VERSION",
    "PACK_VERSION",
    "ArrowBatch",
    "Assembler",
    "Buffer",
    "CatalogLines",
    "Control",
    "CopyPlan",
    "CopyReport",
    "LabelFilter",
    "LabelKeys",
    "Mixture",
    "Moments",
    "Order",
    "PackedEpoch",
    "Packer",
    "RowMask",
    "Selection",
    "SourceBatches",
    "SourceReader",
    "Ticket",
    "after_fork",
    "after_fork_in_child",
    "before_fork",
    "build_info",
    "copy_files",
    "default_threads",
    "digest_file",
    "exchange_paths",
    "filesystem",
    "group_by_label",
    "probe",
    "read_catalog",
    "recognise_source",
    "select_by_label",
    "select_labels",
    "set_threads",
    "shard_info",
    "staged_name",
    "write_shard",
]

MIXTURE_WINDOW: Final[int]
ORDER_VERSION: Final[int]
PACK_VERSION: Final[int]

# A Buffer, (values, offsets or mask, items or width) of lists, or a list of str or bytes.
_Column: TypeAlias = Any

_Finding: TypeAlias = dict[str, Any]

# (record, records, offset, column, reason, raw bytes) of what could not be decoded.
_Bad: TypeAlias = tuple[int, int, int | None, str | None, str, bytes]

class _SupportsArrowSchema(Protocol):
    def __arrow_c_schema__(self) -> object: ...

class _SupportsArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

_Entry: TypeAlias = tuple[int, str, str | None, int | None, int | None, str | None, list[str], str | None]

@final
class Buffer:
    @property
    def address(self) -> int: ...
    def dlpack(self, dtype: str, shape: Sequence[int]) -> Any: ...
    def __len__(self) -> int: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class CatalogLines:
    def __len__(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    def findings(self) -> list[_Finding]: ...
    def entries(self) -> list[_Entry]: ...
    def validate(
        self,
        *,
        lines: Collection[int] | None = None,
        shards: bool = True,
        footers: bool = True,
        content: bool = False,
        for_staging: bool = False,
        control: Control | None = None,
    ) -> list[_Finding]: ...

@final
class Control:
    def __new__(cls) -> Control: ...
    def cancel(self) -> None: ...
    @property
    def bytes(self) -> int: ...
    @property
    def files(self) -> int: ...

@final
class CopyPlan:
    @property
    def engine(self) -> str: ...
    @property
    def engine_reason(self) -> str | None: ...
    @property
    def threads(self) -> int: ...
    @property
    def block_bytes(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...

@final
class CopyReport:
    @property
    def bytes(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def modified_ns(self) -> int: ...
    @property
    def inode(self) -> int: ...
    @property
    def retries(self) -> int: ...
    @property
    def read_back(self) -> bool: ...
    @property
    def source(self) -> tuple[int, int, int]: ...

@final
class LabelKeys:
    def __new__(cls, keys: _SupportsBuffer) -> LabelKeys: ...
    def mask(
        self, labels: _SupportsBuffer, dtype: str, first: int, rows: int, *, threads: int = 1
    ) -> RowMask: ...

@final
class RowMask:
    @staticmethod
    def of_bits(mask: _SupportsBuffer, first: int, rows: int) -> RowMask: ...
    @property
    def kept(self) -> int: ...
    def __len__(self) -> int: ...
    def inverted(self) -> RowMask: ...
    def valid(self, valid: _SupportsBuffer, first: int) -> RowMask: ...
    def bits(self) -> bytes: ...
    def numbers(self) -> bytes: ...
    def take(
        self, columns: Sequence[tuple[_SupportsBuffer, int, int]], *, threads: int = 1
    ) -> list[Buffer]: ...
    def take_bits(self, mask: _SupportsBuffer, first: int) -> bytes: ...

@final
class LabelFilter(Iterator[_Record]):
    def __new__(cls, records: Iterable[_Record], allowed_labels: Any) -> LabelFilter[_Record]: ...
    def __iter__(self) -> LabelFilter[_Record]: ...
    def __next__(self) -> _Record: ...

@final
class Mixture:
    def __new__(
        cls,
        records: Sequence[int],
        mixings: Sequence[tuple[int, Sequence[int], Sequence[int | None], int | str]],
    ) -> Mixture: ...
    def __len__(self) -> int: ...
    def counts(self, slots: int) -> list[int]: ...

@final
class Order:
    def __new__(
        cls,
        n: int,
        *,
        seed: int = 0,
        epoch: int = 0,
        shuffle: bool = True,
        block: int = 0,
        window: int = 1,
    ) -> Order: ...
    @staticmethod
    def mixed(
        mixture: Mixture,
        done: Sequence[int],
        *,
        seed: int = 0,
        epoch: int = 0,
        shuffle: bool = True,
        table: Selection | None = None,
    ) -> Order: ...
    def __len__(self) -> int: ...
    def record(self, position: int) -> int: ...
    def position(self, record: int) -> int | None: ...
    def records(self, start: int, rows: int) -> list[int]: ...
    def ranges(self, start: int, rows: int) -> list[tuple[int, int]]: ...

@final
class Selection:
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> int: ...

@final
class Assembler:
    def __new__(
        cls,
        shards: Sequence[tuple[_Path, int]],
        columns: Sequence[str],
        *,
        convert: Mapping[str, tuple[str, float, float]] = ...,
        pad: Mapping[str, tuple[Sequence[int], float, bool]] = ...,
        borrow: bool = False,
        direct: bool | None = ...,
        selection: Selection | None = None,
        max_idle_bytes: int = 268435456,
    ) -> Assembler: ...
    def __len__(self) -> int: ...
    @property
    def columns(self) -> list[tuple[str, str, list[int]]]: ...
    @property
    def ragged(self) -> list[tuple[str, str, str, list[int], bool]]: ...
    @property
    def record_bytes(self) -> int: ...
    @property
    def ahead(self) -> int: ...
    def pool_stats(self) -> tuple[int, int, int]: ...
    def stats(self) -> dict[str, Any]: ...
    def take(self, records: Sequence[int] | NDArray[Any]) -> tuple[_Column, ...]: ...
    def take_ordered(self, order: Order, start: int, rows: int) -> tuple[_Column, ...]: ...
    def submit(self, order: Order, start: int, rows: int) -> Ticket: ...
    def take_packed(self, epoch: PackedEpoch, start: int, rows: int) -> tuple[Buffer, ...]: ...
    def submit_packed(self, epoch: PackedEpoch, start: int, rows: int) -> Ticket: ...

@final
class Packer:
    def __new__(
        cls,
        assembler: Assembler,
        *,
        length: int,
        window: int,
        pad_id: float,
        ignore_index: float,
    ) -> Packer: ...
    def epoch(self, order: Order) -> PackedEpoch: ...

@final
class PackedEpoch:
    @property
    def rows(self) -> int: ...
    def place(self, row: int) -> tuple[int, int]: ...

@final
class Ticket:
    def wait(self) -> tuple[_Column, ...]: ...

def before_fork() -> None: ...
def after_fork() -> None: ...
def after_fork_in_child() -> None: ...
def select_by_label(
    parts: Sequence[tuple[Sequence[tuple[_Path, int]], tuple[Sequence[int], bool] | None]], column: str
) -> tuple[Selection, list[int]]: ...
def group_by_label(
    shards: Sequence[tuple[_Path, int]], column: str, chosen: Selection | None = None
) -> tuple[list[int], list[int], Selection]: ...
def build_info() -> dict[str, Any]: ...
def set_threads(threads: int) -> bool: ...
def default_threads() -> int: ...
def exchange_paths(first: _Path, second: _Path) -> None: ...
def filesystem(path: _Path) -> tuple[str, bool]: ...
def probe(folder: _Path) -> dict[str, Any]: ...
def copy_files(
    jobs: Sequence[tuple[_Path, _Path, int | None, str | None, str]],
    *,
    on_done: Callable[[list[tuple[int, CopyReport | Exception]]], object],
    control: Control,
    root: _Path | None = None,
    engine: str = "auto",
    direct: bool = True,
    threads: int = 0,
    block_bytes: int = 0,
    max_memory: int = 0,
    max_bandwidth: int = 0,
    read_back: bool = False,
    retries: int = 3,
) -> CopyPlan: ...
def digest_file(
    path: _Path, algorithm: str = "sha256", *, control: Control | None = None
) -> tuple[int, str]: ...
def read_catalog(path: _Path, *, control: Control | None = None) -> CatalogLines: ...
def staged_name(uri: str) -> str: ...
def select_labels(labels: _SupportsBuffer, allowed: Sequence[int], *, invert: bool = False) -> bytes: ...
def shard_info(path: _Path) -> tuple[int, int, list[tuple[str, str]], bool]: ...
def write_shard(path: _Path, batches: Sequence[_SupportsArrowArray]) -> tuple[int, str]: ...
def recognise_source(path: _Path) -> tuple[str | None, str | None]: ...

@final
class ArrowBatch:
    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

@final
class Moments:
    def __new__(cls, width: int) -> Moments: ...
    def add(self, batch: _SupportsArrowArray) -> None: ...
    def rows(self) -> tuple[int, int, tuple[int, int] | None]: ...
    def elements(self) -> list[tuple[int, float, float, float, float]]: ...

@final
class SourceReader:
    def __new__(
        cls,
        path: _Path,
        format: str,  # noqa: A002 (its name in Rust)
        *,
        columns: Sequence[str] | None = None,
        schema: _SupportsArrowSchema | None = None,
        strict: bool = False,
        types: _SupportsArrowSchema | None = None,
        infer_records: int | None = None,
        batch_rows: int | None = None,
        block_bytes: int | None = None,
        record_bytes: int | None = None,
        delimiter: str | None = None,
        header: bool = True,
        nulls: Sequence[str] | None = None,
    ) -> SourceReader: ...
    @property
    def rows(self) -> int | None: ...
    def __arrow_c_schema__(self) -> object: ...
    def batches(self, *, threads: int | None = None) -> SourceBatches: ...

@final
class SourceBatches:
    def __iter__(self) -> SourceBatches: ...
    def __next__(self) -> tuple[int, ArrowBatch, list[_Bad]]: ...
