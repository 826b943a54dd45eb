"""Two parallel decoders, lung and infection, over one encoder."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from covseg_tf.layers import RegionFusionAttention
from covseg_tf.losses import PresenceLoss
from covseg_tf.models.edge_encoder import EdgeEncoder
from covseg_tf.models.presets import preset_arguments

_ATTENTIONS = ("region_fusion", "self", "none")
# The authors' weight of a side output's loss.
_SIDE_WEIGHT = 0.1
_PRESENCE = "infection_side_presence"
# Weight of the presence loss beside the infection flow's.
_PRESENCE_WEIGHT = 0.5
# Logits that the infection map loses per logit of absence.
_GATE_SLOPE = 6.0
# What the released code computes in place of what the paper declares.
_AS_RELEASED = {
    "dilation_rates": (1, 5, 5),
    "gate": "linear",
    "share_equal_rates": True,
}


@keras.saving.register_keras_serializable(package="covseg_tf")
class DualFlowSegmenter(keras.Model):
    """Dual-flow lung and infection segmentation network.

    One shared encoder feeds two decoders ("flows") over the same skips. Each
    decode step is a 3x3 convolution, batch normalization and ReLU in each
    flow, after which Region Fusion Attention lets the lung features steer the
    infection features; per scale one step before the upsampling and one after
    the skip is joined. The last features give one logit map per flow, which
    is upsampled to the image and squashed.

    Source: He, Wong and Yoo, poster "Integrating Dual-Supervision and Region
    Fusion Attention for COVID-19 Image Segmentation" (the network is
    published as Co-ERA-Net, Bioengineering 2023, 10(8), 928).

    The rows of the poster's ablation, each one constructor call:

    | row | call |
    |---|---|
    | baseline | `attention="self", lung_supervision=False` |
    | + lung region | `attention="self"` |
    | + region fusion attention | `attention="region_fusion"` |
    | no attention (ours) | `attention="none"` |

    Args:
        encoder: `EdgeEncoder`, any backbone through `pyramid_encoder`, or a
            Keras model with a dict attribute `pyramid_outputs`
            (`{"P2": tensor, ...}`, `Pn` at stride `2 ** n`) or with a list of
            feature maps as outputs, fine to coarse, each half the size of the
            one before. `None` (default) builds `EdgeEncoder()`.
        decoder_filters: Channels of the decoder scales, coarse to fine, one
            fewer than the encoder has levels. `None` (default) takes the
            channels of the skips, as Co-ERA-Net does.
        attention: `"region_fusion"` (default): lung features gate infection
            features. `"self"`: the attention stays, but is fed ones in place
            of lung features. `"none"`: no attention.
        lung_supervision: If `True` (default) the model has the outputs
            `"lung"` and `"infection"`; if `False` only `"infection"`, and the
            lung flow exists only where the attention needs it.
        separable: If `True`, decoder convolutions and attention branches are
            depthwise separable: the form for edge devices. Default `False`.
        deep_supervision: If `True`, also gives `"<flow>_side_1"` to
            `"<flow>_side_n"` (coarse to fine), at image size. `compile` and
            `fit` take the same loss and masks as without: each side output
            has its flow's loss and mask, and 0.1 of its weight. Default
            `False`.
        as_released: If `True`, the attention is what the authors' released
            code computes: dilations 1, 5, 5, the last two one branch, and a
            linear gate. Default `False`.
        attention_options: More arguments of every `RegionFusionAttention`, a
            dict such as `{"residual": True}`. Default `None`.
        global_context: If `True`, the coarsest features get the mean over the
            whole image, through a 1x1 convolution, added at every place (the
            image pooling of DeepLabv3, Chen et al. 2017): for encoders too
            shallow to see a whole film. Default `False`.
        presence_gate: If `True`, a small head on the coarsest features says
            whether the image shows infection at all; the more surely it says
            no, the further the infection map is pushed to 0. In training it is
            a further output, `"infection_side_presence"` `(batch, 1, 1, 1)`,
            the probability that the mask is not empty, to which `compile` gives
            `PresenceLoss`; `inference_model` keeps the gate and drops the
            output. Default `False`.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: Float tensor `(batch, height, width, channels)`, channels last,
            in the range the encoder expects; for `EdgeEncoder` and
            `pyramid_encoder` one grey channel in `[0, 1]`.

    Returns:
        Dict of probability maps `(batch, height, width, 1)` in `[0, 1]`.

    Raises:
        ValueError: If an argument is out of range or the encoder's features
            do not form a pyramid of strides 2 apart.

    Example:

    >>> model = DualFlowSegmenter(EdgeEncoder(), decoder_filters=(64, 48, 32))
    >>> maps = model(keras.ops.zeros((1, 256, 256, 1)))
    >>> sorted(maps), tuple(maps["lung"].shape)
    (['infection', 'lung'], (1, 256, 256, 1))
    """

    def __init__(
        self,
        encoder: keras.Model | None = None,
        decoder_filters: Sequence[int] | None = None,
        attention: str = "region_fusion",
        lung_supervision: bool = True,
        separable: bool = False,
        deep_supervision: bool = False,
        as_released: bool = False,
        attention_options: Mapping | None = None,
        global_context: bool = False,
        presence_gate: bool = False,
        **kwargs,
    ):
        if attention not in _ATTENTIONS:
            raise ValueError(
                f"`attention` must be one of {_ATTENTIONS}. "
                f"Received: attention={attention!r}"
            )
        encoder = EdgeEncoder() if encoder is None else encoder
        pyramid = pyramid_of(encoder)
        filters = _check_decoder_filters(decoder_filters, pyramid)

        # === Layers and graph ===
        flows = _Flows(
            names=("lung", "infection")
            if lung_supervision or attention == "region_fusion"
            else ("infection",),
            attention=attention,
            options={
                "separable": separable,
                **(_AS_RELEASED if as_released else {}),
                **(attention_options or {}),
            },
        )
        deepest = _with_context(pyramid[-1]) if global_context else pyramid[-1]
        features = dict.fromkeys(flows.names, deepest)
        outputs, side_outputs = {}, {}
        for scale, width in enumerate(filters, start=1):
            skip = pyramid[-1 - scale]
            features = flows.step(features, width, f"d{scale}")
            features = flows.join(features, skip, f"d{scale}")
            features = flows.step(features, width, f"d{scale}_1")
            if deep_supervision:
                for flow in flows.names:
                    name = f"{flow}_side_{scale}"
                    side_outputs[name] = _head(
                        features[flow], encoder.inputs[0], pyramid, scale, name
                    )
        absence = _absence(deepest) if presence_gate else None
        for flow in flows.names:
            outputs[flow] = _head(
                features[flow],
                encoder.inputs[0],
                pyramid,
                len(filters),
                flow,
                absence if flow == "infection" else None,
            )
        if presence_gate:
            side_outputs[_PRESENCE] = keras.layers.Activation(
                "sigmoid", dtype="float32", name=_PRESENCE
            )(keras.ops.negative(absence))
        outputs.update(side_outputs)
        if not lung_supervision:
            outputs = {k: v for k, v in outputs.items() if not k.startswith("lung")}
        super().__init__(inputs=encoder.inputs[0], outputs=outputs, **kwargs)

        # === Config ===
        self.encoder = encoder
        self.decoder_filters = None if decoder_filters is None else filters
        self.attention = attention
        self.lung_supervision = bool(lung_supervision)
        self.separable = bool(separable)
        self.deep_supervision = bool(deep_supervision)
        self.as_released = bool(as_released)
        self.attention_options = dict(attention_options or {})
        self.global_context = bool(global_context)
        self.presence_gate = bool(presence_gate)
        self.total_stride = _stride(encoder.inputs[0], pyramid, 0)

    def call(self, inputs, training=None, mask=None):
        for size in getattr(inputs, "shape", (None,) * 4)[1:3]:
            if size is not None and size % self.total_stride:
                below = size // self.total_stride * self.total_stride
                raise ValueError(
                    f"Height and width must be multiples of {self.total_stride}; "
                    f"the next valid sizes to {size} are "
                    f"{max(below, self.total_stride)} and "
                    f"{below + self.total_stride}. Resize or pad the images. "
                    f"Received shape: {tuple(inputs.shape)}"
                )
        return super().call(inputs, training=training, mask=mask)

    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, **kwargs):
        """As `keras.Model.compile`; side outputs follow their flow.

        Args:
            optimizer: As in `keras.Model.compile`.
            loss: One loss for every flow, or a dict from flow to loss. A side
                output that is not named has the loss of its flow.
            loss_weights: Dict from output to weight, or `None` for ones. A
                side output that is not named has 0.1 times its flow's, the
                presence 0.5 times.
            **kwargs: Passed to `keras.Model.compile`.

        Raises:
            ValueError: If, with side outputs, `loss` is a list or
                `loss_weights` no dict.
        """
        if self.has_side_outputs and loss is not None:
            loss, loss_weights = self.expand_losses(loss, loss_weights)
        super().compile(optimizer, loss=loss, loss_weights=loss_weights, **kwargs)

    @property
    def has_side_outputs(self) -> bool:
        """Whether there are outputs that only training sees."""
        return self.deep_supervision or self.presence_gate

    def expand_losses(self, loss, loss_weights=None) -> tuple[dict, dict]:
        """Returns losses and weights of every output, side outputs included.

        Args:
            loss: As in `compile`.
            loss_weights: As in `compile`.

        Raises:
            ValueError: As `compile`.
        """
        if isinstance(loss, (list, tuple)) or not isinstance(loss_weights or {}, dict):
            raise ValueError(
                "With side outputs, `loss` must be one loss or a dict by output "
                "name, and `loss_weights` a dict or None. Received: "
                f"loss={loss}, loss_weights={loss_weights}"
            )
        losses = (
            dict(loss)
            if isinstance(loss, dict)
            else dict.fromkeys(set(self.output_names) - {_PRESENCE}, loss)
        )
        losses.setdefault(_PRESENCE, PresenceLoss())
        weights = loss_weights or {}
        return (
            {
                name: losses.get(name, losses.get(_flow_of(name)))
                for name in self.output_names
            },
            {
                name: weights.get(
                    name, weights.get(_flow_of(name), 1.0) * _share_of(name)
                )
                for name in self.output_names
            },
        )

    def compile_from_config(self, config):
        # Keras asks this of every model with its own `compile`.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return super().compute_loss(
            x, self.per_output(y), y_pred, self.per_output(sample_weight), training
        )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(
            x, self.per_output(y), y_pred, self.per_output(sample_weight)
        )

    def per_output(self, values):
        """Returns masks or weights of the flows by every output.

        A side output takes its flow's value; lung masks are left out where the
        network gives no lung map.

        Args:
            values: Dict by flow; anything else is returned as it came.

        Raises:
            ValueError: If there is no value for the infection flow.
        """
        if not isinstance(values, dict):
            return values
        if not self.lung_supervision:
            # So that one dataset of both masks trains every row of the ablation.
            if "infection" not in values:
                raise ValueError(
                    "This network gives an infection map; masks and weights need "
                    f"the key 'infection'. Received the keys: {sorted(values)}"
                )
            values = {k: v for k, v in values.items() if _flow_of(k) != "lung"}
        if not self.has_side_outputs:
            return values
        return {
            name: values.get(name, values.get(_flow_of(name)))
            for name in self.output_names
        }

    def inference_model(self) -> keras.Model:
        """Returns the same network without side heads, sharing its weights.

        Returns:
            A functional `keras.Model` with the outputs `"lung"` and
            `"infection"` (those that this model has), for prediction and
            export.
        """
        outputs = {k: v for k, v in self.output.items() if "_side_" not in k}
        return keras.Model(self.inputs[0], outputs, name=f"{self.name}_inference")

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder_filters": self.decoder_filters,
            "attention": self.attention,
            "lung_supervision": self.lung_supervision,
            "separable": self.separable,
            "deep_supervision": self.deep_supervision,
            "as_released": self.as_released,
            "attention_options": dict(self.attention_options) or None,
            "global_context": self.global_context,
            "presence_gate": self.presence_gate,
        }

    @classmethod
    def from_preset(
        cls,
        preset: str,
        input_shape: Sequence[int | None] = (256, 256, 1),
        encoder_weights: str | None = None,
        **kwargs,
    ) -> "DualFlowSegmenter":
        """Builds a network by its name, with random decoder weights.

        Args:
            preset: `"co_era_net"`, the authors' network; `"poster_baseline"`,
                `"poster_lung_region"`, `"poster_region_fusion_attention"` and
                `"no_attention"`, the rows of the ablation on the same encoder;
                `"xray_nano"`, `"xray_small"`, `"xray_base"` and `"ct_small"`, the
                bundled edge family; `"xray"`, its first generation.
            input_shape: `(height, width, channels)` of the images.
            encoder_weights: `None` (random); for all but `"xray"` also
                `"imagenet"` or a file: of the edge family what `imagenet_file`
                takes, of the others what `pyramid_encoder` takes.
            **kwargs: Arguments of the constructor that replace the preset's.

        Returns:
            The network, not compiled.

        Raises:
            ValueError: If the preset is unknown, or what the constructor
                raises.

        Example:

        >>> model = DualFlowSegmenter.from_preset("xray", (64, 64, 1))
        >>> model.output_names
        ['lung', 'infection']
        """
        arguments = preset_arguments(preset)
        make_encoder = arguments.pop("make_encoder")
        if "encoder" not in kwargs:
            arguments["encoder"] = make_encoder(input_shape, encoder_weights)
        return cls(**{**arguments, "name": preset, **kwargs})

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config.get("encoder"), dict):
            config["encoder"] = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**config)


class _Flows:
    """Draws the same decode step into every flow, then the attention."""

    def __init__(self, names, attention, options):
        self.names = names
        self.attention = attention
        self.options = options

    def step(self, features, width, name):
        features = {
            flow: self._conv(x, width, f"{flow}_{name}") for flow, x in features.items()
        }
        if self.attention == "none":
            return features
        infection = features["infection"]
        lung = (
            features["lung"]
            if self.attention == "region_fusion"
            else ops.ones_like(infection)
        )
        attention = RegionFusionAttention(**self.options, name=f"rfa_{name}")
        return {**features, "infection": attention([lung, infection])}

    def join(self, features, skip, name):
        joined = {}
        for flow, x in features.items():
            # float32: XLA has no gradient of a half-precision resize.
            up = keras.layers.UpSampling2D(
                2, interpolation="bilinear", dtype="float32", name=f"{flow}_{name}_up"
            )(x)
            concatenate = keras.layers.Concatenate(name=f"{flow}_{name}_skip")
            joined[flow] = concatenate([up, skip])
        return joined

    def _conv(self, x, width, name):
        separable = self.options["separable"]
        if separable:
            x = keras.layers.DepthwiseConv2D(
                3, padding="same", use_bias=False, name=f"{name}_depthwise"
            )(x)
        x = keras.layers.Conv2D(
            width,
            1 if separable else 3,
            padding="same",
            use_bias=False,
            name=f"{name}_conv",
        )(x)
        x = keras.layers.BatchNormalization(
            momentum=0.97, epsilon=1e-5, name=f"{name}_norm"
        )(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)


def _with_context(x):
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True, name="context_mean")(x)
    mean = keras.layers.Conv2D(x.shape[-1], 1, name="context_conv")(mean)
    return keras.layers.Add(name="context_add")([x, mean])


def _flow_of(output_name):
    return output_name.partition("_side_")[0]


def _share_of(output_name):
    if output_name == _PRESENCE:
        return _PRESENCE_WEIGHT
    return _SIDE_WEIGHT if "_side_" in output_name else 1.0


def _absence(x):
    """Logit that an image shows no infection, `(batch, 1, 1, 1)`."""
    x = keras.layers.Conv2D(64, 1, use_bias=False, name="presence_conv")(x)
    x = keras.layers.BatchNormalization(
        momentum=0.97, epsilon=1e-5, name="presence_norm"
    )(x)
    x = keras.layers.ReLU(name="presence_relu")(x)
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="presence_mean")(x)
    return keras.layers.Conv2D(1, 1, dtype="float32", name="presence_absence")(x)


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


def _head(x, image, pyramid, scale, name, absence=None):
    # A 1x1 convolution and a bilinear upsampling commute, so the convolution
    # comes first: the same map for 1/factor^2 of the arithmetic. The head is in
    # float32 whatever the policy: losses and thresholds read it, and XLA on a
    # CPU cannot compile the gradient of a one-channel half-precision 1x1.
    factor = _stride(image, pyramid, scale)
    x = keras.layers.Conv2D(1, 1, dtype="float32", name=f"{name}_logits")(x)
    if absence is not None:
        x = _gated(x, absence)
    x = keras.layers.UpSampling2D(
        factor, interpolation="bilinear", dtype="float32", name=f"{name}_up"
    )(x)
    return keras.layers.Activation("sigmoid", dtype="float32", name=name)(x)


def _stride(image, pyramid, scale):
    """Stride of the decoder scale, from static sizes or the pyramid's names."""
    level = pyramid[-1 - scale]
    if image.shape[1] is not None and level.shape[1] is not None:
        return image.shape[1] // level.shape[1]
    return 4 * 2 ** (len(pyramid) - 1 - scale)


def pyramid_of(encoder: keras.Model) -> list:
    """Returns the encoder's feature maps, fine to coarse.

    Args:
        encoder: A Keras model with `pyramid_outputs`, or with a list of at
            least two outputs.

    Returns:
        List of symbolic tensors `(batch, height, width, channels)`; the four
        coarsest levels where the encoder has more.

    Raises:
        ValueError: If there is no such pyramid.
    """
    named = getattr(encoder, "pyramid_outputs", None)
    if named:
        levels = [named[key] for key in sorted(named, key=lambda k: int(k[1:]))]
    else:
        levels = list(encoder.outputs)
    levels = levels[-4:]
    if len(levels) < 2:
        raise ValueError(
            "The encoder must give at least two feature maps: a "
            "`pyramid_outputs` dict or a list of outputs, fine to coarse. "
            f"Received an encoder with {len(levels)} output(s)."
        )
    for fine, coarse in zip(levels, levels[1:], strict=False):
        sizes = (fine.shape[1], coarse.shape[1])
        if None not in sizes and sizes[0] != 2 * sizes[1]:
            raise ValueError(
                "Each feature map of the encoder must be half the size of the "
                f"one before. Received shapes: {[tuple(x.shape) for x in levels]}"
            )
    return levels


def _check_decoder_filters(decoder_filters, pyramid):
    skips = [level.shape[-1] for level in pyramid[-2::-1]]
    if decoder_filters is None:
        return tuple(skips)
    filters = tuple(decoder_filters)
    if len(filters) != len(skips) or any(f < 1 for f in filters):
        raise ValueError(
            f"`decoder_filters` needs {len(skips)} positive widths, coarse to "
            f"fine, for an encoder of {len(pyramid)} levels. "
            f"Received: {decoder_filters!r}"
        )
    return filters
