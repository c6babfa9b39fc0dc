"""Real input that needs no network: scikit-learn's bundled handwritten digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexa_data.optional import needed

if TYPE_CHECKING:
    from nexa_data.config import DataConfig

__all__ = ["build"]

_LARGEST_PIXEL = 16.0


def build(data: DataConfig) -> dict[str, Any]:
    """Return 1,797 images of 8 × 8 pixels in [0, 1] as vectors, shape (1797, 64) float32, and their digits.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), the test part, as
    bundled by scikit-learn.

    Raises:
        MissingDependencyError: scikit-learn isn't installed.
    """
    del data
    with needed("scikit-learn", "the dataset 'digits'", install="nexa-data[demo]"):
        from sklearn.datasets import load_digits
    features, labels = load_digits(return_X_y=True)
    return {"features": (features / _LARGEST_PIXEL).astype("float32"), "label": labels}
