"""Any backbone as an encoder: one grey channel in, a pyramid out."""

from collections.abc import Sequence

import keras

# How a grey level in [0, 1], repeated on three channels, becomes what the
# architectures' ImageNet weights were trained on: (scale, offset).
_BYTES = (255.0, 0.0)
_SIGNED = (2.0, -1.0)
_CAFFE = (255.0, [-103.939, -116.779, -123.68])
_APPLICATIONS = {
    **{f"ConvNeXt{size}": _BYTES for size in ("Tiny", "Small", "Base", "Large")},
    **{f"EfficientNetV2{s}": _BYTES for s in ("B0", "B1", "B2", "B3", "S", "M", "L")},
    "MobileNetV2": _SIGNED,
    "MobileNetV3Small": _BYTES,
    "MobileNetV3Large": _BYTES,
    **{f"ResNet{depth}": _CAFFE for depth in (50, 101, 152)},
    **{f"ResNet{depth}V2": _SIGNED for depth in (50, 101, 152)},
}
_STRIDES = {"P2": 4, "P3": 8, "P4": 16, "P5": 32}
# On a few hundred steps MobileNet's own 0.999 never arrives anywhere.
_MOMENTUM = 0.9


def pyramid_encoder(
    backbone: str | keras.Model,
    input_shape: Sequence[int | None] = (256, 256, 1),
    weights: str | None = None,
    value_range: tuple[float, float] = (0.0, 255.0),
    normalize: bool = False,
) -> keras.Model:
    """Wraps a backbone as an encoder for `DualFlowSegmenter`.

    Grey input is handled here and nowhere else: images come as one channel in
    `[0, 1]` (or three, in RGB order) and are repeated to three channels and
    mapped to the range that the backbone expects.

    Args:
        backbone: Name of a `keras.applications` architecture: `ConvNeXt*`,
            `EfficientNetV2*`, `MobileNetV2`, `MobileNetV3*`, `ResNet*`,
            `ResNet*V2`. Or a keras-hub backbone (with `pyramid_outputs`) or
            keras-cv backbone (with `pyramid_level_inputs`), of one or three
            input channels.
        input_shape: `(height, width, channels)`; 1 or 3 channels; height and
            width multiples of 32, or `None` for any such size. Defaults to
            `(256, 256, 1)`.
        weights: For a name: `None` (default, random), `"imagenet"` (needs
            network or Keras' cache), or the path of a no-top weights file.
        value_range: For an instance: what it expects for black and white.
            Defaults to `(0, 255)`, right where it rescales by itself. The
            ranges of named architectures are known.
        normalize: If `True`, a LayerNormalization follows each level that does
            not come out of one, as in Co-ERA-Net. Defaults to `False`.

    Returns:
        A functional model from `image` to a list of features at strides 4, 8,
        16 and 32 (those that the backbone has), fine to coarse. In a named
        architecture a batch normalization momentum above 0.99 is lowered to
        0.9; an instance is left as it is.

    Raises:
        ValueError: If the name is unknown, the shape does not fit, or the
            instance has no pyramid.

    Example:

    >>> encoder = pyramid_encoder("MobileNetV2", (64, 64, 1))
    >>> [tuple(level.shape) for level in encoder.outputs][-1]
    (None, 2, 2, 1280)
    """
    input_shape = tuple(input_shape)
    _check_shape(input_shape)
    if isinstance(backbone, str):
        features, scale, offset = _application(backbone, input_shape, weights)
        name = backbone.lower()
    else:
        if weights is not None:
            raise ValueError(
                "`weights` goes with the name of an architecture; an instance "
                f"has its own. Received: weights={weights!r}"
            )
        features = _instance(backbone)
        scale, offset = value_range[1] - value_range[0], value_range[0]
        name = backbone.name

    x = inputs = keras.Input(input_shape, name="image")
    channels = features.inputs[0].shape[-1]
    if input_shape[-1] == 1 and channels == 3:
        x = keras.layers.Concatenate(name="grey_to_rgb")([x, x, x])
    x = keras.layers.Rescaling(scale, offset, name="value_range")(x)
    levels = features(x)
    if normalize:
        norms = [
            x for x in features.layers if isinstance(x, keras.layers.LayerNormalization)
        ]
        levels = [
            level
            if any(inner is norm.output for norm in norms)
            else keras.layers.LayerNormalization(epsilon=1e-6, name=f"p{i}_norm")(level)
            for i, (level, inner) in enumerate(
                zip(levels, features.outputs, strict=True), start=2
            )
        ]
    return keras.Model(inputs, levels, name=f"{name}_encoder")


def _application(name, input_shape, weights):
    if name not in _APPLICATIONS:
        raise ValueError(
            f"`backbone` must be one of {sorted(_APPLICATIONS)}, or a backbone "
            f"instance. Received: backbone={name!r}"
        )
    constructor = getattr(keras.applications, name)
    shape = (*input_shape[:2], 3)
    model = constructor(include_top=False, weights=weights, input_shape=shape)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.momentum > 0.99:
            layer.momentum = _MOMENTUM
    # Strides are read off static sizes; a twin has the same order of layers.
    twin = model
    if None in input_shape:
        twin = constructor(include_top=False, weights=None, input_shape=(64, 64, 3))
    size = twin.inputs[0].shape[1]
    last = {}
    for index, layer in enumerate(twin.layers):
        shape = getattr(layer.output, "shape", ())
        if len(shape) == 4 and shape[1]:
            last[size / shape[1]] = index
    levels = [model.layers[last[s]].output for s in _STRIDES.values() if s in last]
    return keras.Model(model.inputs, levels, name=name.lower()), *_APPLICATIONS[name]


def _instance(backbone):
    named = getattr(backbone, "pyramid_outputs", None)
    if not named and getattr(backbone, "pyramid_level_inputs", None):
        named = {
            level: backbone.get_layer(layer).output
            for level, layer in backbone.pyramid_level_inputs.items()
        }
    levels = [named[key] for key in _STRIDES if key in named] if named else []
    if len(levels) < 2:
        raise ValueError(
            "A backbone instance must have `pyramid_outputs` (keras-hub) or "
            "`pyramid_level_inputs` (keras-cv) with at least two of the levels "
            f"P2 to P5. Received: {type(backbone).__name__}"
        )
    return keras.Model(backbone.inputs, levels, name=backbone.name)


def _check_shape(input_shape):
    if len(input_shape) != 3 or input_shape[-1] not in (1, 3):
        raise ValueError(
            "`input_shape` must be (height, width, 1) or (height, width, 3). "
            f"Received: {input_shape}"
        )
    for size in input_shape[:2]:
        if size is not None and (size < 32 or size % 32):
            below = max(32, size // 32 * 32)
            raise ValueError(
                f"Height and width must be multiples of 32; the next valid sizes "
                f"to {size} are {below} and {below + 32}. "
                f"Received: input_shape={input_shape}"
            )
