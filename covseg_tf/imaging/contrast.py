"""From any depth of pixels to the 8-bit grey levels that are looked at."""

import cv2
import numpy as np

LUNG_LEVEL = -600.0
LUNG_WIDTH = 1500.0
# Colours so far apart are no noise of JPEG, in more than one pixel of 1,000.
_COLOUR, _COLOURED = 12, 0.001
# Rows that are stretched at once.
_BLOCK = 256


def window_hounsfield(
    hu: np.ndarray, level: float = LUNG_LEVEL, width: float = LUNG_WIDTH
) -> np.ndarray:
    """Returns CT values as grey levels, seen through a window.

    `level - width / 2` and below become 0, `level + width / 2` and above 255,
    linear between, rounded to the nearest level. The default is a usual lung
    window: -1350 HU is black, 150 HU white.

    Args:
        hu: Array of any shape, CT values in HU.
        level: Middle of the window in HU. Defaults to -600.
        width: Width of the window in HU, above 0. Defaults to 1500.

    Returns:
        uint8 array of the same shape.

    Raises:
        ValueError: If the width is not positive, or a value is NaN or infinity.

    Example:

    >>> window_hounsfield([-2000, -1350, -850, -50, 150, 3000]).tolist()
    [0, 0, 85, 221, 255, 255]
    """
    if not width > 0:
        raise ValueError(f"`width` must be above 0 HU. Received: {width}")
    hu = np.asarray(hu, np.float32)
    if not np.isfinite(hu).all():
        raise ValueError("The CT holds NaN or infinity; replace them before the call.")
    grey = (hu - np.float32(level - width / 2)) * np.float32(255 / width)
    return np.rint(np.clip(grey, 0, 255)).astype(np.uint8)


def as_grey(image: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns a decoded picture as `to_grey` does, and what was done to it.

    Returns:
        The grey levels, and keys of `NOTE_TEXTS`: `"colour"` where channels differ,
        `"stretched"` where there were other depths than 8 bits.

    Raises:
        ValueError: As `to_grey`.
    """
    grey = to_grey(image)
    colour = ("colour",) if image.ndim == 3 and _differ(image) else ()
    return grey, colour if image.dtype == np.uint8 else (*colour, "stretched")


def to_grey(image: np.ndarray) -> np.ndarray:
    """Returns any grey or colour image as uint8 `(rows, columns)`.

    8-bit pixels keep their values. Every other depth is stretched linearly,
    minimum to 0 and maximum to 255; a constant image becomes 0.

    Args:
        image: Array `(rows, columns)` or `(rows, columns, 1 | 3 | 4)`, integers or
            floats; colour in BGR order.

    Raises:
        ValueError: If the array is no image, is empty or holds NaN or infinity.
    """
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    is_colour = image.ndim == 3 and image.shape[-1] in (3, 4)
    if image.size == 0 or not (image.ndim == 2 or is_colour):
        raise ValueError(
            "An image must be a non-empty array (rows, columns) or "
            f"(rows, columns, 1, 3 or 4). Received shape: {image.shape}"
        )
    if image.dtype.kind not in "uifb":
        raise ValueError(
            f"An image must hold integers or floats. Received: {image.dtype}"
        )
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ValueError(
            "The image holds NaN or infinity; replace them before the call."
        )
    if image.dtype != np.uint8:
        image = _stretch_to_uint8(image)
    if is_colour:
        code = cv2.COLOR_BGR2GRAY if image.shape[-1] == 3 else cv2.COLOR_BGRA2GRAY
        image = cv2.cvtColor(image, code)
    return np.ascontiguousarray(image)


def _differ(image):
    """Whether the channels of a picture are further apart than noise of JPEG."""
    if image.shape[2] < 3:
        return False
    blue, green, red = (image[..., channel] for channel in range(3))
    apart = np.maximum(cv2.absdiff(blue, green), cv2.absdiff(green, red))
    limit = _COLOUR
    if image.dtype != np.uint8:
        limit *= float(np.abs(image).max()) / 255
    return bool((apart > limit).mean() > _COLOURED)


def _stretch_to_uint8(image):
    low, high = float(image.min()), float(image.max())
    grey = np.zeros(image.shape, np.uint8)
    if high <= low:
        return grey
    if not np.isfinite(high - low):
        raise ValueError(f"The image's range, {low:g} to {high:g}, is too wide.")
    # In blocks: a float64 copy of a large film would take 8 times its memory.
    for start in range(0, len(image), _BLOCK):
        block = image[start : start + _BLOCK].astype(np.float64)
        grey[start : start + _BLOCK] = np.rint((block - low) * (255.0 / (high - low)))
    return grey
