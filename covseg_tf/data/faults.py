"""How readers say what is wrong with a data set."""

from collections.abc import Sequence


def first_fault(faults: Sequence[str]) -> None:
    """Raises the first of the faults that a reader found, if any.

    Args:
        faults: Sentences that begin with the file's path.

    Raises:
        ValueError: With the first fault and how many more there are.
    """
    if not faults:
        return
    more = len(faults) - 1
    rest = f" And {more} more; `covseg data check` lists all." if more else ""
    raise ValueError(faults[0] + rest)
