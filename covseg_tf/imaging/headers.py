"""Sizes of images from their headers, before a decoder trusts them."""

import struct

from covseg_tf.imaging.limits import MAX_PIXELS
from covseg_tf.imaging.png_jpeg import (
    JPEG,
    PNG,
    check_image,
    check_size,
    walk_jpeg,
)
from covseg_tf.imaging.tiff import is_tiff, tiff_page

_NAMES = "PNG, JPEG, TIFF, BMP, WebP, DICOM, NIfTI or zip"


def check_header(data: bytes, page: int = 0) -> tuple[int, int]:
    """Returns `(rows, columns)` of an image that may be decoded.

    Args:
        data: A PNG, JPEG, TIFF, BMP or WebP file. A JPEG may lack its end mark.
        page: Page of a TIFF file, from 0.

    Raises:
        ValueError: If it is of another format, cut short, damaged or too large.
    """
    if data.startswith(JPEG):
        walk = walk_jpeg(data, MAX_PIXELS)
        return walk.rows, walk.columns
    if data.startswith(PNG):
        return check_image(data, MAX_PIXELS)
    if is_tiff(data):
        found = tiff_page(data, page)
        return found.rows, found.columns
    try:
        if data[:2] == b"BM":
            return _check_bmp(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _check_webp(data)
    except struct.error:
        raise ValueError("the file is cut short.") from None
    raise ValueError(
        f"not a {_NAMES} file (it begins with {bytes(data[:8]).hex(' ')})."
    )


def _check_bmp(data):
    start, header = struct.unpack_from("<II", data, 10)
    if header == 12:
        columns, rows, _, bits = struct.unpack_from("<HHHH", data, 18)
        packing = 0
    else:
        columns, rows, _, bits, packing = struct.unpack_from("<iiHHI", data, 18)
    rows = abs(rows)
    check_size(rows, columns, MAX_PIXELS)
    unpacked = packing in (0, 3, 6)
    if unpacked and start + (columns * bits + 31) // 32 * 4 * rows > len(data):
        raise ValueError("the BMP file is cut short.")
    return rows, columns


def _check_webp(data):
    if 8 + struct.unpack_from("<I", data, 4)[0] > len(data):
        raise ValueError("the WebP file is cut short.")
    kind = data[12:16]
    if kind == b"VP8X":
        low = struct.unpack_from("<HBHB", data, 24)
        columns, rows = low[0] + (low[1] << 16) + 1, low[2] + (low[3] << 16) + 1
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        columns, rows = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        columns, rows = (n & 0x3FFF for n in struct.unpack_from("<HH", data, 26))
    else:
        raise ValueError("the WebP file is damaged.")
    return check_size(rows, columns, MAX_PIXELS)
