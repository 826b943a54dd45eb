"""Reads a FlatBuffer of unknown origin; nothing outside of it is ever looked at."""

import struct


class Table:
    """One table of a FlatBuffer.

    Args:
        data: The whole buffer.
        place: Where the table begins.

    Raises:
        ValueError: If it does not lie within the buffer; so do all methods.
    """

    def __init__(self, data: bytes, place: int):
        self._data, self._place = data, place
        virtual = place - number(data, "i", place)
        sizes = number(data, "H", virtual), number(data, "H", virtual + 2)
        if sizes[0] < 4 or virtual + sizes[0] > len(data):
            raise ValueError("a table of its fields lies outside of it")
        if sizes[1] < 4 or place + sizes[1] > len(data):
            raise ValueError("a table lies outside of it")
        count = (sizes[0] - 4) // 2
        self._fields = struct.unpack_from(f"<{count}H", data, virtual + 4)
        if any(field and not 4 <= field < sizes[1] for field in self._fields):
            raise ValueError("a field lies outside of its table")

    def has(self, field: int) -> bool:
        """Whether a field is there."""
        return field < len(self._fields) and self._fields[field] > 0

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """Returns a number.

        Args:
            field: Its place in the schema.
            kind: Letter of `struct`.
            default: What it is where it is not there.
        """
        if not self.has(field):
            return default
        return number(self._data, kind, self._place + self._fields[field])

    def _target(self, field):
        place = self._place + self._fields[field]
        return place + number(self._data, "I", place)

    def table(self, field: int) -> "Table | None":
        """Returns a table, `None` where it is not there."""
        return Table(self._data, self._target(field)) if self.has(field) else None

    def vector(self, field: int, size: int) -> tuple[int, int]:
        """Returns where the elements of a vector begin and how many there are.

        Args:
            field: Its place in the schema.
            size: Bytes of an element.
        """
        if not self.has(field):
            return 0, 0
        place = self._target(field)
        count = number(self._data, "I", place)
        if place + 4 + count * size > len(self._data):
            raise ValueError("a vector lies outside of it")
        return place + 4, count

    def numbers(self, field: int, kind: str) -> tuple:
        """Returns a vector of numbers."""
        place, count = self.vector(field, struct.calcsize(kind))
        return struct.unpack_from(f"<{count}{kind}", self._data, place)

    def tables(self, field: int, most: int) -> list["Table"]:
        """Returns a vector of tables, at most so many."""
        place, count = self.vector(field, 4)
        if count > most:
            raise ValueError(f"a vector holds {count} tables, at most {most} are read")
        places = range(place, place + 4 * count, 4)
        return [Table(self._data, at + number(self._data, "I", at)) for at in places]

    def text(self, field: int) -> None:
        """Checks that a string ends where it says."""
        place, count = self.vector(field, 1)
        if place and self._data[place + count : place + count + 1] != b"\0":
            raise ValueError("a name does not end")


def number(data: bytes, kind: str, place: int) -> int:
    """Returns a number of a buffer.

    Raises:
        ValueError: If it does not lie within.
    """
    if not 0 <= place <= len(data) - struct.calcsize(f"<{kind}"):
        raise ValueError("an offset leads out of it")
    return struct.unpack_from(f"<{kind}", data, place)[0]
