"""The attention by which the lung flow steers the infection flow."""

import numbers
from collections.abc import Sequence

import keras
from keras import ops

_GATES = ("sigmoid", "linear")
_INPUTS = ("lung_features", "infection_features")


@keras.saving.register_keras_serializable(package="covseg_tf")
class RegionFusionAttention(keras.layers.Layer):
    """Region Fusion Attention (RFA): lung features gate infection features.

    With lung features `F_L` and infection features `F_I` of one height and
    width, and `C` the channels of `F_I`:

    ```
    A_L  = sigmoid(Conv3x3[-> 1](F_L))               where is lung?
    G    = A_L * F_I
    B_d  = ReLU(BN(Conv3x3[C -> C, dilation d](G)))  one branch per rate d
    A_I  = gate(Conv3x3[-> 1](concat(B_d)))          where to look inside it?
    F_I' = A_I * F_I
    ```

    The layer returns `F_I'`. The lung features pass unchanged, so influence
    runs from the lung flow to the infection flow only.

    Source: He, Wong and Yoo, poster "Integrating Dual-Supervision and Region
    Fusion Attention for COVID-19 Image Segmentation"; the same block is the
    "Enhanced Region Attention Module" of Co-ERA-Net (Bioengineering 2023,
    10(8), 928).

    Args:
        dilation_rates: Sequence of positive ints, the dilation rate of each
            branch. Defaults to `(1, 3, 5)`.
        gate: `"sigmoid"` (default, gate in `(0, 1)`) or `"linear"`
            (unbounded, as in the authors' released code).
        separable: If `True`, each branch is a depthwise 3x3 convolution
            followed by a 1x1 convolution: the form for edge devices. Defaults
            to `False`.
        share_equal_rates: If `True`, branches of one dilation rate are one
            branch, used as often as its rate occurs. Defaults to `False`.
            The authors' released block is `dilation_rates=(1, 5, 5),
            gate="linear", share_equal_rates=True`.
        residual: If `True`, the layer returns `F_I + A_I * F_I`, so that a
            closed gate passes features on instead of deleting them (Wang et
            al. 2017, "Residual Attention Network for Image Classification").
            Not the poster's. Defaults to `False`.
        gate_bias: Float, first value of the bias of both gates; 2 opens them
            to 0.88 at the start. Defaults to 0, half open.
        kernel_initializer: Of every convolution's kernel, as Keras layers take
            it. Defaults to `"glorot_uniform"`.
        kernel_regularizer: Likewise. Defaults to `None`.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: List `[lung_features, infection_features]` of shapes
            `(batch, height, width, lung_channels)` and
            `(batch, height, width, channels)`, or a dict of these two names.
            channels_last only.
        infection_features: The second of them, where `inputs` is the first.
        training: Whether batch normalization uses batch statistics.

    Returns:
        Tensor of the shape of `infection_features`.

    Raises:
        ValueError: If an argument is out of range, or if the call does not
            get exactly two 4-D inputs of equal height and width.

    Example:

    >>> lung = keras.random.normal((2, 32, 32, 24))
    >>> infection = keras.random.normal((2, 32, 32, 24))
    >>> tuple(RegionFusionAttention()([lung, infection]).shape)
    (2, 32, 32, 24)
    """

    def __init__(
        self,
        dilation_rates: Sequence[int] = (1, 3, 5),
        gate: str = "sigmoid",
        separable: bool = False,
        share_equal_rates: bool = False,
        residual: bool = False,
        gate_bias: float = 0.0,
        kernel_initializer="glorot_uniform",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        rates = tuple(dilation_rates)
        if not rates or any(
            not isinstance(r, numbers.Integral) or r < 1 for r in rates
        ):
            raise ValueError(
                "`dilation_rates` must be a non-empty sequence of positive "
                f"integers, for example (1, 3, 5). Received: {dilation_rates!r}"
            )
        if gate not in _GATES:
            raise ValueError(f"`gate` must be one of {_GATES}. Received: gate={gate!r}")
        self.dilation_rates = tuple(int(rate) for rate in rates)
        self.gate = gate
        self.separable = bool(separable)
        self.share_equal_rates = bool(share_equal_rates)
        self.residual = bool(residual)
        self.gate_bias = float(gate_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

        self.lung_gate = self._make_gate("sigmoid", "lung_gate")
        self.infection_gate = self._make_gate(gate, "infection_gate")
        self.concatenate = keras.layers.Concatenate(
            dtype=self.dtype_policy, name="concatenate"
        )
        self.branches: list[keras.layers.Layer] = []

    def build(self, inputs_shape, infection_features_shape=None):
        if self.built:  # a second set of weights would leave the first behind
            return
        lung_shape, infection_shape = self._check_shapes(
            inputs_shape, infection_features_shape
        )
        channels = infection_shape[-1]
        self.lung_gate.build(lung_shape)
        self.branches = []
        for index, rate in enumerate(self.dilation_rates):
            first = self.dilation_rates.index(rate)
            if self.share_equal_rates and first < index:
                self.branches.append(self.branches[first])
                continue
            branch = self._make_branch(channels, rate, index)
            shape = infection_shape
            for layer in branch:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)
            # Assigned by name, so that the saved weights carry readable paths.
            for layer in branch:
                setattr(self, layer.name, layer)
            self.branches.append([layer.name for layer in branch])
        width = channels * len(self.dilation_rates)
        self.concatenate.build([tuple(infection_shape)] * len(self.dilation_rates))
        self.infection_gate.build((*infection_shape[:-1], width))
        self.built = True

    def _kernel(self, part="kernel"):
        return {
            f"{part}_initializer": _another(self.kernel_initializer),
            f"{part}_regularizer": self.kernel_regularizer,
        }

    def _make_gate(self, activation, name):
        on_torch = keras.backend.backend() == "torch"
        return (_TorchGate if on_torch else keras.layers.Conv2D)(
            1,
            3,
            padding="same",
            data_format="channels_last",
            activation=activation,
            bias_initializer=keras.initializers.Constant(self.gate_bias),
            dtype=self.dtype_policy,
            name=name,
            **self._kernel(),
        )

    def _make_branch(self, channels: int, rate: int, index: int) -> list:
        def named(part):
            return f"branch_{index}_{part}"

        policy = self.dtype_policy
        if self.separable:
            convolutions = [
                keras.layers.DepthwiseConv2D(
                    3,
                    padding="same",
                    data_format="channels_last",
                    dilation_rate=rate,
                    use_bias=False,
                    dtype=policy,
                    name=named("depthwise"),
                    **self._kernel("depthwise"),
                ),
                keras.layers.Conv2D(
                    channels,
                    1,
                    data_format="channels_last",
                    use_bias=False,
                    dtype=policy,
                    name=named("pointwise"),
                    **self._kernel(),
                ),
            ]
        else:
            convolutions = [
                keras.layers.Conv2D(
                    channels,
                    3,
                    padding="same",
                    data_format="channels_last",
                    dilation_rate=rate,
                    use_bias=False,
                    dtype=policy,
                    name=named("conv"),
                    **self._kernel(),
                )
            ]
        return [
            *convolutions,
            keras.layers.BatchNormalization(
                momentum=0.97, epsilon=1e-5, dtype=policy, name=named("norm")
            ),
            keras.layers.ReLU(dtype=policy, name=named("relu")),
        ]

    def lung_attention(self, lung_features):
        """Returns `A_L`, shape `(batch, height, width, 1)`, in `(0, 1)`."""
        return self.lung_gate(lung_features)

    def infection_attention(self, lung_features, infection_features, training=None):
        """Returns `A_I`, shape `(batch, height, width, 1)`."""
        gated = ops.multiply(self.lung_gate(lung_features), infection_features)
        outputs = []
        for index, names in enumerate(self.branches):
            first = self.branches.index(names)
            if first < index:  # a shared branch, already computed
                outputs.append(outputs[first])
                continue
            x = gated
            for name in names:
                layer = getattr(self, name)
                if isinstance(layer, keras.layers.BatchNormalization):
                    x = layer(x, training=training)
                else:
                    x = layer(x)
            outputs.append(x)
        x = outputs[0] if len(outputs) == 1 else self.concatenate(outputs)
        return self.infection_gate(x)

    def call(self, inputs, infection_features=None, training=None):
        # Integers too become what the convolutions compute in.
        lung_features, infection_features = (
            ops.convert_to_tensor(x, self.compute_dtype)
            for x in _pair(inputs, infection_features)
        )
        gate = self.infection_attention(
            lung_features, infection_features, training=training
        )
        attended = ops.multiply(gate, infection_features)
        return ops.add(infection_features, attended) if self.residual else attended

    def compute_output_shape(self, inputs_shape, infection_features_shape=None):
        return tuple(self._check_shapes(inputs_shape, infection_features_shape)[1])

    def _check_shapes(self, inputs_shape, infection_features_shape=None):
        shapes = _pair(inputs_shape, infection_features_shape)
        shapes = list(shapes) if isinstance(shapes, (list, tuple)) else []
        if len(shapes) != 2 or not all(
            isinstance(s, (list, tuple)) and len(s) == 4 for s in shapes
        ):
            raise ValueError(
                f"{type(self).__name__} must be called on a list "
                "[lung_features, infection_features] of two 4-D tensors "
                "(batch, height, width, channels). "
                f"Received input shapes: {inputs_shape}"
                + (f", {infection_features_shape}" if infection_features_shape else "")
            )
        lung, infection = shapes
        for axis, name in ((1, "height"), (2, "width")):
            if None not in (lung[axis], infection[axis]) and (
                lung[axis] != infection[axis]
            ):
                raise ValueError(
                    f"lung_features and infection_features must have the same "
                    f"{name}; resize one of them first. Received shapes: "
                    f"lung_features={tuple(lung)}, "
                    f"infection_features={tuple(infection)}"
                )
        if infection[-1] is None or lung[-1] is None:
            raise ValueError(
                "The channel axis of both inputs must be known. Received "
                f"shapes: {tuple(lung)} and {tuple(infection)}"
            )
        return lung, infection

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "dilation_rates": self.dilation_rates,
                "gate": self.gate,
                "separable": self.separable,
                "share_equal_rates": self.share_equal_rates,
                "residual": self.residual,
                "gate_bias": self.gate_bias,
                "kernel_initializer": keras.initializers.serialize(
                    self.kernel_initializer
                ),
                "kernel_regularizer": keras.regularizers.serialize(
                    self.kernel_regularizer
                ),
            }
        )
        return config


class _TorchGate(keras.layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        # PyTorch (2.13) has no gradient of a kernel with one output for one image:
        # "slow_conv2d: grad_weight must be contiguous". With two outputs it has.
        twice = ops.concatenate([kernel, kernel], axis=-1)
        return super().convolution_op(inputs, twice)[..., :1]


def _pair(inputs, infection_features):
    """The two inputs, or their shapes, in the order of the paper."""
    if infection_features is not None:
        return inputs, infection_features
    if isinstance(inputs, dict) and set(inputs) == set(_INPUTS):
        return tuple(inputs[name] for name in _INPUTS)
    return inputs


def _another(initializer):
    # A random initializer that is used twice gives the same numbers twice.
    return initializer.clone() if hasattr(initializer, "clone") else initializer
