"""Which records are kept."""
