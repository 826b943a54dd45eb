"""A look inside: where the lung flow steers the infection flow."""

import keras
from keras import ops

from covseg_tf.layers import RegionFusionAttention


def region_gates(model: keras.Model, images) -> dict[str, dict]:
    """Returns the two gates of every Region Fusion Attention, per image.

    Args:
        model: A `DualFlowSegmenter`, or any functional model with
            `RegionFusionAttention` layers at its top level.
        images: `(batch, height, width, channels)`, as the model takes them.

    Returns:
        Dict from the layer's name, in the order of the decoder (coarse to
        fine), to `{"lung": A_L, "infection": A_I}`: NumPy arrays `(batch,
        rows, columns)` at the layer's own scale, in `(0, 1)` (`A_I` is
        unbounded where the gate is linear).

    Raises:
        ValueError: If the model has no such layer.

    Example:

    >>> model = DualFlowSegmenter(EdgeEncoder((64, 64, 1)))
    >>> gates = region_gates(model, keras.ops.zeros((1, 64, 64, 1)))
    >>> gates["rfa_d3_1"]["lung"].shape
    (1, 16, 16)
    """
    attentions = [x for x in model.layers if isinstance(x, RegionFusionAttention)]
    if not attentions:
        raise ValueError(
            f"The model {model.name!r} has no RegionFusionAttention layer, so "
            "there is no gate to show (attention='none'?)."
        )
    features = keras.Model(
        model.input, {layer.name: layer.input for layer in attentions}
    )(ops.convert_to_tensor(images), training=False)
    gates = {}
    for layer in attentions:
        lung, infection = features[layer.name]
        gates[layer.name] = {
            "lung": _to_numpy(layer.lung_attention(lung)),
            "infection": _to_numpy(layer.infection_attention(lung, infection)),
        }
    return gates


def _to_numpy(gate):
    return ops.convert_to_numpy(ops.cast(gate[..., 0], "float32"))
