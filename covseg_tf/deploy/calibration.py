"""Images of a data set's training split, for exporters that calibrate or train."""

import pathlib
from collections.abc import Sequence

import numpy as np

from covseg_tf.data import Sample, list_splits, load_sample, read_samples
from covseg_tf.deploy.flows import network_input
from covseg_tf.edge.preprocessing import PreprocessingSpec


def read_training_samples(
    root: str | pathlib.Path, images: int | None = None
) -> list[Sample]:
    """Lists samples of the training split, at equal steps through it.

    The share of every finding is then that of the training images.

    Args:
        root: The data set's folder, in any layout of `read_samples`; if it comes
            with splits, `"Train"` or `"train"` is read.
        images: How many, if there are so many; `None` (default) for all.

    Raises:
        ValueError: If the layout is not known, it has splits but none to train, or
            `images` is below 1.
    """
    if images is not None and images < 1:
        raise ValueError(f"`images` must be at least 1. Received: {images}")
    splits = list_splits(root)
    split = next((s for s in splits if s.lower() == "train"), None)
    if splits and split is None:
        raise ValueError(
            f"{root}: has no split to train on, and no other may be used. It has: "
            f"{', '.join(splits)}."
        )
    samples = read_samples(root, split)
    count = min(images or len(samples), len(samples))
    return [samples[i * len(samples) // count] for i in range(count)]


def read_calibration(
    root: str | pathlib.Path, spec: PreprocessingSpec, images: int = 200
) -> list[np.ndarray]:
    """Reads training images to calibrate on.

    Args:
        root: As for `read_training_samples`.
        spec: The preprocessing.
        images: How many, if there are so many. Defaults to 200.

    Returns:
        uint8 `(height, width)` images, prepared.

    Raises:
        ValueError: As `read_training_samples`.
    """
    samples = read_training_samples(root, images)
    return [load_sample(sample, spec)[0] for sample in samples]


def calibration_inputs(
    calibration: Sequence[np.ndarray] | None, spec: PreprocessingSpec
) -> list[np.ndarray]:
    """Returns calibration images as a float network takes them.

    Args:
        calibration: Prepared images, uint8 `(height, width)`.
        spec: The preprocessing they must come from.

    Returns:
        List of float32 `(1, height, width, 1)`.

    Raises:
        ValueError: If there is none, or one has another type or size.
    """
    images = [] if calibration is None else calibration
    shape = (spec.height, spec.width)
    if not len(images) or any(x.dtype != np.uint8 or x.shape != shape for x in images):
        raise ValueError(
            f"`calibration` must hold uint8 images {shape} from `spec.apply`. "
            f"Received: {len(images)} images"
        )
    return [network_input(pixels, spec) for pixels in images]
