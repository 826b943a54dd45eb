"""Looks at an image file before a decoder does.

OpenCV decodes half a PNG or JPEG without a word and allocates whatever a
header claims. So the header is read first, and the file is walked to its end.
"""

import re
import struct
import zlib

from covseg_tf.serving.errors import InvalidRequest, TooLarge

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# A marker inside compressed data: not a stuffed zero, restart or fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FILL = re.compile(rb"\xff*")
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END = 0xDA, 0xD9
# Chunks of a PNG or segments of a JPEG; cameras and archives write hundreds.
_MOST_PARTS = 10_000


def check_image(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Refuses what is no whole PNG or JPEG file of a bearable size.

    Args:
        data: The file.
        max_pixels: Largest rows times columns.

    Returns:
        `(rows, columns)` as the header states them.

    Raises:
        InvalidRequest: If it is empty, of another format, cut short, damaged,
            or of more than 10,000 parts.
        TooLarge: If its header states more pixels.
    """
    if not data:
        raise InvalidRequest("the image is empty; send a whole PNG or JPEG file.")
    if data.startswith(_PNG):
        return _check_png(data, max_pixels)
    if data.startswith(_JPEG):
        return _check_jpeg(data, max_pixels)
    raise InvalidRequest(
        f"not a PNG or JPEG file (it begins with {bytes(data[:8]).hex(' ')}); "
        "convert the image to PNG."
    )


def _check_png(data, max_pixels):
    position, size = len(_PNG), None
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
            raise InvalidRequest("the PNG file is damaged (a checksum is wrong).")
        if kind == b"IEND":
            return size
        position = end
    raise _too_many_parts("PNG", "chunks")


def _png_size(data, position, length, kind, max_pixels):
    if kind != b"IHDR" or length != 13:
        raise InvalidRequest("the PNG file has no header.")
    columns, rows = struct.unpack_from(">II", data, position + 8)
    return _checked(rows, columns, max_pixels)


def _check_jpeg(data, max_pixels):
    position, size = 2, None
    for _ in range(_MOST_PARTS):
        # A marker is one byte FF and its kind, after any number of fill bytes FF.
        position = max(position, _FILL.match(data, position).end() - 1)
        if data[position : position + 2] == b"\xff\xd9" and size is not None:
            return size
        if position + 4 > len(data):
            raise _cut_short("JPEG")
        if data[position] != 0xFF:
            raise InvalidRequest("the JPEG file is damaged (a marker is missing).")
        kind = data[position + 1]
        if kind == _END:
            raise _cut_short("JPEG")
        length = struct.unpack_from(">H", data, position + 2)[0]
        if kind in _FRAMES:
            size = _jpeg_size(data, position, max_pixels)
        position += 2 + length
        if kind == _START_OF_SCAN:
            marker = _MARKER.search(data, position)
            position = marker.start() if marker else len(data)
    raise _too_many_parts("JPEG", "segments")


def _jpeg_size(data, position, max_pixels):
    if position + 9 > len(data):
        raise _cut_short("JPEG")
    rows, columns = struct.unpack_from(">HH", data, position + 5)
    return _checked(rows, columns, max_pixels)


def _cut_short(kind):
    return InvalidRequest(f"the {kind} file is cut short; send the whole file.")


def _too_many_parts(kind, parts):
    return InvalidRequest(
        f"the {kind} file has more than {_MOST_PARTS} {parts}; save the image again."
    )


def _checked(rows, columns, max_pixels):
    if rows < 1 or columns < 1:
        raise InvalidRequest(f"the image's header states {rows} x {columns} pixels.")
    if rows * columns > max_pixels:
        raise TooLarge(
            f"the image's header states {rows} x {columns} pixels, at most "
            f"{max_pixels} are taken; send a smaller image."
        )
    return rows, columns
