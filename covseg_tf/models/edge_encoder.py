"""A slim convolutional encoder for grey images on small devices."""

from collections.abc import Sequence

import keras


def _conv_norm_relu(x, filters, name, kernel_size=3, strides=1, relu=True):
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        name=f"{name}_conv",
    )(x)
    x = keras.layers.BatchNormalization(
        momentum=0.97, epsilon=1e-5, name=f"{name}_norm"
    )(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _residual_block(x, filters, name):
    y = _conv_norm_relu(x, filters, f"{name}_1")
    y = _conv_norm_relu(y, filters, f"{name}_2", relu=False)
    y = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.ReLU(name=f"{name}_relu")(y)


@keras.saving.register_keras_serializable(package="covseg_tf")
class EdgeEncoder(keras.Model):
    """Residual encoder with few, dense convolutions and one grey channel in.

    A strided stem, then one stage per pyramid level; each stage halves height
    and width with a strided 3x3 convolution and refines with residual blocks
    (He et al. 2016, "Deep Residual Learning for Image Recognition"). Dense
    3x3 convolutions at low resolution are what both a 2-core trainer and an
    int8 runtime execute fastest per unit of accuracy.

    Args:
        input_shape: Tuple `(height, width, channels)`. Height and width may be
            `None`; where given they must be multiples of the total stride
            (`2 ** (len(filters) + 1)`). Defaults to `(256, 256, 1)`.
        stem_filters: Int, channels after the stem (stride 2). Defaults to 16.
        filters: Channels of the pyramid levels, fine to coarse: strides 4, 8,
            16, ... Defaults to `(32, 48, 96, 128)`.
        depths: Residual blocks per level. Defaults to `(1, 1, 1, 1)`.
        name: Of the model.
        trainable: As of every `keras.Model`.

    Attributes:
        pyramid_outputs: Dict `{"P2": ..., "P3": ...}` of the symbolic feature
            maps, `Pn` at stride `2 ** n`: the naming of keras-hub backbones.

    Raises:
        ValueError: If `filters` and `depths` differ in length or a size does
            not divide by the total stride.

    Example:

    >>> encoder = EdgeEncoder()
    >>> encoder.pyramid_outputs["P2"].shape
    (None, 64, 64, 32)
    """

    def __init__(
        self,
        input_shape: Sequence[int | None] = (256, 256, 1),
        stem_filters: int = 16,
        filters: Sequence[int] = (32, 48, 96, 128),
        depths: Sequence[int] = (1, 1, 1, 1),
        name: str | None = None,
        trainable: bool = True,
    ):
        input_shape, filters, depths = tuple(input_shape), tuple(filters), tuple(depths)
        if len(filters) != len(depths) or len(filters) < 2:
            raise ValueError(
                "`filters` and `depths` need the same length of at least 2. "
                f"Received: filters={filters}, depths={depths}"
            )
        stride = 2 ** (len(filters) + 1)
        check_image_shape(input_shape, stride)

        # === Layers and graph ===
        inputs = keras.Input(input_shape, name="image")
        x = _conv_norm_relu(inputs, stem_filters, "stem", strides=2)
        pyramid = {}
        for index, (width, depth) in enumerate(zip(filters, depths, strict=True)):
            level = index + 2
            x = _conv_norm_relu(x, width, f"p{level}_down", strides=2)
            for block in range(depth):
                x = _residual_block(x, width, f"p{level}_block{block + 1}")
            pyramid[f"P{level}"] = x
        super().__init__(
            inputs=inputs,
            outputs=list(pyramid.values()),
            name=name,
            trainable=trainable,
        )

        # === Config ===
        self.pyramid_outputs = pyramid
        self.image_shape = input_shape
        self.stem_filters = stem_filters
        self.filters = filters
        self.depths = depths

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "input_shape": self.image_shape,
            "stem_filters": self.stem_filters,
            "filters": self.filters,
            "depths": self.depths,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def check_image_shape(input_shape: Sequence[int | None], stride: int) -> None:
    """Checks that an encoder can be built for images of a shape.

    Args:
        input_shape: `(height, width, channels)`; height and width may be `None`.
        stride: Int, the encoder's total stride in pixels.

    Raises:
        ValueError: If a size is no multiple of the stride, or channels are unknown.
    """
    if len(input_shape) != 3 or input_shape[-1] is None:
        raise ValueError(
            "`input_shape` must be (height, width, channels) with known "
            f"channels. Received: {input_shape}"
        )
    for size in input_shape[:2]:
        if size is not None and (size < stride or size % stride):
            below = max(stride, size // stride * stride)
            raise ValueError(
                f"Height and width must be multiples of {stride}; the next "
                f"valid sizes to {size} are {below} and {below + stride}. "
                f"Received: input_shape={input_shape}"
            )
