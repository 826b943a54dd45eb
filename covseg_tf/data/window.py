"""From Hounsfield units to the grey levels that a radiologist looks at."""

import numpy as np

LUNG_LEVEL = -600.0
LUNG_WIDTH = 1500.0


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
