"""Images to calibrate on."""

import pathlib

import numpy as np

from covseg_tf.data import list_splits, load_sample, read_samples
from covseg_tf.edge.preprocessing import PreprocessingSpec


def read_calibration(
    root: str | pathlib.Path, spec: PreprocessingSpec, images: int = 200
) -> list[np.ndarray]:
    """Reads images at equal steps through a data set's training split.

    The share of every finding is then that of the training images.

    Args:
        root: The data set's folder, in any layout of `read_samples`; if it comes
            with splits, `"Train"` or `"train"` is read.
        spec: The preprocessing.
        images: About how many.

    Returns:
        uint8 `(height, width)` images, prepared.

    Raises:
        ValueError: If the layout is not known, or it has splits but none to train.
    """
    splits = list_splits(root)
    split = next((s for s in splits if s.lower() == "train"), None)
    if splits and split is None:
        raise ValueError(
            f"{root}: has no split to train, and others must not calibrate. It has: "
            f"{', '.join(splits)}."
        )
    samples = read_samples(root, split)
    picked = samples[:: max(1, len(samples) // images)]
    return [load_sample(sample, spec)[0] for sample in picked]
