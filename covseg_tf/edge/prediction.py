"""What the network says of one image, in maps, masks and numbers."""

import dataclasses
import functools

import cv2
import numpy as np

from covseg_tf.edge.lung_shape import drop_specks, edge_contact, lung_tilt, split_lungs
from covseg_tf.edge.readers import ReadersScale
from covseg_tf.edge.zones import Zones, extent_score, measure_zones, percent_of
from covseg_tf.imaging.correct.photograph import Photograph

# Shares of the image's area. A lung of an adult's frontal film covers 8-25 %.
_LUNG_SPECK = 0.005
_PLAUSIBLE_LUNGS = (0.08, 0.75)
_INFECTION_SPECK = 0.001
# Degrees that the line through the lungs' centres may be off level, and the share
# of an edge that lungs may touch. What they catch: docs/results/guard.md.
MOST_TILT = 25.0
MOST_CONTACT = 0.2
# With one of these, numbers would be about something else than a chest.
NOT_SCORED = frozenset(
    {
        "too_few_greys",
        "not_a_chest_xray",
        "not_a_ct_slice",
        "film_rotated",
        "no_lungs_found",
        "lung_area_implausible",
    }
)


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
        image_shape: `(rows, columns)` of the image; of a photograph, of the film that
            was cut out of it.
        lung_levels: uint8 `(height, width)` on the network's grid: lung
            probability times 256, as the network gives it.
        infection_levels: Likewise for infection.
        threshold: Probability above which a pixel is foreground.
        guard_flags: What `covseg_tf.edge.guard` said of the image, if it was asked.
        modality: `"xray"` or `"ct"`. Extent, zones, tilt and contact with the edge
            are of frontal X-rays only.
        readers: How the map becomes a readers' extent. With `None` (default) the
            extent is the score of the outlined percentage, a whole number.
        camera: Whether the image is a camera's, to judge by its colours.
        photograph: The film's place in it, or `None`.
        unreadable: bool `(height, width)`, where glare hides the film; not counted.
    """

    image_shape: tuple[int, int]
    lung_levels: np.ndarray = dataclasses.field(repr=False)
    infection_levels: np.ndarray = dataclasses.field(repr=False)
    threshold: float = 0.5
    guard_flags: tuple[str, ...] = ()
    modality: str = "xray"
    readers: ReadersScale | None = None
    camera: bool = False
    photograph: Photograph | None = dataclasses.field(default=None, repr=False)
    unreadable: np.ndarray | None = dataclasses.field(default=None, repr=False)

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
    def sides(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The patient's right and left lung on the network's grid, bool.

        `None` where there are no two lungs side by side.
        """
        return split_lungs(self._lung_grid)

    @functools.cached_property
    def involvement(self) -> Involvement:
        """Percent of lung involved: total, left, right."""
        if NOT_SCORED & set(self.flags):
            return Involvement(None, None, None)
        total = percent_of(self._infection_grid, self._readable(self._lung_grid))
        if self._counted_sides is None:
            return Involvement(total, None, None)
        right, left = (
            percent_of(self._infection_grid, side) for side in self._counted_sides
        )
        return Involvement(total, left, right)

    @property
    def extent(self) -> float | None:
        """Geographic extent of both lungs, 0 to 8, with one decimal.

        What readers would say where the bundle knows their scale (`readers`), else
        the score of the outline, see `extent_score`. `None` for a CT slice, and
        where a lung has no percentage.
        """
        right, left = self.extent_right, self.extent_left
        return None if right is None or left is None else round(right + left, 1)

    @property
    def extent_right(self) -> float | None:
        """Extent score of the patient's right lung, 0 to 4, or `None`."""
        return self._extent_of(self.involvement.right, 0)

    @property
    def extent_left(self) -> float | None:
        """Extent score of the patient's left lung, 0 to 4, or `None`."""
        return self._extent_of(self.involvement.left, 1)

    @functools.cached_property
    def zones(self) -> Zones | None:
        """The six lung zones of a film, or `None` as for `extent`."""
        if self.extent is None or self.sides is None:
            return None
        return measure_zones(self._infection_grid, self._counted_sides)

    @functools.cached_property
    def flags(self) -> tuple[str, ...]:
        """What to know before the numbers are used, empty if there is nothing.

        First the guard's: `"too_few_greys"`, `"not_a_chest_xray"`, `"not_a_ct_slice"`,
        `"film_rotated"`. Then those of the lungs that were found:
        `"no_lungs_found"`; `"lung_area_implausible"` (below 8 % or above 75 % of
        the image); `"lungs_not_separable"` (fewer than two lungs side by side: no
        numbers per lung); `"film_rotated"` too when the line through their centres
        is more than 25 degrees off level; `"lungs_cut_off"` (they touch more than
        20 % of an edge: the numbers are of what is in the picture). All but
        `"lungs_not_separable"` and `"lungs_cut_off"` leave the image unscored. Last,
        of how the image was taken: `"photograph"`, `"glare"` (part of it is left out
        of the numbers).
        """
        taken = {"photograph": self.camera, "glare": self.unreadable is not None}
        flags = (*self.guard_flags, *self._lung_flags())
        flags += tuple(flag for flag, holds in taken.items() if holds)
        return tuple(dict.fromkeys(flags))

    def _lung_flags(self):
        lungs = self._lung_grid
        share = np.count_nonzero(lungs) / lungs.size
        if share == 0:
            return ("no_lungs_found",)
        low, high = _PLAUSIBLE_LUNGS
        is_film = self.modality == "xray"
        found = {
            "lung_area_implausible": not low <= share <= high,
            "lungs_not_separable": self.sides is None,
            "film_rotated": is_film and self._tilt > MOST_TILT,
            "lungs_cut_off": is_film and edge_contact(lungs) > MOST_CONTACT,
        }
        return tuple(flag for flag, holds in found.items() if holds)

    @property
    def _tilt(self):
        # Lungs that are no pair have no line through them.
        return lung_tilt(self.sides, self.image_shape) if self.sides else 0.0

    def _extent_of(self, percent, side):
        if percent is None or self.modality != "xray":
            return None
        if self.readers is None:
            return extent_score(percent)
        return self.readers.extent(self.infection_levels, self._counted_sides[side])

    @functools.cached_property
    def _lung_grid(self):
        return drop_specks(self.lung_levels > 256 * self.threshold, _LUNG_SPECK)

    @functools.cached_property
    def _infection_grid(self):
        painted = self.infection_levels > 256 * self.threshold
        lung = self._readable(self._lung_grid)
        return drop_specks(painted & lung, _INFECTION_SPECK)

    @functools.cached_property
    def _counted_sides(self):
        return self.sides and tuple(map(self._readable, self.sides))

    def _readable(self, mask):
        return mask if self.unreadable is None else mask & ~self.unreadable

    def _to_image(self, levels):
        rows, columns = self.image_shape
        maps = levels.astype(np.float32) / 256.0
        if maps.shape != (rows, columns):
            maps = cv2.resize(maps, (columns, rows), interpolation=cv2.INTER_LINEAR)
        return maps if self.photograph is None else self.photograph.to_picture(maps)

    def _mask_to_image(self, mask):
        rows, columns = self.image_shape
        if mask.shape != (rows, columns):
            # Bilinear, then cut: a smoother outline than nearest neighbour gives.
            mask = (
                cv2.resize(
                    mask.astype(np.uint8) * 255,
                    (columns, rows),
                    interpolation=cv2.INTER_LINEAR,
                )
                > 127
            )
        return mask if self.photograph is None else self.photograph.to_picture(mask)
