"""The pages of a TIFF file, from its directories, before libtiff sees it."""

import dataclasses
import itertools
import struct

import numpy as np

from covseg_tf.imaging.limits import MAX_DECODED, MAX_FRAMES, MAX_PIXELS
from covseg_tf.imaging.png_jpeg import check_size

# Bytes of the types of the standard, 1 to 13, and BigTIFF's 16 to 18.
_BYTES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1))
_BYTES |= {16: 8, 17: 8, 18: 8}
_LETTERS = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}
_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_COLUMNS, _ROWS, _BITS, _PACKING, _ORIENTATION = 256, 257, 258, 259, 274
_SAMPLES, _PLANAR, _SUBFILE, _TILE_COLUMNS, _TILE_ROWS = 277, 284, 254, 322, 323
# Offsets and byte counts of strips, then of tiles.
_PIECES = ((273, 279), (324, 325))
_MOST_ENTRIES, _MOST_PIECES = 4096, 1_000_000
# Of all pages together: they may share one long table.
_MOST_ENTRIES_IN_ALL, _MOST_PIECES_IN_ALL = 100_000, 4_000_000


@dataclasses.dataclass(frozen=True)
class TiffPage:
    """What a directory says of its page.

    Attributes:
        index: Place in the file, from 0.
        rows: Rows.
        columns: Columns.
        orientation: 1 for upright, to 8.
        reduced: Whether it is a smaller copy of another page.
        orientation_at: Where the file says the orientation, as a format and an
            offset of `struct`; `None` if it does not.
    """

    index: int
    rows: int
    columns: int
    orientation: int
    reduced: bool
    orientation_at: tuple[str, int] | None = None


def is_tiff(head: bytes) -> bool:
    """Tells a TIFF or BigTIFF file by its first four bytes."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def tiff_pages(data: bytes) -> list[TiffPage]:
    """Lists the pages of a TIFF file, and refuses what cannot be whole.

    Raises:
        ValueError: If it is cut short, damaged, too large, of pages whose reading
            takes too long, or runs in circles.
    """
    pages, entries, pieces = [], 0, 0
    for index, tags in enumerate(_directories(data)):
        entries += len(tags)
        pieces += sum(tags[tag][2] for pair in _PIECES for tag in pair if tag in tags)
        if entries > _MOST_ENTRIES_IN_ALL or pieces > _MOST_PIECES_IN_ALL:
            raise ValueError("the TIFF file has too many strips on too many pages.")
        pages.append(_page(data, tags, index))
    if not pages:
        raise ValueError("the TIFF file holds no page.")
    return pages


def tiff_page(data: bytes, index: int) -> TiffPage:
    """Returns one page of a TIFF file, as `tiff_pages` lists it.

    Args:
        data: The file.
        index: Which page, from 0.

    Raises:
        ValueError: As `tiff_pages`, or if there is no such page.
    """
    tags = next(itertools.islice(_directories(data, index), 1), None)
    if tags is None:
        raise ValueError(f"the TIFF file has no page {index + 1}.")
    return _page(data, tags, index)


def unturned(data: bytes, page: TiffPage) -> bytes:
    """Returns the file with a page that says it is upright, its pixels as they lie.

    OpenCV turns tiles of 8 bits one by one, and puts each where it was.
    """
    if page.orientation_at is None:
        return data
    plain = bytearray(data)
    struct.pack_into(page.orientation_at[0], plain, page.orientation_at[1], 1)
    return bytes(plain)


def _directories(data, first=0):
    """Yields the tags of each page from `first` on; those before are passed over."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    word, place = ("Q", 8) if big else ("I", 4)
    seen: set[int] = set()
    try:
        offset = struct.unpack_from(order + word, data, place)[0]
        while offset:
            if offset in seen or len(seen) >= MAX_FRAMES:
                raise ValueError("the TIFF file's pages run in circles.")
            seen.add(offset)
            tags, offset = _directory(data, order, big, offset, len(seen) > first)
            if tags is not None:
                yield tags
    except struct.error:
        raise ValueError("the TIFF file is cut short or damaged.") from None


def _directory(data, order, big, offset, wanted):
    """Tags of a directory, each as `(order, type, count, offset of its values)`."""
    word = order + ("Q" if big else "I")
    count = struct.unpack_from(order + ("Q" if big else "H"), data, offset)[0]
    if count > _MOST_ENTRIES:
        raise ValueError("the TIFF file is damaged (a directory of many entries).")
    offset += 8 if big else 2
    size, room = (20, 8) if big else (12, 4)
    tags: dict | None = {} if wanted else None
    for at in range(offset, offset + count * size, size) if wanted else ():
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
    if place + number * _BYTES[kind] > len(data):
        raise ValueError("the TIFF file is cut short or damaged.")
    return np.frombuffer(data, order + _LETTERS[kind], number, place)


def _first(data, tags, tag, default):
    values = _values(data, tags, tag)
    return int(values[0]) if len(values) else default


def _page(data, tags, index):
    rows, columns = (_first(data, tags, tag, 0) for tag in (_ROWS, _COLUMNS))
    check_size(rows, columns, MAX_PIXELS)
    bits = int(max(_values(data, tags, _BITS, (1,)), default=1))
    samples = _first(data, tags, _SAMPLES, 1)
    if not 1 <= samples <= 8 or not 1 <= bits <= 64:
        raise ValueError(f"the TIFF file has {samples} channels of {bits} bits.")
    if samples > 2 and bits > 8 and _first(data, tags, _PLANAR, 1) == 2:
        raise ValueError(  # OpenCV takes rows of one channel for pixels of all
            f"the TIFF file keeps its {samples} channels of {bits} bits apart. Save it "
            "as PNG."
        )
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
    place = None
    if len(_values(data, tags, _ORIENTATION)):
        order, kind, _, offset = tags[_ORIENTATION]
        place = order + _FORMATS[kind], offset
    return TiffPage(index, rows, columns, orientation, reduced, place)


def _check_pieces(data, tags):
    """Bytes of all strips or tiles, each of which lies within the file."""
    for offsets, counts in _PIECES:
        if offsets in tags and counts in tags:
            starts, sizes = _values(data, tags, offsets), _values(data, tags, counts)
            pieces = min(len(starts), len(sizes))
            starts, sizes = (x[:pieces].astype(np.uint64) for x in (starts, sizes))
            room = np.uint64(len(data))
            if (sizes > room).any() or (starts > room - sizes).any():
                raise ValueError("the TIFF file is cut short (a strip is missing).")
            return int(sizes.sum())
    raise ValueError("the TIFF file is damaged (it holds no strips).")
