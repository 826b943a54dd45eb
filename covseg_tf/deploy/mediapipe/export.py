"""A TFLite file for MediaPipe's ImageSegmenter: RGB in, one map of classes out."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from covseg_tf.deploy.calibration import calibration_inputs
from covseg_tf.deploy.flows import two_flows
from covseg_tf.deploy.mediapipe.metadata import add_metadata
from covseg_tf.deploy.tflite.contents import check_scales
from covseg_tf.deploy.tflite.export import convert_network
from covseg_tf.edge.preprocessing import PreprocessingSpec

LABELS = ("background", "clear lung", "infection")
# ITU-R BT.601 luma of R, G, B.
_LUMA = (0.299, 0.587, 0.114)


def export_mediapipe(
    model: keras.Model,
    spec: PreprocessingSpec,
    calibration: Sequence[np.ndarray],
    description: str = "Lungs and infection in a chest X-ray. Research use only.",
) -> bytes:
    """Converts a dual-flow network to what MediaPipe's ImageSegmenter runs.

    MediaPipe takes RGB and one output, whose channels are classes. With `L` and `I`
    the probabilities of lung and infection, they are `1 - L`, `L (1 - I)` and `L I`:
    they sum to one, so that the class with the largest is the category mask. Full
    integer, uint8 in and out, with metadata and labels inside; the file is a TFLite
    file like any other.

    Args:
        model: Keras model with the outputs `lung` and `infection`.
        spec: The preprocessing the model was trained with.
        calibration: Prepared training images, uint8 `(height, width)`.
        description: A line for the metadata.

    Returns:
        Bytes of the TFLite file: uint8 `(1, height, width, 3)` in and out; the
        output's own scale makes probabilities of `LABELS`.

    Raises:
        ValueError: If the model or the calibration images do not fit, or a tensor
            is always zero.
    """
    network = _classes(two_flows(model, spec), spec)
    images = [np.repeat(x, 3, -1) for x in calibration_inputs(calibration, spec)]
    shape = (1, spec.height, spec.width, 3)
    data = convert_network(network, shape, "full_integer", "uint8", images)
    check_scales(data)
    return add_metadata(data, "covseg_tf", description, {"classes": LABELS})


def _classes(network, spec):
    image = keras.Input((spec.height, spec.width, 3), name="image")
    luma = keras.layers.Conv2D(1, 1, use_bias=False, trainable=False, name="luma")
    maps = network(luma(image))
    luma.set_weights([np.array(_LUMA, np.float32).reshape(1, 1, 3, 1)])
    infected = ops.multiply(maps["lung"], maps["infection"])
    clear = ops.subtract(maps["lung"], infected)
    background = ops.subtract(1.0, maps["lung"])
    classes = ops.concatenate([background, clear, infected], axis=-1)
    return keras.Model(image, {"classes": classes})
