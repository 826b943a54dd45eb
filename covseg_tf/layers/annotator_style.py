"""One map, and how each kind of annotator would have drawn it."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="covseg_tf")
class AnnotatorStyle(keras.layers.Layer):
    """Turns a map's logits into the probabilities of another annotator.

    `sigmoid(scale * z + offset)`, one learnt scale and offset for the whole map.
    Outlines are drawn generously, readers' extents are not; the same place looks
    involved to both, at another level. With a style of its own each kind of label
    can be learnt from without bending the map to the other.

    Args:
        scale: Float > 0, first value of the scale. Defaults to 0.5.
        offset: Float, first value of the offset. Defaults to 0.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        logits: `(..., 1)`.

    Returns:
        Probabilities of the same shape, in `[0, 1]`.

    Raises:
        ValueError: If `scale` is not positive.

    Example:

    >>> style = AnnotatorStyle(scale=2.0, offset=-1.0)
    >>> round(float(style(keras.ops.array([[0.5]]))[0, 0]), 3)
    0.5
    """

    def __init__(self, scale: float = 0.5, offset: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        if not scale > 0:
            raise ValueError(f"`scale` must be positive. Received: scale={scale}")
        self.first_scale = float(scale)
        self.first_offset = float(offset)

    def build(self, input_shape):
        self.scale = self._number("scale", self.first_scale)
        self.offset = self._number("offset", self.first_offset)
        self.built = True

    def _number(self, name, first):
        # Not cast under a half-precision policy, for it meets logits in float32.
        constant = keras.initializers.Constant(first)
        return self.add_weight(
            shape=(), initializer=constant, dtype="float32", autocast=False, name=name
        )

    def call(self, logits):
        logits = ops.cast(logits, "float32")
        return ops.sigmoid(self.scale * logits + self.offset)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "scale": self.first_scale,
            "offset": self.first_offset,
        }
