"""The pages of a TIFF file, from its directories, before libtiff sees it."""

import dataclasses
import struct

from covseg_tf.imaging.limits import MAX_DECODED, MAX_FRAMES, MAX_PIXELS
from covseg_tf.imaging.png_jpeg import check_size

# Bytes of the types of the standard, 1 to 13, and BigTIFF's 16 to 18.
_BYTES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1))
_BYTES |= {16: 8, 17: 8, 18: 8}
_LETTERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_COLUMNS, _ROWS, _BITS, _PACKING, _ORIENTATION = 256, 257, 258, 259, 274
_SAMPLES, _SUBFILE, _TILE_COLUMNS, _TILE_ROWS = 277, 254, 322, 323
# Offsets and byte counts of strips, then of tiles.
_PIECES = ((273, 279), (324, 325))
_MOST_ENTRIES, _MOST_PIECES = 4096, 1_000_000


@dataclasses.dataclass(frozen=True)
class TiffPage:
    """What a directory says of its page.

    Attributes:
        index: Place in the file, from 0.
        rows: Rows.
        columns: Columns.
        orientation: 1 for upright, to 8.
        reduced: Whether it is a smaller copy of another page.
    """

    index: int
    rows: int
    columns: int
    orientation: int
    reduced: bool


def is_tiff(head: bytes) -> bool:
    """Tells a TIFF or BigTIFF file by its first four bytes."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def tiff_pages(data: bytes) -> list[TiffPage]:
    """Lists the pages of a TIFF file, and refuses what cannot be whole.

    Raises:
        ValueError: If it is cut short, damaged, too large or runs in circles.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    pages: list[TiffPage] = []
    seen: set[int] = set()
    try:
        word, place = ("Q", 8) if big else ("I", 4)
        offset = struct.unpack_from(order + word, data, place)[0]
        while offset:
            if offset in seen or len(pages) >= MAX_FRAMES:
                raise ValueError("the TIFF file's pages run in circles.")
            seen.add(offset)
            tags, offset = _directory(data, order, big, offset)
            pages.append(_page(data, tags, len(pages)))
    except struct.error:
        raise ValueError("the TIFF file is cut short or damaged.") from None
    if not pages:
        raise ValueError("the TIFF file holds no page.")
    return pages


def _directory(data, order, big, offset):
    """Tags of a directory, each as `(type, count, offset of its values)`."""
    word = order + ("Q" if big else "I")
    count = struct.unpack_from(order + ("Q" if big else "H"), data, offset)[0]
    if count > _MOST_ENTRIES:
        raise ValueError("the TIFF file is damaged (a directory of many entries).")
    offset += 8 if big else 2
    size, room = (20, 8) if big else (12, 4)
    tags = {}
    for at in range(offset, offset + count * size, size):
        tag, kind = struct.unpack_from(order + "HH", data, at)
        number = struct.unpack_from(word, data, at + 4)[0]
        place = at + size - room
        if _BYTES.get(kind, 1) * number > room:
            place = struct.unpack_from(word, data, place)[0]
        tags.setdefault(tag, (order, kind, number, place))
    end = offset + count * size
    return tags, struct.unpack_from(word, data, end)[0]


def _values(data, tags, tag, default=()):
    if tag not in tags:
        return default
    order, kind, number, place = tags[tag]
    if kind not in _LETTERS or number > _MOST_PIECES:
        raise ValueError(f"the TIFF file is damaged (tag {tag}).")
    return struct.unpack_from(f"{order}{number}{_LETTERS[kind]}", data, place)


def _first(data, tags, tag, default):
    values = _values(data, tags, tag)
    return values[0] if values else default


def _page(data, tags, index):
    rows, columns = (_first(data, tags, tag, 0) for tag in (_ROWS, _COLUMNS))
    check_size(rows, columns, MAX_PIXELS)
    bits = max(_values(data, tags, _BITS, (1,)), default=1)
    samples = _first(data, tags, _SAMPLES, 1)
    if not 1 <= samples <= 8 or not 1 <= bits <= 64:
        raise ValueError(f"the TIFF file has {samples} channels of {bits} bits.")
    size = rows * columns * samples * bits // 8
    if size > MAX_DECODED:
        raise ValueError(f"the TIFF file decodes to {size} bytes.")
    # A tile may be larger than the image, and is decoded whole.
    tile = [_first(data, tags, tag, 1) for tag in (_TILE_ROWS, _TILE_COLUMNS)]
    if tile[0] * tile[1] * samples * bits // 8 > MAX_DECODED:
        raise ValueError("the TIFF file has tiles of a size that is not read.")
    packed = _check_pieces(data, tags)
    if _first(data, tags, _PACKING, 1) == 1 and packed < size:
        raise ValueError("the TIFF file is cut short (pixels are missing).")
    orientation = _first(data, tags, _ORIENTATION, 1)
    reduced = bool(_first(data, tags, _SUBFILE, 0) & 1)
    return TiffPage(index, rows, columns, orientation, reduced)


def _check_pieces(data, tags):
    """Bytes of all strips or tiles, each of which lies within the file."""
    for offsets, counts in _PIECES:
        if offsets in tags and counts in tags:
            pairs = list(
                zip(
                    _values(data, tags, offsets),
                    _values(data, tags, counts),
                    strict=False,
                )
            )
            if any(offset + count > len(data) for offset, count in pairs):
                raise ValueError("the TIFF file is cut short (a strip is missing).")
            return sum(count for _, count in pairs)
    raise ValueError("the TIFF file is damaged (it holds no strips).")
