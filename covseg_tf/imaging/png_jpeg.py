"""Looks at a PNG or JPEG file before a decoder does.

OpenCV decodes half a JPEG without a word and allocates whatever a header
claims. So the header is read first, and the file is walked to its end.
"""

import re
import struct
import typing
import zlib

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
# A marker inside compressed data: not a stuffed zero, restart or fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# In JPEG-LS a byte below 80 after FF is data, and no other kind of byte is.
_MARKER_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_FILL = re.compile(rb"\xff*")
_FRAME_LS = 0xF7
# SOF0 to SOF15, and SOF55 of JPEG-LS.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {_FRAME_LS}
_START_OF_SCAN, _END = 0xDA, 0xD9
# A scan goes over every pixel, 1 ns each, however few bytes it has. Cameras write one,
# progressive files hold about ten; of the largest image so many are taken.
_MOST_SCANS = 16
# Chunks that a PNG decoder inflates, and keeps, before it comes to the pixels; and to
# how many bytes they may in all. One that cannot be inflated counts as a megabyte.
_DEFLATED = b"zTXt", b"iTXt", b"iCCP"
_MOST_INFLATED, _BROKEN = 2**24, 2**20
# Chunks of a PNG or segments of a JPEG; cameras and archives write hundreds.
_MOST_PARTS = 10_000


class ImageTooLarge(ValueError):
    """An image whose header states more pixels than are taken."""


class JpegWalk(typing.NamedTuple):
    """What the markers of a JPEG file say.

    Attributes:
        rows: Rows as the header states them.
        columns: Columns likewise.
        frame: Second byte of the frame's marker, `0xC0` for baseline.
        scans: How many scans begin.
        ended: Whether the end marker is there.
    """

    rows: int
    columns: int
    frame: int
    scans: int
    ended: bool


def check_image(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Refuses what is no whole PNG or JPEG file of a bearable size.

    Args:
        data: The file.
        max_pixels: Largest rows times columns.

    Returns:
        `(rows, columns)` as the header states them.

    Raises:
        ImageTooLarge: If its header states more pixels.
        ValueError: If it is empty, of another format, cut short, damaged, of
            more than 10,000 parts, or of more scans than 16 times `max_pixels`
            allows.
    """
    if not data:
        raise ValueError("the image is empty; send a whole PNG or JPEG file.")
    if data.startswith(PNG):
        return _check_png(data, max_pixels)
    if data.startswith(JPEG):
        walk = walk_jpeg(data, max_pixels)
        if not walk.ended:
            raise _cut_short("JPEG")
        return walk.rows, walk.columns
    raise ValueError(
        f"not a PNG or JPEG file (it begins with {bytes(data[:8]).hex(' ')}); "
        "convert the image to PNG."
    )


def check_size(rows: int, columns: int, max_pixels: int) -> tuple[int, int]:
    """Returns a stated size, if it may be decoded.

    Raises:
        ImageTooLarge: If there are more pixels.
        ValueError: If a side is not positive.
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"the image's header states {rows} x {columns} pixels.")
    if rows * columns > max_pixels:
        raise ImageTooLarge(
            f"the image's header states {rows} x {columns} pixels, at most "
            f"{max_pixels} are taken; send a smaller image."
        )
    return rows, columns


def walk_jpeg(data: bytes, max_pixels: int) -> JpegWalk:
    """Follows the markers of a JPEG or JPEG-LS file to its end.

    Args:
        data: The file; a file that lacks nothing but its end marker passes,
            and so does one cut off within a scan: see `JpegWalk.ended`.
        max_pixels: Largest rows times columns.

    Raises:
        ImageTooLarge: If its header states more pixels.
        ValueError: If it is cut short before the first scan, damaged, of more
            than 10,000 segments, or if its scans go over more than 16 times
            `max_pixels`.
    """
    position, frame, scans = 2, 0, 0
    size: tuple[int, int] | None = None
    for _ in range(_MOST_PARTS):
        # A marker is one byte FF and its kind, after any number of fill bytes FF.
        fill = _FILL.match(data, position)
        position = max(position, fill.end() - 1 if fill else 0)
        if data[position : position + 2] == b"\xff\xd9" and size is not None:
            return JpegWalk(size[0], size[1], frame, scans, True)
        if position >= len(data) and size is not None and scans:
            return JpegWalk(size[0], size[1], frame, scans, False)
        if position + 4 > len(data):
            raise _cut_short("JPEG")
        if data[position] != 0xFF:
            raise ValueError("the JPEG file is damaged (a marker is missing).")
        kind = data[position + 1]
        if kind == _END:
            raise _cut_short("JPEG")
        length = struct.unpack_from(">H", data, position + 2)[0]
        if kind in _FRAMES:
            size, frame = _jpeg_size(data, position, max_pixels), kind
        position += 2 + length
        if kind == _START_OF_SCAN:
            scans += 1
            if size and scans * size[0] * size[1] > _MOST_SCANS * max_pixels:
                raise ValueError(
                    f"the JPEG file has {scans} scans or more of {size[0]} x {size[1]} "
                    "pixels; save the image again."
                )
            pattern = _MARKER_LS if frame == _FRAME_LS else _MARKER
            marker = pattern.search(data, position)
            position = marker.start() if marker else len(data)
    raise _too_many_parts("JPEG", "segments")


def _check_png(data, max_pixels):
    position, size, inflated = len(PNG), None, 0
    for _ in range(_MOST_PARTS):
        if position + 12 > len(data):
            raise _cut_short("PNG")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise _cut_short("PNG")
        if size is None:
            size = _png_size(data, position, length, kind, max_pixels)
        body = memoryview(data)[position + 4 : end - 4]
        if zlib.crc32(body) != struct.unpack_from(">I", data, end - 4)[0]:
            raise ValueError("the PNG file is damaged (a checksum is wrong).")
        if kind in _DEFLATED:
            inflated += _inflated(bytes(body[4:]), kind == b"iTXt")
            if inflated > _MOST_INFLATED:
                raise ValueError(
                    "the PNG file has text or profiles of more than 16 MB; save the "
                    "image again."
                )
        if kind == b"IEND":
            return size
        position = end
    raise _too_many_parts("PNG", "chunks")


def _inflated(chunk, is_international):
    start = chunk.find(b"\0") + 2  # a keyword comes first, then the method
    if is_international:
        if chunk[start - 1 : start] != b"\1":
            return 0  # not compressed
        for _ in ("language", "translated keyword"):
            start = chunk.find(b"\0", start + 1)
        start += 1
    try:
        text = zlib.decompressobj().decompress(chunk[start:], _MOST_INFLATED + 1)
    except zlib.error:
        return _BROKEN
    return len(text)


def _png_size(data, position, length, kind, max_pixels):
    if kind != b"IHDR" or length != 13:
        raise ValueError("the PNG file has no header.")
    columns, rows = struct.unpack_from(">II", data, position + 8)
    return check_size(rows, columns, max_pixels)


def _jpeg_size(data, position, max_pixels):
    if position + 9 > len(data):
        raise _cut_short("JPEG")
    rows, columns = struct.unpack_from(">HH", data, position + 5)
    return check_size(rows, columns, max_pixels)


def _cut_short(kind):
    return ValueError(f"the {kind} file is cut short; send the whole file.")


def _too_many_parts(kind, parts):
    return ValueError(
        f"the {kind} file has more than {_MOST_PARTS} {parts}; save the image again."
    )
