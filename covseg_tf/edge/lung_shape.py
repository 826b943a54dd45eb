"""What the outline of the lungs says: pieces, sides, tilt, distance to the edge.

Masks are bool `(height, width)` on the network's grid.
"""

import cv2
import numpy as np

# Shares of the image's area.
_SMALLEST_LUNG = 0.02
# The smaller lung, as a share of the larger one.
_SMALLEST_RATIO = 0.2


def drop_specks(mask: np.ndarray, share: float) -> np.ndarray:
    """Returns the mask without pieces smaller than `share` of its area."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = np.zeros(count, bool)
    keep[1:] = stats[1:, cv2.CC_STAT_AREA] >= share * mask.size
    return keep[labels]


def split_lungs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns `(image's left lung, image's right lung)`, or `None`.

    The two largest pieces are the lungs if both are large enough, of a like
    size and side by side; other pieces join the nearer one.
    """
    count, labels, stats, centres = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8)
    )
    if count < 3:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    first, second = (np.argsort(-areas, kind="stable")[:2] + 1).tolist()
    large, small = areas[first - 1], areas[second - 1]
    if small < max(_SMALLEST_LUNG * mask.size, _SMALLEST_RATIO * large):
        return None
    left, right = sorted((first, second), key=lambda label: centres[label][0])
    # Side by side: each centre lies outside the other's columns.
    left_end = stats[left, cv2.CC_STAT_LEFT] + stats[left, cv2.CC_STAT_WIDTH]
    if not (centres[right][0] > left_end and centres[left][0] < stats[right, 0]):
        return None
    middle = (centres[left][0] + centres[right][0]) / 2
    on_left = np.zeros(count, bool)
    on_left[1:] = centres[1:, 0] < middle
    on_left[left], on_left[right] = True, False
    is_left = on_left[labels]
    return mask & is_left, mask & ~is_left


def lung_tilt(
    sides: tuple[np.ndarray, np.ndarray], image_shape: tuple[int, int]
) -> float:
    """Returns how far the line through the lungs' centres is from level.

    Args:
        sides: The two lungs, from `split_lungs`.
        image_shape: `(rows, columns)` of the image: its angles count, not those
            of the grid that it was stretched to.

    Returns:
        Degrees in `[0, 90]`.
    """
    first, second = (np.argwhere(side).mean(axis=0) for side in sides)
    down, across = np.abs(second - first) * image_shape / sides[0].shape
    return float(np.degrees(np.arctan2(down, across)))


def edge_contact(mask: np.ndarray) -> float:
    """Returns the largest share of an edge of the image that lungs touch, `[0, 1]`.

    The outermost pixels of the four sides count, each side for itself.
    """
    sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return max(float(side.mean()) for side in sides)
