"""Augmentation that takes the hospital out of a film, and leaves the disease in."""

from collections.abc import Callable

import cv2
import numpy as np

Operation = Callable[[np.ndarray, np.ndarray | None, np.random.Generator], np.ndarray]


def source_blind_augmentation(
    image: np.ndarray,
    other: np.ndarray | None,
    rng: np.random.Generator,
    share: float = 0.3,
) -> np.ndarray:
    """Changes what tells films of different hospitals apart.

    Each of these with probability `share`, in this order: the grey levels, or the
    low frequencies, of another film; contrast by CLAHE; a curve of the grey levels;
    blur or sharpening; noise; JPEG; dark or bright patches at the edges, where
    hospitals put letters, collimators and frames. Anatomy does not move, so masks
    stay as they are.

    Sources: histogram matching; Yang and Soatto 2020, "FDA: Fourier Domain
    Adaptation for Semantic Segmentation".

    Args:
        image: uint8 `(rows, columns)`.
        other: A film of another source, uint8 of the same shape; `None` leaves
            the first two out.
        rng: Where the chances come from.
        share: Probability of each operation, in `[0, 1]`. Defaults to 0.3.

    Returns:
        uint8 `(rows, columns)`; `image` is not changed.

    Raises:
        ValueError: If `image` is not uint8 and two-dimensional, `other` differs in
            shape, or `share` is out of range.
    """
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(
            "Expected uint8 (rows, columns). Received: "
            f"{image.dtype} {tuple(image.shape)}"
        )
    if other is not None and other.shape != image.shape:
        raise ValueError(
            "`other` must have the image's shape; resize it. Received: "
            f"{other.shape} and {image.shape}"
        )
    if not 0 <= share <= 1:
        raise ValueError(f"`share` must be in [0, 1]. Received: {share}")
    for operation in _OPERATIONS:
        if rng.random() < share:
            image = operation(image, other, rng)
    return image


def match_histogram(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the image with the grey levels of another, rank by rank.

    Args:
        image: uint8, any shape.
        other: uint8, any shape.
    """
    own, wanted = (
        np.cumsum(np.bincount(x.ravel(), minlength=256)) / x.size
        for x in (image, other)
    )
    # The first level that reaches a rank: those above the brightest reach it too.
    ranks, levels = np.unique(wanted, return_index=True)
    table = np.interp(own, ranks, levels)
    return np.rint(table).astype(np.uint8)[image]


def swap_low_frequencies(
    image: np.ndarray, other: np.ndarray, radius: int
) -> np.ndarray:
    """Returns the image with the low Fourier amplitudes of another; its own phases.

    Args:
        image: uint8 `(rows, columns)`.
        other: uint8 of the same shape.
        radius: Int >= 0: frequencies up to so many periods per image are swapped.
    """
    own, wanted = (np.fft.rfft2(x.astype(np.float32)) for x in (image, other))
    corner = np.s_[: radius + 1, : radius + 1]
    mirror = np.s_[own.shape[0] - radius :, : radius + 1]
    for part in (corner, mirror) if radius else (corner,):
        size = np.abs(own[part])
        own[part] *= np.abs(wanted[part]) / np.maximum(size, 1e-6)
    return _to_uint8(np.fft.irfft2(own, s=image.shape))


def _other_grey(image, other, rng):
    if other is None:
        return image
    if rng.random() < 0.5:
        changed = match_histogram(image, other)
    else:
        changed = swap_low_frequencies(image, other, int(rng.integers(1, 4)))
    part = rng.uniform(0.5, 1.0)  # between the two films, not only one or the other
    return cv2.addWeighted(changed, part, image, 1 - part, 0)


def _equalize(image, other, rng):
    grid = int(rng.integers(2, 9))
    return cv2.createCLAHE(rng.uniform(1.0, 4.0), (grid, grid)).apply(image)


def _curve(image, other, rng):
    gamma = np.exp(rng.uniform(-0.6, 0.6))
    low, high = np.sort(rng.uniform((-0.1, 0.8), (0.15, 1.15)))
    table = low + (high - low) * np.linspace(0, 1, 256) ** gamma
    return _to_uint8(255 * table)[image]


def _sharpness(image, other, rng):
    sigma = rng.uniform(0.5, 1.5) * image.shape[0] / 256
    blurred = cv2.GaussianBlur(image, (0, 0), sigma)
    if rng.random() < 0.5:
        return blurred
    amount = rng.uniform(0.5, 2.0)
    return cv2.addWeighted(image, 1 + amount, blurred, -amount, 0)


def _noise(image, other, rng):
    noise = rng.normal(0, rng.uniform(2, 12), image.shape).astype(np.float32)
    if rng.random() < 0.5:  # grain of the film, not of the pixel
        noise = 2 * cv2.GaussianBlur(noise, (0, 0), 1.0)
    return _to_uint8(image + noise)


def _compress(image, other, rng):
    quality = int(rng.integers(25, 90))
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)


def _edge_patches(image, other, rng):
    rows, columns = image.shape
    image = image.copy()
    for _ in range(rng.integers(1, 4)):
        height, width = (rng.uniform(0.02, 0.14, 2) * (rows, columns)).astype(int) + 1
        if rng.random() < 0.3:  # a frame or collimator along a whole edge
            height, width = (rows, width) if rng.random() < 0.5 else (height, columns)
        top = int(rng.choice((0, rows - height)))
        left = int(rng.choice((0, columns - width)))
        if width < columns and height < rows:
            if rng.random() < 0.5:
                left = int(rng.integers(0, columns - width + 1))
            else:
                top = int(rng.integers(0, rows - height + 1))
        grey = rng.choice((0, 255, int(rng.integers(0, 256))))
        image[top : top + height, left : left + width] = grey
    return image


def _to_uint8(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


_OPERATIONS: tuple[Operation, ...] = (
    _other_grey,
    _equalize,
    _curve,
    _sharpness,
    _noise,
    _compress,
    _edge_patches,
)
