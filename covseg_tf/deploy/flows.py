"""What every exporter asks of a network: two flows, of one grey image."""

import keras
import numpy as np

from covseg_tf.edge.preprocessing import PreprocessingSpec

FLOWS = ("lung", "infection")


def two_flows(model: keras.Model, spec: PreprocessingSpec | None = None) -> keras.Model:
    """Returns the network without side outputs, sharing its weights.

    Args:
        model: Functional Keras model with the outputs `lung` and `infection`.
        spec: The preprocessing that it must fit; `None` (default) for any.

    Raises:
        ValueError: If it lacks an output or takes images of another size.
    """
    outputs = getattr(model, "output", None)
    if not isinstance(outputs, dict) or not set(FLOWS) <= set(outputs):
        names = sorted(outputs) if isinstance(outputs, dict) else type(outputs).__name__
        raise ValueError(
            "The model must give a dict with 'lung' and 'infection' (build "
            f"DualFlowSegmenter with lung_supervision=True). Received: {names}"
        )
    size = tuple(model.inputs[0].shape[1:])
    expected = (spec.height, spec.width, 1) if spec else size
    if any(a not in (None, b) for a, b in zip(size, expected, strict=True)):
        raise ValueError(
            f"The model takes images {size}, the preprocessing spec makes "
            f"{expected}; use the spec the model was trained with."
        )
    flows = {flow: outputs[flow] for flow in FLOWS}
    return keras.Model(model.inputs[0], flows, name=model.name)


def network_input(pixels: np.ndarray, spec: PreprocessingSpec) -> np.ndarray:
    """Returns prepared pixels as a batch of one for a float network.

    Args:
        pixels: uint8 `(height, width)`, from `spec.apply`.
        spec: The preprocessing.

    Returns:
        float32 `(1, height, width, 1)`.
    """
    return pixels[None, :, :, None].astype(np.float32) * np.float32(spec.scale)
