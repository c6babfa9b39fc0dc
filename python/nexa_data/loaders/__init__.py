"""Loaders: batches of an artifact for a training loop; the one room that can't be entered without torch."""

from nexa_data.optional import needed

with needed("torch", "a loader"):
    import torch  # noqa: F401 (asked for here once, so that every loader says the same)
