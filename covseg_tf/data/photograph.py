"""What a telephone's camera makes of a film on a screen or a light box."""

import cv2
import numpy as np


def photograph_augmentation(
    image: np.ndarray, masks: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Photographs a film: what is left after the picture was cut to the film.

    Perspective and tilt, the beat of a screen's pixels (moire), uneven light, a
    glare, the blur of the lens, exposure, sensor noise and JPEG, each by chance and
    in its degree. The list is that of CheXphoto (Phillips et al. 2020,
    arXiv:2007.06199).

    Args:
        image: uint8 `(rows, columns)`.
        masks: uint8 `(rows, columns, flows)`; move with the image, by nearest
            neighbour.
        rng: Where the chances come from.

    Returns:
        `(image, masks)` of the same shapes and types.

    Raises:
        ValueError: If the two differ in size.
    """
    if masks.shape[:2] != image.shape:
        raise ValueError(
            "Image and masks must have one size. Received: "
            f"{image.shape} and {masks.shape[:2]}"
        )
    rows, columns = image.shape
    x, y = np.meshgrid(
        np.linspace(0, 1, columns, dtype=np.float32),
        np.linspace(0, 1, rows, dtype=np.float32),
    )
    picture: np.ndarray = image.astype(np.float32)
    if rng.random() < 0.4:
        picture *= _moire(x * columns, y * rows, rng)
    wall = float(rng.choice((20, 200)))
    move = _perspective(rows, columns, rng)
    size = (columns, rows)
    picture = cv2.warpPerspective(picture, move, size, borderValue=wall)
    masks = cv2.warpPerspective(masks, move, size, flags=cv2.INTER_NEAREST)
    masks = masks.reshape(rows, columns, -1)

    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, 0.4)
    picture = picture * (
        1 + slope * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))
    )
    if rng.random() < 0.3:
        centre, width = rng.uniform(0.1, 0.9, 2), rng.uniform(0.04, 0.12, 2)
        spot = ((x - centre[0]) / width[0]) ** 2 + ((y - centre[1]) / width[1]) ** 2
        picture = picture + rng.uniform(40, 140) * np.exp(-spot)
    picture = picture * rng.uniform(0.7, 1.15) + rng.uniform(-10, 30)  # exposure
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.1) * rows / 256)
    picture = picture + rng.normal(0, rng.uniform(1, 5), picture.shape)
    coded = cv2.imencode(
        ".jpg",
        np.clip(picture, 0, 255).astype(np.uint8),
        [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 95))],
    )[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)), masks


def _moire(x, y, rng):
    across, down = rng.uniform(2.2, 12.0, 2)
    tilt = rng.uniform(-0.1, 0.1, 2)
    depth = rng.uniform(0.01, 0.08, 2)
    return (1 + depth[0] * np.sin(2 * np.pi * (x + tilt[0] * y) / across)) * (
        1 + depth[1] * np.sin(2 * np.pi * (y + tilt[1] * x) / down)
    )


def _perspective(rows, columns, rng):
    corners = np.array(
        [[0, 0], [columns, 0], [columns, rows], [0, rows]], dtype=np.float32
    )
    moved = corners + rng.uniform(-0.05, 0.05, (4, 2)) * (columns, rows)
    return cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
