"""Real input that needs no network: scikit-learn's bundled handwritten digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexa_data.errors import MissingDependencyError

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
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependencyError(
            "the dataset 'digits' comes with scikit-learn, which isn't installed",
            remedy="pip install 'nexa-data[demo]'",
        ) from error
    features, labels = load_digits(return_X_y=True)
    return {"features": (features / _LARGEST_PIXEL).astype("float32"), "label": labels}
