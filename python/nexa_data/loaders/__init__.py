"""Loaders: batches of an artifact for a training loop; the one room that can't be entered without torch."""

from nexa_data.errors import MissingDependencyError

try:
    import torch  # noqa: F401 (asked for here once, so that every loader says the same)
except ImportError as error:
    raise MissingDependencyError(
        f"loaders hand out torch tensors, and torch can't be imported: {error}",
        remedy="pip install torch, see https://pytorch.org/get-started/locally",
    ) from error
