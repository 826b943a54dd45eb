"""Real chests seen from the side, and cut other than across, made of CT slices.

Real lateral films and coronal pictures to fit on were not to be had: these have the
anatomy, though neither the grain of a film nor thin slices. A volume is uint8
`(slices, rows, columns)`, head first, the spine below; all return uint8
`(256, 256)`.
"""

import cv2
import numpy as np

from benchmarks.guard import changes

SIDE = changes.SIDE
# Grey levels of CT slices to what weakens a ray: their contrast was raised upstream.
POWERS = (1.2, 1.8, 2.4, 3.0, 3.5)


def coronal(rng, volume):
    """A slab from front to back, as a figure shows it."""
    return _cut(rng, volume.transpose(1, 0, 2), (0.3, 0.75))


def sagittal(rng, volume):
    """A slab from side to side; the patient looks left or right."""
    picture = _cut(rng, volume.transpose(2, 0, 1), (0.2, 0.8))
    return _either_way(rng, picture)


def shadows_of(volume):
    """Each of `POWERS` with what the rays from side to side leave, for `lateral`.

    Returns:
        List of `(shadow, body, level)`: mean density and share of the body along
        each ray, float `(slices, rows)`, and the density of tissue.
    """
    found = []
    for power in POWERS:
        density = ((np.arange(256) / 255) ** power).astype(np.float32)[volume]
        body = cv2.GaussianBlur((density > 0.15).mean(axis=2), (0, 0), 3)
        tissue = float(density[density > 0.3].mean())
        found.append((density.mean(axis=2), body, tissue))
    return found


def lateral(rng, shadows, film):
    """A lateral film: the rays' way through the chest from one side to the other.

    Args:
        rng: A NumPy generator.
        shadows: From `shadows_of`.
        film: uint8 `(rows, columns)`, a frontal film, whose grain it may take.
    """
    shadow, body, tissue = shadows[rng.integers(len(shadows))]
    shadow = _stretch(shadow, int(rng.uniform(150, 260)))
    shadow = _below_the_dome(rng, shadow, _stretch(body, len(shadow)) * tissue)
    picture = _either_way(rng, _grey(rng, _crop(rng, shadow)))
    return _with_grain(rng, picture, film) if rng.random() < 0.6 else picture


def one_sided(rng, film):
    """A frontal film's halves laid over one another: one field, the spine beside it."""
    rows, columns = film.shape
    middle = int(columns * rng.uniform(0.42, 0.58))
    reach = int(columns * rng.uniform(0.0, 0.1))
    right = changes.resize(film[:, : middle + reach]).astype(np.float32)
    left = changes.resize(film[:, middle - reach :][:, ::-1]).astype(np.float32)
    share = rng.choice([0.0, 1.0, rng.uniform(0.3, 0.7)])
    mixed = share * right + (1 - share) * left
    return _either_way(rng, mixed.astype(np.uint8))


def _cut(rng, planes, places):
    held = np.flatnonzero(planes[:, ::4, ::4].max(axis=(1, 2)) > 100)
    place = held[int(rng.uniform(*places) * len(held))]
    thick = int(rng.choice([1, 2, 4, 10]))
    slab = planes[place : place + thick].astype(np.float32)
    slab = slab.max(axis=0) if rng.random() < 0.15 else slab.mean(axis=0)
    slab = cv2.GaussianBlur(slab, (1, 3), sigmaX=0.1, sigmaY=rng.uniform(0.3, 1))
    slab = _stretch(slab, int(rng.uniform(140, 260)))
    if rng.random() < 0.5:
        tissue = np.full_like(slab, np.percentile(slab, rng.uniform(70, 95)))
        slab = _below_the_dome(rng, slab, tissue * (slab.max(axis=0) > 60))
    picture = _crop(rng, slab)
    return changes.resize(np.clip(picture, 0, 255).astype(np.uint8))


def _stretch(plane, rows):
    size = (plane.shape[1], rows)
    return cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)


def _below_the_dome(rng, plane, tissue):
    """The belly, whose dome the slices with a lesion do not always reach."""
    y, x = np.mgrid[0 : plane.shape[0], 0 : plane.shape[1]] / plane.shape[1]
    top = plane.shape[0] / plane.shape[1] * rng.uniform(0.65, 1.05)
    bend = rng.uniform(0.2, 1.2) * (x - rng.uniform(0.35, 0.65)) ** 2
    share = 1 / (1 + np.exp(-(y - top - bend) * rng.uniform(15, 60)))
    return plane * (1 - share) + tissue * share


def _crop(rng, plane):
    """To what is not air, and some of the air."""
    inside = np.flatnonzero(plane.max(axis=0) >= 0.15 * plane.max())
    first, last = inside[0], inside[-1] + 1
    air = int(0.12 * len(inside) * rng.random())
    return plane[:, max(first - air, 0) : last + air]


def _grey(rng, shadow):
    shadow = np.maximum(shadow, 0) ** rng.uniform(0.6, 1.3)
    low, high = np.percentile(shadow, (rng.uniform(0, 8), rng.uniform(95, 100)))
    levels = 255 * (shadow - low) / (high - low + 1e-6)
    return changes.resize(np.clip(levels, 0, 255).astype(np.uint8))


def _with_grain(rng, picture, film):
    film = changes.detail(rng, film, (0.3, 0.7)).astype(np.float32)
    grain = film - cv2.GaussianBlur(film, (0, 0), rng.uniform(2, 8))
    mixed = picture + rng.uniform(0.2, 0.8) * _either_way(rng, grain)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _either_way(rng, picture):
    return picture if rng.random() < 0.5 else np.ascontiguousarray(picture[:, ::-1])
