"""From features to probabilities: a flow's map, and whether there is a lesion."""

import keras
from keras import ops

from covseg_tf.models.side_outputs import PRESENCE_OUTPUT

# Logits that the infection map loses per logit of absence.
_GATE_SLOPE = 6.0


def norm_relu(x, name: str):
    """Returns the features after batch normalization and ReLU."""
    x = keras.layers.BatchNormalization(
        momentum=0.97, epsilon=1e-5, name=f"{name}_norm"
    )(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def map_head(x, stride: int, name: str, absence=None):
    """Returns the probability map `(batch, height, width, 1)` of a flow's features.

    Args:
        x: Symbolic features.
        stride: Theirs, in pixels of the image.
        name: Of the output.
        absence: `None`, or the logit of `absence_logit`, which then gates the map.
    """
    # A 1x1 convolution and a bilinear upsampling commute, so the convolution
    # comes first: the same map for 1/stride^2 of the arithmetic. The head is in
    # float32 whatever the policy: losses and thresholds read it, and XLA on a
    # CPU cannot compile the gradient of a one-channel half-precision 1x1.
    x = keras.layers.Conv2D(1, 1, dtype="float32", name=f"{name}_logits")(x)
    if absence is not None:
        x = _gated(x, absence)
    x = keras.layers.UpSampling2D(
        stride, interpolation="bilinear", dtype="float32", name=f"{name}_up"
    )(x)
    return keras.layers.Activation("sigmoid", dtype="float32", name=name)(x)


def absence_logit(x):
    """Returns the logit that an image shows no infection, `(batch, 1, 1, 1)`."""
    x = keras.layers.Conv2D(64, 1, use_bias=False, name="presence_conv")(x)
    x = norm_relu(x, "presence")
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="presence_mean")(x)
    return keras.layers.Conv2D(1, 1, dtype="float32", name="presence_absence")(x)


def presence_head(absence):
    """Returns the probability that an image shows infection, `(batch, 1, 1, 1)`."""
    return keras.layers.Activation("sigmoid", dtype="float32", name=PRESENCE_OUTPUT)(
        ops.negative(absence)
    )


def _gated(logits, absence):
    # Nothing is taken away from an image that seems to show infection. A fixed
    # 1x1 convolution and a sum, not a product: integer devices round both alike.
    penalty = keras.layers.ReLU(dtype="float32", name="presence_penalty")(absence)
    weight = keras.layers.Conv2D(
        1,
        1,
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(-_GATE_SLOPE),
        trainable=False,
        dtype="float32",
        name="presence_slope",
    )
    gate = keras.layers.Add(dtype="float32", name="presence_gate")
    return gate([logits, weight(penalty)])
