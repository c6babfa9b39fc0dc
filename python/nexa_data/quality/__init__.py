"""Whether the data is fit: rules that it must pass before it is published."""
