"""One sentence for a package that comes with an extra and is not there."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turns a failed import within it into advice.

    Args:
        extra: The extra of `covseg-tf` that installs the package.

    Raises:
        ValueError: If an import failed; it names the package.
    """
    try:
        yield
    except ImportError as error:
        raise ValueError(
            f"Needs {error.name}; install it with pip install 'covseg-tf[{extra}]'."
        ) from None
