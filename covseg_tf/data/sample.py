"""One image with its two masks, and splits over many of them."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Sample:
    """Where one image and its masks are.

    Attributes:
        name: Unique name within its data set.
        image: Path of the image: PNG or another format that OpenCV reads, a
            DICOM X-ray, or a CT volume as NIfTI.
        lung_mask: Path of the lung mask; of a volume, if the image is one. `None`
            where nobody drew one: then it is not learnt from.
        infection_mask: Path of the infection mask, likewise.
        finding: What the data set says of it, for example `"COVID-19"`.
        patient: Who it was taken of; `split_samples` keeps a patient's images
            on one side. `None` (default) where the data set does not say.
        slice_index: Which axial slice of a volume, from 0; `None` (default) for
            a file that holds one image.
        spacing: Distance of neighbouring pixels in mm, `(rows, columns)`;
            `None` (default) where the file does not say.
        infection_labels: Which labels of a mask volume are infection; `None`
            (default) for all above 0.
        window: `(level, width)` in HU through which a CT slice is seen;
            `None` (default) for the lung window, see `window_hounsfield`.
        source: Which data set or hospital it comes from; `""` (default) where that
            is not known. `source_blind_augmentation` swaps what sources differ in.
        infection_free: Whether it is known to show no infection: an empty mask
            stands in for `infection_mask`. Defaults to `False`.
        extents: Readers' mean extent of the patient's right and left lung, each in
            `[0, 4]` or `None`; `None` (default) where no lung was scored.
        least_share: Lowest share of both lungs together that must be involved: what
            a finding without outline or score says. `None` (default) for nothing.
        weights: What it counts in the lung's and the infection's loss, each at
            least 0. Defaults to `(1, 1)`.
    """

    name: str
    image: pathlib.Path
    lung_mask: pathlib.Path | None
    infection_mask: pathlib.Path | None
    finding: str
    patient: str | None = None
    slice_index: int | None = None
    spacing: tuple[float, float] | None = None
    infection_labels: tuple[int, ...] | None = None
    window: tuple[float, float] | None = None
    source: str = ""
    infection_free: bool = False
    extents: tuple[float | None, float | None] | None = None
    least_share: float | None = None
    weights: tuple[float, float] = (1.0, 1.0)


def split_samples(
    samples: Sequence[Sample], fraction: float, seed: int = 0
) -> tuple[list[Sample], list[Sample]]:
    """Splits samples at random, the same share of every finding.

    A patient's images stay on one side: groups are split, where a group is a
    patient, or a single image whose patient is not known.

    Args:
        samples: What to split.
        fraction: Share of the groups in the second part, in `(0, 1)`.
        seed: Seed of the split; the same seed gives the same split whatever
            the order of `samples`.

    Returns:
        `(rest, held_out)`.

    Raises:
        ValueError: If `fraction` is not in `(0, 1)`.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must be in (0, 1). Received: {fraction}")
    # A patient with several findings counts to the first of them.
    groups: dict[tuple[str | None, str], list[Sample]] = {}
    for sample in sorted(samples, key=lambda s: (s.finding, s.name)):
        key = (sample.patient, "" if sample.patient else sample.name)
        groups.setdefault(key, []).append(sample)
    by_finding: dict[str, list[list[Sample]]] = {}
    for group in groups.values():
        by_finding.setdefault(group[0].finding, []).append(group)
    rng = np.random.default_rng(seed)
    rest: list[Sample] = []
    held_out: list[Sample] = []
    for finding in sorted(by_finding):
        members = by_finding[finding]
        count = max(1, round(fraction * len(members))) if len(members) > 1 else 0
        chosen = set(rng.permutation(len(members))[:count].tolist())
        for index, group in enumerate(members):
            (held_out if index in chosen else rest).extend(group)
    return rest, held_out
