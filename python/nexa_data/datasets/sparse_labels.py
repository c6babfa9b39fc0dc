"""Soft labels of which only the largest probabilities are stored, and the dense tensors that a batch has instead."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from nexa_data.config_columns import ConvertConfig, Residual
from nexa_data.datasets.sources import LABEL
from nexa_data.errors import ConfigError
from nexa_data.optional import needed

with needed("torch", "ShardDataset"):
    import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from nexa_data.datasets.forms import ColumnForms, Ragged
    from nexa_data.datasets.sources import ShardSource

__all__ = ["SPARSE_COLUMNS", "SparseLabels", "label_form"]

IDS, LOGPROBS, MASS = SPARSE_COLUMNS = ("target_ids", "target_logprobs", "residual_mass")
"""Columns that stand for a label: class ids (list<int32>), their log probabilities, and the rest's probability."""

_METADATA = "dataset_metadata.json"


def _label_facts(source: ShardSource) -> Mapping[str, Any]:
    """Return what a source's metadata says of its label; nothing if it has none."""
    try:
        found = json.loads((source.folder / _METADATA).read_bytes())["label"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def label_form(forms: ColumnForms, sources: Sequence[ShardSource], columns: Sequence[str]) -> ColumnForms:
    """Return the forms of columns with that of soft labels: float16 is how they may be stored, not what a loss wants."""
    if LABEL not in columns or LABEL in forms.convert:
        return forms
    facts = [_label_facts(source) for source in sources]
    if not any((each.get("kind"), each.get("dtype")) == ("distribution", "float16") for each in facts):
        return forms
    return replace(forms, convert={**forms.convert, LABEL: ConvertConfig(dtype="float32")})


@dataclass(frozen=True, slots=True)
class SparseLabels:
    """Makes dense labels of what is stored of them.

    Args:
        classes: Number of classes.
        residual: What becomes of the mass that no stored class has: `renormalize` (the stored probabilities are
            scaled to sum to 1), `spread` (it falls in equal parts on the other classes), `class` (one class
            more, the last, has it), `keep` (nothing: the row sums to less than 1).
        dtype: Type of the labels.

    Example:
        >>> from nexa_data.datasets.forms import Ragged
        >>> ids, offsets = torch.tensor([2, 0]), torch.tensor([0, 2])
        >>> logprobs = torch.tensor([0.5, 0.25]).log()
        >>> for residual in ("renormalize", "spread", "class"):
        ...     SparseLabels(4, residual).dense(Ragged(ids, offsets), Ragged(logprobs, offsets), torch.tensor([0.25]))
        tensor([[0.3333, 0.0000, 0.6667, 0.0000]])
        tensor([[0.2500, 0.1250, 0.5000, 0.1250]])
        tensor([[0.2500, 0.0000, 0.5000, 0.0000, 0.2500]])
    """

    classes: int
    residual: str = "renormalize"
    dtype: torch.dtype = torch.float32

    @classmethod
    def of(
        cls,
        sources: Sequence[ShardSource],
        columns: Sequence[str],
        residual: str | None,
        forms: ColumnForms,
    ) -> SparseLabels | None:
        """Return what makes the column `label` of the sources; None if they store it, or it isn't asked for.

        Raises:
            ConfigError: Some sources store it and some don't, or not of the same classes; or something is asked of a
                label that it can't be.
        """
        facts = [_label_facts(source).get("sparse") or {} for source in sources] if LABEL in columns else []
        if not any(facts):
            if residual is not None:
                raise ConfigError(
                    "data.batch.residual is of labels that are stored sparse, and these aren't",
                    remedy="leave it out",
                )
            return None
        classes: set[Any] = {found.get("classes") for found in facts}
        if len(classes) > 1:
            raise ConfigError(
                "the sources' labels are sparse in some and not in others, or of different classes",
                remedy="materialize them in one form, with one label set",
            )
        chosen = residual or facts[0]["residual"]
        if chosen not in get_args(Residual):
            raise ConfigError(
                f"there is no residual {chosen!r}", remedy=f"known: {', '.join(get_args(Residual))}"
            )
        padded = [name for name in SPARSE_COLUMNS if name in forms.ragged]
        if padded:
            raise ConfigError(
                f"data.batch.ragged: the label is made of {padded[0]}, which then isn't padded",
                remedy=f"leave {LABEL} out of data.batch.columns, or the form of {padded[0]}",
            )
        dtype, convert = torch.float32, forms.convert.get(LABEL)
        if convert is not None:
            dtype = getattr(torch, convert.dtype)
            if not dtype.is_floating_point or (convert.scale, convert.shift) != (1.0, 0.0):
                raise ConfigError(
                    "data.batch.convert: a label that is stored sparse becomes floats, unscaled",
                    remedy="name a float type alone",
                )
        return cls(classes.pop(), chosen, dtype)

    def stored(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Return the columns to read where `columns` are asked for."""
        asked = [column for column in columns if column != LABEL]
        return (*asked, *(column for column in SPARSE_COLUMNS if column not in asked))

    def instead(self, columns: Sequence[str], values: Sequence[Any]) -> list[Any]:
        """Return what a batch holds of `columns`, from the values of what `stored` said."""
        found = dict(zip(self.stored(columns), values, strict=True))
        found[LABEL] = self.dense(*(found[name] for name in SPARSE_COLUMNS))
        return [found[column] for column in columns]

    def dense(self, ids: Ragged, logprobs: Ragged, mass: Tensor) -> Tensor:
        """Return labels of shape (B, classes), or one more with residual `class`; memory of their own.

        Args:
            ids: Class ids of all rows, each once in a row.
            logprobs: Their log probabilities.
            mass: Probability of all other classes, (B,).
        """
        # By numpy: torch deals even these few numbers out to threads, and waits for them.
        lengths = np.diff(ids.offsets.numpy())
        n, width = len(lengths), self.classes + (self.residual == "class")
        row = np.repeat(np.arange(n), lengths)
        probs = np.exp(logprobs.values.float().numpy())
        rest = mass.float().numpy()
        if self.residual == "renormalize":
            probs /= np.bincount(row, probs, n).astype(np.float32)[row]
        dense = np.zeros((n, width), np.float32)
        if self.residual == "spread":
            dense += (rest / np.maximum(self.classes - lengths, 1))[:, None]
        elif self.residual == "class":
            dense[:, -1] = rest
        dense[row, ids.values.numpy()] = probs
        return torch.from_numpy(dense).to(self.dtype)
