"""TIFF of grey and alpha in 16 bits, which OpenCV would hand on in 8."""

import struct

import numpy as np

from covseg_tf.imaging.decode import decode

_COLUMNS, _BITS, _SAMPLES = 256, 258, 277
_PLANAR, _PREDICTOR, _TILE_COLUMNS, _EXTRA = 284, 317, 322, 338
_SHORT, _LONG = 3, 4


def read_grey_alpha(data: bytes) -> np.ndarray | None:
    """Decodes the first page of a TIFF file of two 16-bit channels, its grey alone.

    Libtiff is told that the page is twice as wide and has one channel: so it keeps its
    depth, whatever it is packed by.

    Args:
        data: A TIFF file that `check_header` has passed, upright (`unturned`).

    Returns:
        uint16 array `(rows, columns)`; `None` for any other file.
    """
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] not in (b"*\0", b"\0*"):  # BigTIFF
        return None
    start = struct.unpack_from(order + "I", data, 4)[0]
    count = struct.unpack_from(order + "H", data, start)[0]
    places = {
        struct.unpack_from(order + "H", data, at)[0]: at
        for at in range(start + 2, start + 2 + 12 * count, 12)
    }

    def value(tag, default=0):
        if tag not in places:
            return default
        kind = struct.unpack_from(order + "H", data, places[tag] + 2)[0]
        letter = "I" if kind == _LONG else "H"
        return struct.unpack_from(order + letter, data, places[tag] + 8)[0]

    if value(_SAMPLES, 1) != 2 or value(_BITS) != 16 or value(_PLANAR, 1) != 1:
        return None
    wide, predicted = bytearray(data), value(_PREDICTOR, 1) == 2
    new = {_SAMPLES: 1, _BITS: 16, _COLUMNS: 2 * value(_COLUMNS)}
    if _TILE_COLUMNS in places:
        if predicted:  # differences begin anew in each tile
            return None
        new[_TILE_COLUMNS] = 2 * value(_TILE_COLUMNS)
    if _PREDICTOR in places:
        new[_PREDICTOR] = 1
    for tag, number in new.items():
        entry = order + "HHII"
        struct.pack_into(entry, wide, places[tag], tag, _LONG, 1, number)
        if tag not in (_COLUMNS, _TILE_COLUMNS):
            struct.pack_into(
                order + "HHIHH", wide, places[tag], tag, _SHORT, 1, number, 0
            )
    if _EXTRA in places:  # there is no second channel any more to say something of
        struct.pack_into(order + "H", wide, places[_EXTRA], _EXTRA - 1)
    image = decode(bytes(wide))
    if image.dtype != np.uint16 or image.ndim != 2:
        return None
    grey = image[:, ::2]
    if predicted:
        grey = np.cumsum(grey, axis=1, dtype=np.uint16)
    return np.ascontiguousarray(grey)


def turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turns an image as TIFF's orientation, 1 to 8, says.

    Args:
        image: Array `(rows, columns)` or `(rows, columns, channels)`.
        orientation: Any number; what is not 2 to 8 leaves it.
    """
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
