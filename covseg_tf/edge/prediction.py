"""What the network says of one image, in maps, masks and numbers."""

import dataclasses
import functools

import cv2
import numpy as np

# Shares of the image's area. A lung of an adult's frontal film covers 8-25 %.
_LUNG_SPECK = 0.005
_SMALLEST_LUNG = 0.02
_PLAUSIBLE_LUNGS = (0.08, 0.75)
_INFECTION_SPECK = 0.001
# The smaller lung, as a share of the larger one.
_SMALLEST_RATIO = 0.2


@dataclasses.dataclass(frozen=True)
class Involvement:
    """Percent of the projected lung area covered by infection, `[0, 100]`.

    `left` and `right` are the patient's, in a film hung as usual: the
    patient's right lung is on the image's left. A number is `None` where it
    would be a guess; `Prediction.flags` says why.
    """

    total: float | None
    left: float | None
    right: float | None


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Lung and infection of one image.

    Maps and masks come at the image's own resolution. Numbers are computed
    on the network's grid, where a stretched image keeps its area ratios.

    Attributes:
        image_shape: `(rows, columns)` of the image.
        lung_levels: uint8 `(height, width)` on the network's grid: lung
            probability times 256, as the network gives it.
        infection_levels: Likewise for infection.
        threshold: Probability above which a pixel is foreground.
    """

    image_shape: tuple[int, int]
    lung_levels: np.ndarray = dataclasses.field(repr=False)
    infection_levels: np.ndarray = dataclasses.field(repr=False)
    threshold: float = 0.5

    @property
    def lung(self) -> np.ndarray:
        """Lung probability, float32 `(rows, columns)`, in `[0, 1]`."""
        return self._to_image(self.lung_levels)

    @property
    def infection(self) -> np.ndarray:
        """Infection probability, float32 `(rows, columns)`, in `[0, 1]`."""
        return self._to_image(self.infection_levels)

    @property
    def lung_mask(self) -> np.ndarray:
        """Lung without specks, bool `(rows, columns)`."""
        return self._mask_to_image(self._lung_grid)

    @property
    def infection_mask(self) -> np.ndarray:
        """Infection inside the lungs, without specks, bool `(rows, columns)`."""
        return self._mask_to_image(self._infection_grid)

    @functools.cached_property
    def involvement(self) -> Involvement:
        """Percent of lung involved: total, left, right."""
        if {"no_lungs_found", "lung_area_implausible"} & set(self.flags):
            return Involvement(None, None, None)
        total = _percent(self._infection_grid, self._lung_grid)
        if self._sides is None:
            return Involvement(total, None, None)
        right, left = (_percent(self._infection_grid, side) for side in self._sides)
        return Involvement(total, left, right)

    @functools.cached_property
    def flags(self) -> tuple[str, ...]:
        """Reasons for missing numbers, empty if there is none.

        `"no_lungs_found"`, `"lung_area_implausible"` (below 8 % or above 75 %
        of the image), `"lungs_not_separable"` (fewer than two lungs side by
        side).
        """
        share = np.count_nonzero(self._lung_grid) / self._lung_grid.size
        if share == 0:
            return ("no_lungs_found",)
        flags = []
        low, high = _PLAUSIBLE_LUNGS
        if not low <= share <= high:
            flags.append("lung_area_implausible")
        if self._sides is None:
            flags.append("lungs_not_separable")
        return tuple(flags)

    @functools.cached_property
    def _lung_grid(self):
        return _drop_specks(self.lung_levels > 256 * self.threshold, _LUNG_SPECK)

    @functools.cached_property
    def _infection_grid(self):
        painted = self.infection_levels > 256 * self.threshold
        return _drop_specks(painted & self._lung_grid, _INFECTION_SPECK)

    @functools.cached_property
    def _sides(self):
        return _split_lungs(self._lung_grid)

    def _to_image(self, levels):
        rows, columns = self.image_shape
        maps = levels.astype(np.float32) / 256.0
        if maps.shape == (rows, columns):
            return maps
        return cv2.resize(maps, (columns, rows), interpolation=cv2.INTER_LINEAR)

    def _mask_to_image(self, mask):
        rows, columns = self.image_shape
        if mask.shape == (rows, columns):
            return mask
        # Bilinear, then cut: a smoother outline than nearest neighbour gives.
        soft = cv2.resize(
            mask.astype(np.uint8) * 255, (columns, rows), interpolation=cv2.INTER_LINEAR
        )
        return soft > 127


def _percent(infection, lung):
    return 100.0 * np.count_nonzero(infection & lung) / np.count_nonzero(lung)


def _drop_specks(mask, share):
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = np.zeros(count, bool)
    keep[1:] = stats[1:, cv2.CC_STAT_AREA] >= share * mask.size
    return keep[labels]


def _split_lungs(mask):
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
