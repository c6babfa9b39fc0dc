"""The data hub between raw data and a training loop."""
