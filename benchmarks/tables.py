"""Tables as they are stored: CSV files, read back."""

import csv
import pathlib


def read_csv(path: pathlib.Path) -> list[dict]:
    """Returns the lines of a CSV file as dicts of strings.

    Raises:
        ValueError: If it cannot be read or has no line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}.") from None
    if not rows:
        raise ValueError(f"{path}: has no row.")
    return rows
