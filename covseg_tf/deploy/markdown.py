"""Markdown for cards and reports."""

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence]) -> str:
    """Returns a table, a line each.

    Args:
        head: The columns' names.
        rows: A cell per column.
    """
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in (head, *rows)]
    lines.insert(1, f"|{'---|' * len(head)}")
    return "\n".join(lines)
