"""Finds a film before a plain wall: four corners."""

from typing import NamedTuple

import cv2
import numpy as np

# Longest side of the picture that is searched; the corners are then set in the whole.
_SIDE = 320
# Where the wall is looked for, as a share of a side; and how much of that must be it.
_RING, _MOSTLY = 0.04, 0.85
# Grey levels off the wall that are no wall, at least, and in deviations of its own.
_OFF, _DEVIATIONS = 6.0, 5.0
# A film's share of a photograph; of its outline, what is not like the wall.
_AREA, _FILLED = (0.08, 0.97), 0.85
_MOST_COSINE = 0.5  # corners of 60 to 120 degrees
# Points along a side where its edge is looked for, how many must show one, and in how
# many parts of a pixel.
_POINTS, _SHOWN, _FINE = 64, 0.3, 2


class Quadrilateral(NamedTuple):
    """A film in a picture.

    Attributes:
        corners: float32 `(4, 2)`, `(x, y)` in pixels whose centres are whole numbers:
            top left, top right, bottom right, bottom left.
        wall: float32 `(rows, columns)`, the grey level of the wall, as if it went on
            behind the film; of the searched picture, at most 320 pixels a side.
    """

    corners: np.ndarray
    wall: np.ndarray


def find_quadrilateral(grey: np.ndarray) -> Quadrilateral | None:
    """Finds what is no wall, if it has four straight sides.

    The wall is what the picture's rim shows: grey levels that change slowly. The film
    may be brighter, darker, or both.

    Args:
        grey: uint8 `(rows, columns)`.

    Returns:
        The film, or `None` where there is no plain wall or nothing straight on it.
    """
    factor = min(1.0, _SIDE / max(grey.shape))
    rows, columns = (round(side * factor) for side in grey.shape)
    if min(rows, columns) < _SIDE // 8:
        return None
    small = cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA)
    found = _wall_of(small.astype(np.float32))
    if found is None:
        return None
    wall, limit = found
    corners = _outline_of(np.abs(small - wall) > limit)
    if corners is None:
        return None
    scale = np.array([grey.shape[1] / columns, grey.shape[0] / rows], np.float32)
    corners = (corners + 0.5) * scale - 0.5
    for reach in (1.5, 0.75):  # pixels of the small picture
        corners = _refined(grey, wall, corners, reach / factor, limit)
        if corners is None or not _is_film(corners, grey.shape):
            return None
    return Quadrilateral(corners, wall)


def _wall_of(small):
    """The wall's grey levels and how far from them is none, or `None`."""
    rows, columns = small.shape
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1)
    rim = np.maximum(np.abs(x), np.abs(y)) > 1 - 2 * _RING
    at, levels = terms[rim], small[rim]
    kept = np.abs(levels - np.median(levels)) < 60
    for _ in range(4):
        if kept.mean() < _MOSTLY:
            return None
        fit = np.linalg.lstsq(at[kept], levels[kept], rcond=None)[0]
        off = np.abs(levels - at @ fit)
        limit = max(_OFF, _DEVIATIONS * 1.4826 * float(np.median(off)))
        kept = off < limit
    return terms @ fit, limit


def _outline_of(off):
    """Four corners around the largest thing on the wall, or `None`."""
    kernel = np.ones((3, 3), np.uint8)
    off = cv2.morphologyEx(off.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    off = cv2.morphologyEx(off, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    contours, _ = cv2.findContours(off, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    hull = cv2.convexHull(max(contours, key=cv2.contourArea))
    hull = cv2.approxPolyDP(hull, 0.005 * cv2.arcLength(hull, True), True)[:, 0]
    corners = _four_sides(hull.astype(np.float32))
    if corners is None or not _is_film(corners, off.shape):
        return None
    if cv2.contourArea(hull) < _FILLED * cv2.contourArea(corners):
        return None
    return corners


def _four_sides(hull):
    """The polygon with sides dropped, each for its neighbours' meeting point."""
    while len(hull) > 4:
        # Dropping side (i, i + 1) moves both its ends to where its neighbours meet.
        before, start, end, after = (np.roll(hull, k, axis=0) for k in (1, 0, -1, -2))
        meet = _meetings(before, start, after, end)
        ahead = np.einsum("ij,ij->i", meet - start, start - before) > 0
        added = np.abs(_cross(end - start, meet - start)) / 2
        added[~(ahead & np.isfinite(added))] = np.inf
        drop = int(np.argmin(added))
        if not np.isfinite(added[drop]):
            return None
        hull[drop] = meet[drop]
        hull = np.delete(hull, (drop + 1) % len(hull), axis=0)
    if len(hull) < 4:
        return None
    # From the corner at the top left on, clockwise as a picture is seen.
    if _cross(hull[1] - hull[0], hull[2] - hull[1]) < 0:
        hull = hull[::-1]
    return np.ascontiguousarray(np.roll(hull, -np.argmin(hull.sum(axis=1)), axis=0))


def _meetings(a, b, c, d):
    """Where lines through `a`, `b` and through `c`, `d` meet."""
    along, other = b - a, d - c
    with np.errstate(divide="ignore", invalid="ignore"):
        way = _cross(c - a, other) / _cross(along, other)
        return (a + way[..., None] * along).astype(np.float32)


def _cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _is_film(corners, shape):
    rows, columns = shape
    slack = 0.01 * max(shape)
    if (corners < -slack).any() or (corners > (columns + slack, rows + slack)).any():
        return False
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.linalg.norm(sides, axis=1)
    if not lengths.min() > 0.15 * max(shape):
        return False
    turns = _cross(sides, np.roll(sides, -1, axis=0))
    units = sides / lengths[:, None]
    cosines = np.einsum("ij,ij->i", units, np.roll(units, -1, axis=0))
    share = cv2.contourArea(corners) / (rows * columns)
    low, high = _AREA
    return (
        (turns > 0).all()
        and np.abs(cosines).max() < _MOST_COSINE
        and (low < share < high)
    )


def _refined(grey, wall, corners, reach, limit):
    """The corners where the sides' edges meet, or `None` if a side shows none."""
    ends = np.roll(corners, -1, axis=0)
    lines = [
        _edge(grey, wall, a, b, reach, limit)
        for a, b in zip(corners, ends, strict=True)
    ]
    if any(line is None for line in lines):
        return None
    starts, stops = (np.stack(part) for part in zip(*lines, strict=True))
    return _meetings(
        np.roll(starts, 1, axis=0), np.roll(stops, 1, axis=0), starts, stops
    )


def _edge(grey, wall, a, b, reach, limit):
    """Two points of the line near `a`, `b` where the wall ends, or `None`."""
    along = (b - a) / np.linalg.norm(b - a)
    inward = np.float32([-along[1], along[0]])
    way = np.linspace(0.04, 0.96, _POINTS, dtype=np.float32)
    offsets = np.arange(-2 * reach, 2 * reach, 1 / _FINE, dtype=np.float32)
    points = (a + way[:, None] * (b - a))[:, None] + offsets[:, None] * inward
    levels = _sampled(grey, points)
    # Along the side noise is averaged away, across it the edge stays.
    levels = cv2.GaussianBlur(levels, (0, 0), sigmaX=_FINE, sigmaY=1.0)
    scale = (np.float32(wall.shape) / grey.shape)[::-1]
    behind = _sampled(wall, (points + 0.5) * scale - 0.5)
    off = (np.abs(levels - behind) > limit / 2).astype(np.uint8)
    off = cv2.erode(off, np.ones((1, 2 * _FINE)), anchor=(0, 0))  # 2 pixels of it
    first = off.argmax(axis=1)
    shown = off.any(axis=1)
    if shown.mean() < _SHOWN:
        return None
    # Where it changes most in the 4 pixels there: a blurred edge's middle.
    change = np.abs(np.gradient(levels, axis=1))
    steps = np.arange(len(offsets))
    near = np.abs(steps - first[:, None] - _FINE) <= 2 * _FINE
    best = np.where(near, change, -1).argmax(axis=1)
    fit = _line(way[shown], offsets[best[shown]])
    return tuple(a + t * (b - a) + inward * np.polyval(fit, t) for t in (0.0, 1.0))


def _sampled(picture, points):
    x, y = (np.ascontiguousarray(points[..., k], np.float32) for k in (0, 1))
    border = cv2.BORDER_REPLICATE
    sampled = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=border)
    return sampled.astype(np.float32)


def _line(way, places):
    """A straight line through most of the points."""
    fit = np.array([0.0, np.median(places)])
    for width in (8.0, 4.0, 2.0, 1.5):
        off = np.abs(places - np.polyval(fit, way))
        near = off <= max(width, float(np.median(off)))
        fit = np.polyfit(way[near], places[near], 1)
    return fit
