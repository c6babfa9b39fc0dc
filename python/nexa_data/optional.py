"""Packages that only some functions need: without one, only these fail, and say which package is missing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from nexa_data.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["needed"]


@contextmanager
def needed(package: str, purpose: str, *, install: str | None = None) -> Iterator[None]:
    """Turn a failing import inside the block into an error that names package, purpose and command.

    Args:
        package: Name of the package that is imported.
        purpose: What needs it.
        install: What to install; default: the package.

    Raises:
        MissingDependencyError: The import failed.

    Example:
        >>> with needed("no_such_package", "this example"):  # doctest: +IGNORE_EXCEPTION_DETAIL
        ...     import no_such_package
        Traceback (most recent call last):
        nexa_data.errors.MissingDependencyError: this example needs no_such_package, ...
    """
    try:
        yield
    except ImportError as error:
        raise MissingDependencyError(
            f"{purpose} needs {package}, which can't be imported ({error})",
            remedy=f"pip install '{install or package}'",
        ) from error
