"""Undoes what viewers, scanners and slides do to a film: frames, swapped greys."""

import dataclasses
import functools
import pathlib

import cv2
import numpy as np

from covseg_tf.imaging.film import Film

# Below this correlation with a drawn chest a film counts as inverted. Chosen on
# 2,518 real films: 97 of 100 negatives are found, 1 film in 2,518 is turned
# wrongly; nearer to 0 is doubtful, and is left alone.
_INVERTED = -0.2
_SIDE = 32
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
# A frame is cut off if it takes this share of the picture. The networks know narrower
# ones from training: drawn around 108 films, a frame of 10 % of the side on each side
# (31 % of the picture) moves infection Dice of `xray` from 0.810 to 0.796, one of 20 %
# to 0.747; and cutting the narrow ones that films have does not help.
_LEAST_FRAMED = 0.3


def correct_film(film: Film) -> Film:
    """Returns a film without a wide frame and with dark lungs, and notes of it.

    Args:
        film: Any radiograph; a doubtful one comes back as it is.
    """
    pixels, box, notes = film.pixels, film.box, film.notes
    top, left, bottom, right = find_frame(pixels)
    inside = np.ascontiguousarray(pixels[top:bottom, left:right])
    if inside.size <= (1 - _LEAST_FRAMED) * pixels.size:
        pixels = inside
        box = (box[0] + top, box[1] + left)
        notes += ("borders_cropped",)
    if looks_inverted(inside):
        pixels, notes = 255 - pixels, (*notes, "inverted")
    return dataclasses.replace(film, pixels=pixels, box=box, notes=notes)


def looks_inverted(grey: np.ndarray) -> bool:
    """Tells a chest film whose lungs are bright.

    The film, shrunk to 32 x 32, is correlated with the mean of drawn chests.
    The measure is fair: a film and its negative differ in the sign alone.

    Args:
        grey: uint8 `(rows, columns)` without a frame.
    """
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    small = small.astype(np.float64) - small.mean(dtype=np.float64)
    spread = np.sqrt((small * small).sum())
    if spread < _SIDE:  # one grey level of deviation: an empty picture
        return False
    return float((small * _drawn_chest()).sum() / spread) < _INVERTED


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


@functools.cache
def _drawn_chest():
    # The mean of 12 phantoms, without its mean and of length 1; drawing them takes
    # longer than scoring a film. tests/test_sources.py draws them.
    return np.load(pathlib.Path(__file__).with_name("drawn_chest.npy"))
