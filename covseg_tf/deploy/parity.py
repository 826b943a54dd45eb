"""Is the artifact the model it came from?"""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.metrics.reference import image_scores, summarize


@dataclasses.dataclass(frozen=True)
class FlowParity:
    """Artifact against Keras, one flow.

    Attributes:
        max_difference: Largest difference of a pixel's probability.
        mean_difference: Mean absolute difference.
        keras_dice: Mean Dice of the Keras model over images whose mask is not
            empty (protocol `lesions`).
        artifact_dice: Likewise of the artifact.
        images: Number of images that count in the Dice.
    """

    max_difference: float
    mean_difference: float
    keras_dice: float
    artifact_dice: float
    images: int

    @property
    def dice_change(self) -> float:
        """Artifact minus Keras."""
        return self.artifact_dice - self.keras_dice


def check_parity(
    model: keras.Model,
    segmenter: Segmenter,
    images: Sequence[np.ndarray],
    masks: dict[str, Sequence[np.ndarray]],
    batch_size: int = 16,
) -> dict[str, FlowParity]:
    """Runs both on the same prepared pixels and compares maps and Dice.

    Args:
        model: The Keras model.
        segmenter: The exported artifact.
        images: uint8 `(height, width)` images from `spec.apply`.
        masks: Dict from flow to masks `(height, width)`, one per image.
        batch_size: Images per Keras call.

    Returns:
        Dict from flow to `FlowParity`.

    Raises:
        ValueError: If there is no image, or the numbers of images and masks
            differ.
    """
    if not len(images) or any(len(images) != len(m) for m in masks.values()):
        raise ValueError(
            f"Need as many masks as images. Received {len(images)} images and "
            f"{ {flow: len(m) for flow, m in masks.items()} } masks"
        )
    spec = segmenter.bundle.preprocessing
    artifact = [segmenter.run(pixels) for pixels in images]
    pixels = np.stack(images)[..., None].astype(np.float32) * spec.scale
    maps = model.predict(pixels, batch_size=batch_size, verbose=0)
    threshold = segmenter.bundle.threshold
    return {
        flow: _compare(
            maps[flow][..., 0],
            np.stack([levels[flow] for levels in artifact]) / 256.0,
            masks[flow],
            threshold,
        )
        for flow in masks
    }


def _compare(reference, artifact, masks, threshold):
    difference = np.abs(reference - artifact)
    dice = [
        summarize(
            [image_scores(m, p, threshold) for m, p in zip(masks, maps, strict=True)],
            "lesions",
        )
        for maps in (reference, artifact)
    ]
    return FlowParity(
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        keras_dice=dice[0]["dice"],
        artifact_dice=dice[1]["dice"],
        images=dice[0]["images"],
    )
