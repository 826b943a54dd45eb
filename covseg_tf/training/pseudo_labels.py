"""Lungs for films on which nobody drew them."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from covseg_tf.data import Sample, load_sample
from covseg_tf.data.load_sample import load_image
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.edge.lung_shape import drop_specks, split_lungs

SMALLEST_PIECE = 0.005  # of the image's area, as the edge runtime drops them


def draw_pseudo_lungs(
    predict: Callable[[np.ndarray], dict[str, np.ndarray]],
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    folder: str | pathlib.Path,
    weight: float = 0.3,
) -> list[Sample]:
    """Draws the lungs of films that have no lung mask, by a trained network.

    Masks that are no pair of lungs side by side are not kept. Masks already in
    `folder` are taken as they are, so that a resumed run learns from the same.

    Source: Lee 2013, "Pseudo-Label".

    Args:
        predict: From uint8 pixels `(height, width)` to maps `(height, width)` in
            `[0, 1]` by flow, such as `keras_predictor` gives.
        samples: Any; those with a lung mask pass unchanged.
        spec: The preprocessing of `predict`.
        folder: Where the masks go, one PNG each; made if missing.
        weight: What a drawn lung counts in the lung's loss. Defaults to 0.3.

    Returns:
        The samples, in their order, with masks at the image's own size.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        sample
        if sample.lung_mask is not None
        else _drawn(predict, sample, spec, folder, weight)
        for sample in samples
    ]


def _drawn(predict, sample, spec, folder, weight):
    path = folder / f"{sample.source}_{sample.name}".replace("/", "_")
    path = path.with_name(path.name + ".png")
    if not path.is_file():
        pixels = load_sample(sample, spec)[0]
        lungs = drop_specks(predict(pixels)["lung"] > 0.5, SMALLEST_PIECE)
        if split_lungs(lungs) is None:
            lungs[:] = False
        rows, columns = load_image(sample).shape
        mask = cv2.resize(
            lungs.astype(np.uint8) * 255,
            (columns, rows),
            interpolation=cv2.INTER_NEAREST,
        )
        cv2.imwrite(str(path), mask)
    if not cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).any():
        return sample
    weights = (weight * sample.weights[0], sample.weights[1])
    return dataclasses.replace(sample, lung_mask=path, weights=weights)
