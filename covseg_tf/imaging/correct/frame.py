"""Finds a flat frame around a picture."""

import numpy as np

# A frame is flat within this many grey levels and at most this far from black or
# white; JPEG leaves a little noise in it.
_FLAT, _FROM_END = 10, 12
_LEAST_FRAME = 4
# So much of one of the first lines within the frame must leave the frame's grey at
# once. The dark air beside a patient does not: it ends in a slope.
_EDGE = 0.2
_BLUR = 8
# What is left of a side at least; less is no film in a frame.
_LEAST_LEFT = 0.3


def find_frame(grey: np.ndarray) -> tuple[int, int, int, int]:
    """Returns `(top, left, bottom, right)` of what lies within a flat frame.

    A side is cut only where at least 4 lines are flat and black or white, and
    the picture begins at once behind them.

    Args:
        grey: uint8 `(rows, columns)`.
    """
    whole = (0, 0, *grey.shape)
    top, left, bottom, right = whole
    # Twice, because a frame's upper part is only flat, and its edge only
    # sharp, within the columns of the picture.
    for _ in range(2):
        rows = _flat_ends(grey[top:bottom, left:right])
        top, bottom = top + rows[0], bottom - rows[1]
        columns = _flat_ends(grey[top:bottom, left:right].T)
        left, right = left + columns[0], right - columns[1]
    rows, columns = grey.shape
    if bottom - top < _LEAST_LEFT * rows or right - left < _LEAST_LEFT * columns:
        return whole
    return top, left, bottom, right


def _flat_ends(grey):
    """How many lines to cut at the start and at the end."""
    if grey.shape[0] < 2 * _LEAST_FRAME or grey.shape[1] < 2 * _LEAST_FRAME:
        return 0, 0
    low, high = grey.min(axis=1), grey.max(axis=1)
    return _flat_run(grey, low, high), _flat_run(grey[::-1], low[::-1], high[::-1])


def _flat_run(grey, low, high):
    black, white = high <= _FROM_END, low >= 255 - _FROM_END
    flat = (black if black[0] else white) & (high - low <= _FLAT)
    count = len(flat) if flat.all() else int(np.argmin(flat))
    if count < _LEAST_FRAME or count == len(flat):
        return 0
    # An interpolated edge is a line or two of half tones; JPEG blurs one of 8.
    behind = grey[count + 2 : count + 2 + _BLUR].astype(np.int16)
    leaves = np.abs(behind - int(grey[0, 0])) > 3 * _FLAT
    return count if (leaves.mean(axis=1) >= _EDGE).any() else 0
