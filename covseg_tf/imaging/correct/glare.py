"""Finds a light that is mirrored in a film."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# The film is searched at this size, for spots of these widths and heights (where their
# light has fallen to 1/e) and of these grey levels in their middle.
_SIDE, _RADII, _LEVELS = 48, (4, 6, 9), (40, 65, 90, 115, 140)
# How much simpler a film must become by taking the spot out. Chosen on photographs of
# films of training: of 22 with glare 13 are found, of 23 without 2.
_LEAST_GAIN = 0.25
_CLIPPED = 250
_HIDDEN = 0.12  # of a spot's light, above which what is behind it is not believed


class Glare(NamedTuple):
    """A spot of light.

    Attributes:
        light: float32 `(rows, columns)`, the grey levels that it adds.
        hidden: bool `(rows, columns)`, where it is too bright to see through.
    """

    light: np.ndarray
    hidden: np.ndarray


def find_glare(grey: np.ndarray) -> Glare | None:
    """Finds the brightest spot of light in a straightened film.

    Light adds its own slopes to those of the film. Of all spots that is taken without
    which the film, and its difference from its mirror image, have the smallest total
    variation: a chest is nearly symmetric, a light in it is not.

    Args:
        grey: uint8 `(rows, columns)`, a chest film.

    Returns:
        The spot, or `None` where none makes the film much simpler.
    """
    size = (_SIDE, _SIDE)
    shrunk = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    small = cv2.GaussianBlur(shrunk, (0, 0), 1.0)
    clipped = (grey >= _CLIPPED).astype(np.float32)
    whole = cv2.resize(clipped, size, interpolation=cv2.INTER_AREA) <= 0.2
    seen = cv2.erode(whole.astype(np.uint8), np.ones((3, 3))) > 0
    slopes = [*_slopes(small, seen)]
    slopes += _slopes(small - small[:, ::-1], seen & seen[:, ::-1])
    spots = (_best(slopes, (w, h)) for w in _RADII for h in _RADII)
    gain, *spot = max(spots, key=lambda found: found[0])
    return _spread(spot, grey.shape) if gain >= _LEAST_GAIN else None


def _slopes(picture, seen):
    """Both differences between neighbours, and where they are to be believed."""
    seen = seen[:-1, :-1]
    right = (picture[:, 1:] - picture[:, :-1])[:-1]
    down = (picture[1:] - picture[:-1])[:, :-1]
    return (right * seen, seen, True), (down * seen, seen, False)


def _best(slopes, radii):
    """`(gain, column, row, width, height, level)` of the best spot of one size."""
    reach = [int(2.2 * radius) + 1 for radius in radii]
    x, y = np.meshgrid(*(np.arange(-r, r + 2, dtype=np.float32) for r in reach))
    spot = np.exp(-((x / radii[0]) ** 2) - (y / radii[1]) ** 2)
    before, after, length = 0.0, [0.0] * len(_LEVELS), 0.0
    for slope, seen, is_right in slopes:
        part = np.diff(spot, axis=1)[:-1] if is_right else np.diff(spot, axis=0)[:, :-1]
        pad = ((reach[1], reach[1]), (reach[0], reach[0]))
        windows, believed = (
            sliding_window_view(np.pad(a, pad), part.shape)[::2, ::2]
            for a in (slope, seen)
        )
        length += float(np.abs(part).sum())
        part = part * believed
        before = before + np.abs(windows).sum((2, 3))
        for k, level in enumerate(_LEVELS):
            after[k] = after[k] + np.abs(windows - level * part).sum((2, 3))
    # Over the mean of the film's own variation and that of a spot of 60 levels.
    gains = (before - np.stack(after)) / np.sqrt(before * length * 60 + 1)
    level, row, column = np.unravel_index(gains.argmax(), gains.shape)
    best = float(gains[level, row, column])
    return best, 2 * int(column), 2 * int(row), *radii, _LEVELS[level]


def _spread(spot, shape):
    column, row, width, height, level = spot
    x, y = (
        (np.arange(side, dtype=np.float32) + 0.5) * _SIDE / side - 0.5
        for side in shape[::-1]
    )
    light = np.exp(-(((y - row) / height)[:, None] ** 2)) * np.exp(
        -(((x - column) / width) ** 2)
    )
    return Glare(level * light, light > _HIDDEN)
