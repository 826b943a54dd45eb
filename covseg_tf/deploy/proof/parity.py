"""Is the artifact the model it came from?"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from covseg_tf.evaluation.predictor import Predictor
from covseg_tf.evaluation.scores import image_scores, summarize


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
    reference: Predictor,
    artifact: Predictor,
    images: Sequence[np.ndarray],
    masks: dict[str, Sequence[np.ndarray]],
) -> dict[str, FlowParity]:
    """Runs both on the same prepared pixels and compares maps and Dice.

    Args:
        reference: The Keras model, from `keras_predictor` or `load_predictor`.
        artifact: What was exported from it.
        images: uint8 `(height, width)` images from `spec.apply`.
        masks: Dict from flow to masks `(height, width)`, one per image.

    Returns:
        Dict from flow to `FlowParity`.

    Raises:
        ValueError: If there is no image, the numbers of images and masks differ, or
            the two take images of different size.
    """
    if not len(images) or any(len(images) != len(m) for m in masks.values()):
        raise ValueError(
            f"Need as many masks as images. Received {len(images)} images and "
            f"{ {flow: len(m) for flow, m in masks.items()} } masks"
        )
    if reference.spec != artifact.spec:
        raise ValueError(
            f"{artifact.name} takes {artifact.spec}, but {reference.name} takes "
            f"{reference.spec}; export it from this model."
        )
    found = {flow: _Running() for flow in masks}
    for number, pixels in enumerate(images):
        maps, others = reference(pixels), artifact(pixels)
        for flow, running in found.items():
            running.add(masks[flow][number], maps[flow], others[flow], artifact)
    return {flow: running.result() for flow, running in found.items()}


class _Running:
    """The comparison so far: no two maps are kept."""

    def __init__(self):
        self.largest, self.means, self.scores = 0.0, [], ([], [])

    def add(self, mask, reference, artifact, predictor):
        difference = np.abs(reference - artifact)
        if not np.isfinite(difference).all():
            difference = np.full_like(difference, np.inf)
        self.largest = max(self.largest, float(difference.max()))
        self.means.append(float(difference.mean(dtype=np.float64)))
        for scores, probability in zip(self.scores, (reference, artifact), strict=True):
            scores.append(image_scores(mask, probability, predictor.threshold))

    def result(self):
        keras, artifact = (summarize(rows, "lesions") for rows in self.scores)
        return FlowParity(
            max_difference=self.largest,
            mean_difference=float(np.mean(self.means)),
            keras_dice=keras["dice"],
            artifact_dice=artifact["dice"],
            images=keras["images"],
        )
