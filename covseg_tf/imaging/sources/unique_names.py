"""Names of their own for things that bear the same."""

from collections.abc import Callable, Iterable


class UniqueNames:
    """Numbers names that come again, in time that grows with their count.

    Args:
        taken: Names that are taken before any comes.
        key: What is the same name; the name itself by default.

    Example:

    >>> unique = UniqueNames()
    >>> [unique(name) for name in ("a", "a", "b", "a")]
    ['a', 'a-2', 'b', 'a-3']
    """

    def __init__(
        self, taken: Iterable[str] = (), key: Callable[[str], str] = lambda name: name
    ):
        self._key = key
        self._taken = {key(name) for name in taken}
        # The number that came last: the next one need not try those before it.
        self._last: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        """Returns the name, or the name with a number, as nothing else is called.

        Args:
            name: The name.
        """
        base, given = self._key(name), name
        number = self._last.get(base, 1)
        while self._key(given) in self._taken:
            number += 1
            given = f"{name}-{number}"
        self._last[base] = number
        self._taken.add(self._key(given))
        return given
