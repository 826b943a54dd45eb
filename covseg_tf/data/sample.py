"""One image with its two masks, and splits over many of them."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from covseg_tf.edge.preprocessing import PreprocessingSpec, read_image, to_grey


@dataclasses.dataclass(frozen=True)
class Sample:
    """Where one image and its masks are.

    Attributes:
        name: Unique name within its data set.
        image: Path of the image.
        lung_mask: Path of the lung mask.
        infection_mask: Path of the infection mask.
        finding: What the data set says of it, for example `"COVID-19"`.
    """

    name: str
    image: pathlib.Path
    lung_mask: pathlib.Path
    infection_mask: pathlib.Path
    finding: str


def load_sample(
    sample: Sample, spec: PreprocessingSpec
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads one sample at the size of the network's input.

    Args:
        sample: What to read.
        spec: The preprocessing that the bundle will carry.

    Returns:
        `(image, lung, infection)`: uint8 grey pixels and two uint8 masks of 0
        and 1, each `(height, width)`.

    Raises:
        ValueError: If a file cannot be read, a mask has another size than its
            image or holds other values than 0 and 255 (or 0 and 1).
    """
    pixels = read_image(sample.image)
    masks = []
    for path in (sample.lung_mask, sample.infection_mask):
        mask = to_grey(read_image(path))
        if mask.shape != pixels.shape[:2]:
            raise ValueError(
                f"{path}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels but "
                f"its image is {pixels.shape[1]}x{pixels.shape[0]}; export both "
                "at one size."
            )
        if not np.isin(mask, (0, 255)).all() and not np.isin(mask, (0, 1)).all():
            raise ValueError(
                f"{path}: a mask holds 0 and 255 only; found values "
                f"{np.unique(mask)[:8].tolist()}. Threshold it and save it as PNG."
            )
        masks.append(spec.resize_mask((mask > 0).astype(np.uint8)))
    return spec.apply(pixels), *masks


def split_samples(
    samples: Sequence[Sample], fraction: float, seed: int = 0
) -> tuple[list[Sample], list[Sample]]:
    """Splits samples at random, the same share of every finding.

    Args:
        samples: What to split.
        fraction: Share of the second part, in `(0, 1)`.
        seed: Seed of the split; the same seed gives the same split whatever
            the order of `samples`.

    Returns:
        `(rest, held_out)`.

    Raises:
        ValueError: If `fraction` is not in `(0, 1)`.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must be in (0, 1). Received: {fraction}")
    rng = np.random.default_rng(seed)
    rest, held_out = [], []
    for finding in sorted({s.finding for s in samples}):
        group = sorted(
            (s for s in samples if s.finding == finding), key=lambda s: s.name
        )
        count = max(1, round(fraction * len(group))) if len(group) > 1 else 0
        chosen = set(rng.permutation(len(group))[:count].tolist())
        for index, sample in enumerate(group):
            (held_out if index in chosen else rest).append(sample)
    return rest, held_out
