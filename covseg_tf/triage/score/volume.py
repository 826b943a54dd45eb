"""Scores a CT volume slice by slice."""

import dataclasses

import numpy as np

from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.imaging import Volume

# A slice above or below the lungs has few of them or none: no reason for a flag of
# the volume. Most slices unlike CT are.
_NOT_CT = "not_a_ct_slice"
# The lungs of a chest fill so much of the slice with most of them, in cm2 or of the
# picture, and together no more than so many millilitres. A school child has 60 cm2;
# the sinuses of a head and the lung bases of an abdomen are smaller.
_LEAST_AREA, _LEAST_SHARE, _MOST_ML = 40.0, 0.02, 12_000.0


@dataclasses.dataclass(frozen=True)
class FoundVolume:
    """What was found in a volume.

    Attributes:
        lung: bool `(slices, rows, columns)`.
        infection: bool `(slices, rows, columns)`.
        flags: `"no_lungs_found"`, `"lung_area_implausible"` if they are too small
            or too large for a chest, or `"not_a_ct_slice"` if more than half of
            the slices are flagged so.
        voxel_ml: Millilitres of a voxel, or `None` if the spacing is unknown.
    """

    lung: np.ndarray = dataclasses.field(repr=False)
    infection: np.ndarray = dataclasses.field(repr=False)
    flags: tuple[str, ...] = ()
    voxel_ml: float | None = None

    @property
    def involved_percent(self) -> float | None:
        """Percent of the lung's voxels that are infected, `None` if flagged."""
        if self.flags:
            return None
        infection, lung = map(np.count_nonzero, (self.infection, self.lung))
        return 100.0 * int(infection) / int(lung)

    @property
    def lung_ml(self) -> float | None:
        """Millilitres of lung, `None` if flagged or the spacing is unknown."""
        return self._millilitres(self.lung)

    @property
    def infection_ml(self) -> float | None:
        """Millilitres of infection, likewise."""
        return self._millilitres(self.infection)

    @property
    def shown(self) -> int:
        """The slice with most infection, or with most lung if there is none."""
        for masks in (self.infection, self.lung):
            sums = masks.sum(axis=(1, 2))
            if sums.any():
                return int(sums.argmax())
        return len(self.lung) // 2

    def _millilitres(self, masks):
        if self.flags or self.voxel_ml is None:
            return None
        return float(np.count_nonzero(masks) * self.voxel_ml)


def score_volume(volume: Volume, segmenter: Segmenter) -> FoundVolume:
    """Segments each axial slice by itself.

    Args:
        volume: The volume.
        segmenter: One with a model for CT.

    Returns:
        What was found in it.
    """
    lung, infection = np.zeros((2, *volume.slices.shape), bool)
    unlike = 0
    for index, pixels in enumerate(volume.slices):
        found = segmenter.predict(pixels)
        unlike += _NOT_CT in found.flags
        # Counted inside the lungs only; the two are resized apart.
        lung[index] = found.lung_mask
        infection[index] = found.infection_mask & lung[index]
    flags: tuple[str, ...] = ()
    if 2 * unlike > len(volume.slices):
        flags = (_NOT_CT,)
    elif not lung.any():
        flags = ("no_lungs_found",)
    elif not _is_chest(lung, volume.spacing):
        flags = ("lung_area_implausible",)
    voxel_ml = None if volume.spacing is None else float(np.prod(volume.spacing)) / 1000
    return FoundVolume(lung, infection, flags, voxel_ml)


def _is_chest(lung, spacing):
    """Whether the lungs are as large as those of a chest."""
    largest = int(lung.sum(axis=(1, 2)).max())
    if spacing is None:
        return largest >= _LEAST_SHARE * lung[0].size
    step, rows, columns = spacing
    area = largest * rows * columns / 100
    millilitres = np.count_nonzero(lung) * step * rows * columns / 1000
    return area >= _LEAST_AREA and millilitres <= _MOST_ML
