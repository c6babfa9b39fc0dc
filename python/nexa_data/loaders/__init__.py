"""Loaders: batches of an artifact for a training loop."""
