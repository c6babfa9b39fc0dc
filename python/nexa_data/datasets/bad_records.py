"""Counts the records that can't be used, puts them aside, and says when there are too many."""

from __future__ import annotations

import base64
import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Self

from nexa_data.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from nexa_data.config_reading import RecordErrors
    from nexa_data.datasets.rows import BadRows

__all__ = ["BadRecords"]

_log = logging.getLogger(__name__)

_LISTED = 10
"""Bad records that a summary shows; the quarantine has all of them."""


@dataclass
class BadRecords:
    """The bad records of one walk over a source; a context manager that closes the quarantine.

    Args:
        policy: What is done with them.
        quarantine: File that they are written to, a JSON object a line, if the policy says so; made when the first
            one comes.
    """

    policy: RecordErrors
    quarantine: Path | None = None
    count: int = 0
    torn: int = 0
    """Places behind which an unknown number of records is missing."""
    first: list[BadRows] = field(default_factory=list)
    _file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Remove what an earlier walk has put aside."""
        if self.quarantine is not None:
            with suppress(FileNotFoundError):
                self.quarantine.unlink()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the quarantine."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def take(self, bad: Iterable[BadRows]) -> None:
        """Do with bad records what the policy says.

        Raises:
            RecordError: It says that the first one ends the run, or that these are too many.
        """
        for each in bad:
            if self.policy.action == "fail":
                raise each.error()
            self.count += each.count
            self.torn += each.count == 0
            if len(self.first) < _LISTED:
                self.first.append(each)
            if self.policy.action == "quarantine":
                self._write(each)
            if self.policy.max_records is not None and self.count > self.policy.max_records:
                raise RecordError(
                    f"{self.count} records can't be used, {self.policy.max_records} are allowed; the first: "
                    f"{self.first[0].place}: {self.first[0].reason}{self._where()}",
                    remedy="correct the source, or raise data.on_error.max_records",
                )

    def finish(self, good: int) -> dict[str, Any] | None:
        """Return what a summary says of them, None where the first one would have ended the run.

        Args:
            good: Records that could be used.

        Raises:
            RecordError: Their share is too large.
        """
        if self.policy.action == "fail":
            return None
        share = self.count / max(1, self.count + good)
        if self.first:
            shown = f"the first: {self.first[0].place}: {self.first[0].reason}{self._where()}"
            torn = f", and an unknown number behind {self.torn} places" if self.torn else ""
            if share > self.policy.max_share:
                raise RecordError(
                    f"{self.count} of {self.count + good} records can't be used ({share:.2%}, "
                    f"{self.policy.max_share:.2%} are allowed){torn}; {shown}",
                    remedy="correct the source, or raise data.on_error.max_share",
                )
            _log.warning(
                "%d of %d records can't be used%s and are left out; %s",
                self.count,
                self.count + good,
                torn,
                shown,
            )
        return {
            "action": self.policy.action,
            "count": self.count,
            "share": share,
            "torn": self.torn,
            "first": [
                {"file": each.origin, "row": each.row, "count": each.count, "offset": each.offset,
                 "column": each.column, "reason": each.reason}
                for each in self.first
            ],
        }  # fmt: skip

    def _where(self) -> str:
        return f"; all of them are in {self.quarantine}" if self._file is not None else ""

    def _write(self, bad: BadRows) -> None:
        if self.quarantine is None:
            return
        if self._file is None:
            self.quarantine.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.quarantine.open("wb")
        line: dict[str, Any] = {
            "file": bad.origin,
            "row": bad.row,
            "count": bad.count,
            "offset": bad.offset,
            "column": bad.column,
            "reason": bad.reason,
        }
        try:
            line["raw"] = bad.raw.decode()
        except UnicodeDecodeError:
            line["raw_base64"] = base64.b64encode(bad.raw).decode()
        self._file.write(json.dumps(line, ensure_ascii=False).encode(errors="surrogatepass") + b"\n")
