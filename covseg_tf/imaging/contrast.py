"""From any depth of pixels to the 8-bit grey levels that are looked at."""

import cv2
import numpy as np

LUNG_LEVEL = -600.0
LUNG_WIDTH = 1500.0
# Colours so far apart are no noise of JPEG, in more than one pixel of 1,000.
_COLOUR, _COLOURED = 12, 0.001
# Rows that are stretched at once.
_BLOCK = 256
# An end of the range is believed if it lies no further from the middle 98 % of the
# values than half of their range; else the tail is cut where a sixteenth of that range
# holds fewer than 2 pixels of 10,000: a hot pixel, a marker, a padding without a name.
_TAIL, _FAR, _STEP, _THIN = 0.01, 0.5, 1 / 16, 2e-4
# One value as far from all others is none of theirs, however often it comes, as long as
# so many pixels are left, and shades: a bar, a collimator, what is no detector.
_LEFT = 0.25
# 8-bit pixels are stretched too if they lie within so many grey levels.
_NARROW = 64
# A picture needs so many levels that each hold a thousandth of its pixels: real films
# have 70 and more; left with 32 and less their percentages are off by 2 to 17 points on
# average, with 64 by 1. And as much information as so many levels of even shares: a
# scan of one bit that JPEG or resizing gave noise has many levels, and that of 2.
_FEWEST_LEVELS, _A_LEVEL, _LEAST_INFORMATION = 33, 0.001, 2.6


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
    """Returns a decoded picture as grey levels to look at, and what was done to it.

    8-bit pixels keep their values as they do in `to_grey`, unless they fill less than
    a quarter of the range. These and all other depths are stretched between robust
    ends: a few pixels far from all others, hot ones or a marker, do not own the range.

    Args:
        image: As for `to_grey`.

    Returns:
        uint8 `(rows, columns)`, and keys of `NOTE_TEXTS`: `"colour"` where channels
        differ, `"stretched"` where the range was.

    Raises:
        ValueError: As `to_grey`.
    """
    image = np.asarray(image)
    notes = ("colour",) if image.ndim == 3 and _differ(image) else ()
    if image.dtype != np.uint8:
        return to_grey(_within_ends(image)), (*notes, "stretched")
    grey, stretched = widen(to_grey(image))
    return grey, notes + stretched


def widen(grey: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Brightens grey levels that fill less than a quarter of the range.

    By a power of two, as of a film whose lowest bits were kept in place of its highest:
    the network reads brightness, which a stretch to both ends would change. Black stays
    black unless the levels lie further from it than from one another.

    Args:
        grey: uint8 `(rows, columns)`.

    Returns:
        uint8 array of the same shape, and `("stretched",)` or `()`.
    """
    low, high = map(int, _robust_ends(grey))
    if not 0 < high - low < _NARROW:
        return grey, ()
    black = low if low > high - low else 0
    gain = 2 ** int(np.log2(256 / (high - black + 1)))
    if gain == 1:
        return grey, ()
    # A level stands for the middle of the levels that it was made of.
    table = np.clip((np.arange(256) - black) * gain + gain // 2, 0, 255)
    return table.astype(np.uint8)[grey], ("stretched",)


def has_few_greys(grey: np.ndarray) -> bool:
    """Tells a picture whose shades are gone: a scan of one bit, a window of width 1.

    Args:
        grey: uint8 `(rows, columns)` at its own size; a smaller copy mixes shades.
    """
    shares = np.bincount(grey.ravel(), minlength=256) / grey.size
    held = shares[shares > 0]
    information = np.exp2(-(held * np.log2(held)).sum())
    levels = np.count_nonzero(shares >= _A_LEVEL * (1 - shares.max()))
    return bool(levels < _FEWEST_LEVELS or information < _LEAST_INFORMATION)


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


def _within_ends(image):
    """An image whose far tails are cut; one that cannot be stretched as it is."""
    if image.size == 0 or image.dtype.kind not in "uif":
        return image
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        return image
    low, high = _robust_ends(image)
    low, high = _without_lone(image, low, high)
    return image.clip(low, high)


def _without_lone(image, low, high):
    """The ends of the range without one value at either that lies far from the rest."""
    often = _TAIL * image.size
    if max(np.count_nonzero(image == end) for end in (low, high)) <= often:
        return low, high
    inner = image[(image > low) & (image < high)]
    if inner.size < _LEFT * image.size:
        return low, high
    ends = _robust_ends(inner)
    below, above = (float(end) for end in ends)
    far = _FAR * (above - below)
    found = (
        ends[0] if below - float(low) > far else low,
        ends[1] if float(high) - above > far else high,
    )
    if found == (low, high) or len(np.unique(inner)) < _FEWEST_LEVELS:
        return low, high
    return found


def _robust_ends(image):
    """Lowest and highest value, without tails that lie far from all others."""
    size = image.size
    first, last = int(_TAIL * size), size - 1 - int(_TAIL * size)
    values = np.partition(image, (first, last), axis=None)
    low, high = values[first], values[last]
    below, above = values[: first + 1], values[last:]
    span = float(high) - float(low)
    if not 0 < span < np.inf:
        return values.min(), values.max()
    down = (float(low) - below.astype(np.float64)) / span
    up = (above.astype(np.float64) - float(high)) / span
    return below[down <= _reach(down, size)].min(), above[up <= _reach(up, size)].max()


def _reach(away, size):
    """How far a tail goes before it thins out, in ranges of the middle 98 %."""
    if away.max() <= _FAR:
        return away.max()
    counts = np.bincount((away.clip(0, 2) / _STEP).astype(np.int64))
    thin = np.flatnonzero(counts < _THIN * size)
    return thin[0] * _STEP if thin.size else away.max()


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
