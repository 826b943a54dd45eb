"""Straightens a film that was photographed: on a screen, on a light box."""

import dataclasses

import cv2
import numpy as np

from covseg_tf.imaging.correct.find_quadrilateral import find_quadrilateral
from covseg_tf.imaging.correct.glare import find_glare

# A camera's picture has some colour nearly everywhere, however grey its subject, and
# little; a film with coloured letters has it there alone.
_TINT, _TINTED, _SAMPLES = (2, 80), 0.3, 128
_LEAST_SIDE = 64
# Light that falls off is taken out; what is further from even is no light.
_LEAST_LIGHT, _MOST_LIGHT = 0.7, 1.4
_DARK = 8.0


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A film, cut out of a photograph and straightened.

    Attributes:
        pixels: uint8 `(rows, columns)`, the film.
        corners: float32 `(4, 2)`, where it lies in the photograph: `(x, y)` of its
            corners from the top left on, clockwise.
        shape: `(rows, columns)` of the photograph.
        glare: bool `(rows, columns)` of the film, where a light is mirrored in it, or
            `None`. In `pixels` it is taken out as far as it can be.
    """

    pixels: np.ndarray = dataclasses.field(repr=False)
    corners: np.ndarray
    shape: tuple[int, int]
    glare: np.ndarray | None = dataclasses.field(default=None, repr=False)

    def to_picture(self, image: np.ndarray) -> np.ndarray:
        """Returns what lies on the film as it lies in the photograph.

        Args:
            image: `(rows, columns)` of the film's shape: a map, or a mask of bool.
        """
        rows, columns = self.shape
        turn = np.linalg.inv(_transform(self.corners, self.pixels.shape))
        levels = cv2.warpPerspective(image.astype(np.float32), turn, (columns, rows))
        if image.dtype == bool:
            return levels > 0.5
        if image.dtype.kind in "ui":
            return np.rint(levels).astype(image.dtype)
        return levels.astype(image.dtype)

    def resized(self, rows: int, columns: int) -> "Photograph":
        """Returns both film and photograph at one size, as a network sees them.

        Args:
            rows: Rows of both.
            columns: Columns of both.
        """
        scale = np.array([columns / self.shape[1], rows / self.shape[0]], np.float32)
        film = cv2.resize(self.pixels, (columns, rows), interpolation=cv2.INTER_AREA)
        corners = (self.corners + 0.5) * scale - 0.5
        glare = self.glare
        if glare is not None:
            levels = cv2.resize(
                glare.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA
            )
            glare = levels > 0.5
        return Photograph(film, corners, (rows, columns), glare)


def is_camera_picture(image: np.ndarray) -> bool:
    """Tells a picture that has some colour all over, as a camera's has.

    Args:
        image: As it was decoded, `(rows, columns)` or `(rows, columns, channels)`.
    """
    if image.ndim != 3 or image.shape[2] < 3 or image.dtype != np.uint8:
        return False
    if min(image.shape[:2]) < _LEAST_SIDE:
        return False
    rows, columns = (max(1, side // _SAMPLES) for side in image.shape[:2])
    few = image[::rows, ::columns, :3]
    apart = few.max(axis=2) - few.min(axis=2)
    low, high = _TINT
    return bool((apart >= low).mean() > _TINTED and np.median(apart) <= high)


def straighten(grey: np.ndarray) -> Photograph | None:
    """Finds the film in a photograph, and straightens it.

    Perspective and the fall of the light are taken out. The wall tells the light.

    Args:
        grey: uint8 `(rows, columns)`, a camera's picture in grey.

    Returns:
        The film, or `None` where none was found.
    """
    found = find_quadrilateral(grey)
    if found is None:
        return None
    film = _cut(grey, found.corners)
    wall = cv2.resize(found.wall, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    light = _cut(wall, found.corners, film.shape)
    if light.min() >= _DARK:
        light = np.clip(light / light.mean(), _LEAST_LIGHT, _MOST_LIGHT)
        film = film / light
    pixels = _levels(film)
    glare = find_glare(pixels)
    if glare is None:
        return Photograph(pixels, found.corners, grey.shape)
    return Photograph(
        _levels(film - glare.light), found.corners, grey.shape, glare.hidden
    )


def _levels(film):
    return np.clip(np.rint(film), 0, 255).astype(np.uint8)


def _cut(picture, corners, shape=None):
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    rows, columns = shape or (
        max(1, round(float(sides[i] + sides[i + 2]) / 2)) for i in (1, 0)
    )
    turn = _transform(corners, (rows, columns))
    return cv2.warpPerspective(
        picture.astype(np.float32),
        turn,
        (columns, rows),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _transform(corners, shape):
    rows, columns = shape
    # The outline runs along the edges of the film's outermost pixels.
    to = np.float32([[0, 0], [columns, 0], [columns, rows], [0, rows]]) - 0.5
    return cv2.getPerspectiveTransform(corners.astype(np.float32), to)
