"""Two parallel decoders, lung and infection, over one encoder."""

from collections.abc import Mapping, Sequence

import keras

from covseg_tf.losses.masks import read_masks
from covseg_tf.models.checks import check_arrays, check_images
from covseg_tf.models.decoder import Flows, decode
from covseg_tf.models.edge_encoder import EdgeEncoder
from covseg_tf.models.flow_metrics import by_flow, directions
from covseg_tf.models.preset import build_preset, preset_arguments
from covseg_tf.models.pyramid import decoder_widths, pyramid_of, stride_of
from covseg_tf.models.side_outputs import (
    check_side_outputs,
    expand_losses,
    flow_of,
    is_side_output,
    spread,
)

_ATTENTIONS = ("region_fusion", "self", "none")


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
        attention_options: More arguments of every `RegionFusionAttention`, a
            dict such as `{"residual": True}`. Default `None`.
        separable: If `True`, decoder convolutions and attention branches are
            depthwise separable: the form for edge devices. Default `False`.
        global_context: If `True`, the coarsest features get the mean over the
            whole image, through a 1x1 convolution, added at every place (the
            image pooling of DeepLabv3, Chen et al. 2017): for encoders too
            shallow to see a whole film. Default `False`.
        lung_supervision: If `True` (default) the model has the outputs
            `"lung"` and `"infection"`; if `False` only `"infection"`, and the
            lung flow exists only where the attention needs it.
        side_outputs: What training sees beside the maps, any of `"scales"` and
            `"presence"`; `compile` and `fit` take the same loss and masks as
            without. Default `()`.
            `"scales"`, deep supervision: `"<flow>_side_1"` to `"<flow>_side_n"`
            (coarse to fine), at image size; each has its flow's loss and mask,
            and 0.1 of its weight.
            `"presence"`: a small head on the coarsest features says whether the
            image shows infection at all; the more surely it says no, the
            further the infection map is pushed to 0. In training it is a
            further output, `"infection_side_presence"` `(batch, 1, 1, 1)`, the
            probability that the mask is not empty, to which `compile` gives
            `PresenceLoss`; `inference_model` keeps the gate and drops the
            output.
        name: Of the model.
        trainable: As of every `keras.Model`.

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
        attention_options: Mapping | None = None,
        separable: bool = False,
        global_context: bool = False,
        lung_supervision: bool = True,
        side_outputs: Sequence[str] = (),
        name: str | None = None,
        trainable: bool = True,
    ):
        if attention not in _ATTENTIONS:
            raise ValueError(
                f"`attention` must be one of {_ATTENTIONS}. "
                f"Received: attention={attention!r}"
            )
        side_outputs = check_side_outputs(side_outputs)
        encoder = EdgeEncoder() if encoder is None else encoder
        pyramid = pyramid_of(encoder)
        widths = decoder_widths(decoder_filters, pyramid)

        # === Layers and graph ===
        image = encoder.inputs[0]
        steers = attention == "region_fusion"
        flows = Flows(
            ("lung", "infection") if lung_supervision or steers else ("infection",),
            attention,
            {"separable": separable, **(attention_options or {})},
        )
        maps = decode(image, pyramid, widths, flows, side_outputs, global_context)
        if not lung_supervision:
            maps = {k: v for k, v in maps.items() if flow_of(k) != "lung"}
        # `True` would set every layer free, those of a frozen encoder too.
        freeze = None if trainable else False
        super().__init__(inputs=image, outputs=maps, name=name, trainable=freeze)

        # === Config ===
        self.encoder = encoder
        self.decoder_filters = None if decoder_filters is None else widths
        self.attention = attention
        self.attention_options = dict(attention_options or {})
        self.separable = bool(separable)
        self.global_context = bool(global_context)
        self.lung_supervision = bool(lung_supervision)
        self.side_outputs = side_outputs
        self.total_stride = stride_of(image, pyramid, 0)

    def __call__(self, inputs, *args, **kwargs):
        # Here and not in `call`, whose errors Keras and TensorFlow wrap in their own.
        check_images(self, inputs)
        return super().__call__(inputs, *args, **kwargs)

    def fit(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.fit`; images and masks are looked at before.

        Args:
            x: Images, or a dataset of images and masks.
            y: Dict of masks by flow: `(batch, height, width, 1)` or without the
                last axis; bool, integers 0 and 1 or 0 and 255, or floats in
                `[0, 1]`. Other keys are left out. A network of one flow takes the
                masks alone.
            *args: As of `keras.Model.fit`.
            **kwargs: As of `keras.Model.fit`.

        Raises:
            ValueError: If images or masks cannot be meant so, or there is a
                `class_weight`.
        """
        check_arrays(self, x, y)
        if isinstance(kwargs.get("validation_data"), tuple):
            check_arrays(self, *kwargs["validation_data"][:2])
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                "`class_weight` is for classifiers. Weigh a flow by "
                "compile(loss_weights={'infection': 2.0}), images by `sample_weight`, "
                "findings by make_dataset(finding_weights=...)."
            )
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.evaluate`; images and masks as of `fit`."""
        check_arrays(self, x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """As `keras.Model.predict`; images are looked at before."""
        check_arrays(self, x)
        return super().predict(x, *args, **kwargs)

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        **kwargs,
    ):
        """As `keras.Model.compile`; side outputs follow their flow.

        Args:
            optimizer: As in `keras.Model.compile`.
            loss: One loss for every flow, or a dict from flow to loss. A side
                output that is not named has the loss of its flow.
            loss_weights: Dict from output to weight, or `None` for ones. A
                side output that is not named has 0.1 times its flow's, the
                presence 0.5 times.
            metrics: Dict from output to metrics; or a list, which each flow gets a
                copy of.
            weighted_metrics: Likewise.
            **kwargs: Passed to `keras.Model.compile`.

        Raises:
            ValueError: If, with side outputs, `loss` is a list or
                `loss_weights` no dict.
        """
        if self.side_outputs and loss is not None:
            loss, loss_weights = self.expand_losses(loss, loss_weights)
        super().compile(
            optimizer,
            loss=loss,
            loss_weights=loss_weights,
            metrics=by_flow(self.output_names, metrics),
            weighted_metrics=by_flow(self.output_names, weighted_metrics),
            **kwargs,
        )

    def export(self, filepath, *args, **kwargs):
        """As `keras.Model.export`, also of a network that was only loaded."""
        # Keras refuses to export what was never called.
        sizes = (size or self.total_stride for size in self.inputs[0].shape[1:3])
        self(keras.ops.zeros((1, *sizes, self.inputs[0].shape[-1])))
        return super().export(filepath, *args, **kwargs)

    @property
    def metrics(self):
        return [*super().metrics, *directions(getattr(self, "_compile_metrics", None))]

    def expand_losses(self, loss, loss_weights=None) -> tuple[dict, dict]:
        """Returns losses and weights of every output, side outputs included.

        Args:
            loss: As in `compile`.
            loss_weights: As in `compile`.

        Raises:
            ValueError: As `compile`.
        """
        return expand_losses(self.output_names, loss, loss_weights)

    def compile_from_config(self, config):
        # Keras asks this of every model with its own `compile`.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return super().compute_loss(
            x, self.masks_of(y), y_pred, self.per_output(sample_weight), training
        )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(
            x, self.masks_of(y), y_pred, self.per_output(sample_weight)
        )

    def masks_of(self, values):
        """Returns masks by every output, as losses and metrics want them.

        Args:
            values: As `y` of `fit`; lists are returned as they came.

        Raises:
            ValueError: If there are no masks for the infection flow, or masks alone
                where there are two flows.
        """
        flows = [name for name in self.output_names if not is_side_output(name)]
        if hasattr(values, "shape"):
            if len(flows) > 1:
                raise ValueError(
                    f"This network gives the maps {flows}; masks are a dict with these "
                    f"keys. Received one array of the shape {tuple(values.shape)}"
                )
            values = {flows[0]: values}
        if not isinstance(values, dict):
            return values
        return {
            name: None if mask is None else read_masks(mask)
            for name, mask in self.per_output(values).items()
        }

    def per_output(self, values):
        """Returns masks or weights of the flows by every output.

        A side output takes its flow's value; what belongs to no output, such as lung
        masks where the network gives no lung map, is left out.

        Args:
            values: Dict by flow; anything else is returned as it came.

        Raises:
            ValueError: If there is no value for any output.
        """
        if not isinstance(values, dict):
            return values
        kept = spread(self.output_names, values)
        if all(value is None for value in kept.values()):
            flows = sorted({flow_of(name) for name in self.output_names})
            raise ValueError(
                f"This network gives the maps {flows}; masks and weights need the key "
                f"{' or '.join(map(repr, flows))}. Received the keys: {sorted(values)}"
            )
        if self.side_outputs:
            return kept
        return {name: value for name, value in kept.items() if value is not None}

    def inference_model(self) -> keras.Model:
        """Returns the same network without side heads, sharing its weights.

        Returns:
            A functional `keras.Model` with the outputs `"lung"` and
            `"infection"` (those that this model has), for prediction and
            export.
        """
        outputs = {k: v for k, v in self.output.items() if not is_side_output(k)}
        return keras.Model(self.inputs[0], outputs, name=f"{self.name}_inference")

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder_filters": self.decoder_filters,
            "attention": self.attention,
            "attention_options": dict(self.attention_options) or None,
            "separable": self.separable,
            "global_context": self.global_context,
            "lung_supervision": self.lung_supervision,
            "side_outputs": self.side_outputs,
        }

    @classmethod
    def from_preset(
        cls,
        preset: str,
        input_shape: Sequence[int | None] = (256, 256, 1),
        encoder_weights: str | None = None,
        load_weights: bool = False,
        **kwargs,
    ) -> "DualFlowSegmenter":
        """Builds a network by its name, with random or with the shipped weights.

        Args:
            preset: One of `preset_names()`; docs/network.md says what each is.
            input_shape: `(height, width, channels)` of the images.
            encoder_weights: `None` (random), `"imagenet"` or a
                file: of the edge family what `imagenet_file`
                takes, of the others what `pyramid_encoder` takes.
            load_weights: If `True`, the weights of the bundled model of this
                name, in float, ready to fine-tune. Default `False`.
            **kwargs: Arguments of the constructor that replace the preset's.

        Returns:
            The network, not compiled.

        Raises:
            ValueError: If the preset is unknown, has no weights to load or none
                that fit the arguments, or what the constructor raises.
            TypeError: If the constructor has no such argument.

        Example:

        >>> model = DualFlowSegmenter.from_preset("xray", load_weights=True)
        >>> model.output_names
        ['lung', 'infection']
        """
        return build_preset(
            cls, preset, input_shape, encoder_weights, load_weights, kwargs
        )

    @classmethod
    def from_config(cls, config):
        config = _without_old_names(config)
        if isinstance(config.get("encoder"), dict):
            config["encoder"] = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**config)


def _without_old_names(config):
    """A config as files of version 0.1 have it, in today's arguments."""
    config = dict(config)
    sides = [
        kind
        for kind, old in (
            ("scales", "deep_supervision"),
            ("presence", "presence_gate"),
        )
        if config.pop(old, False)
    ]
    if config.pop("as_released", False):
        released = preset_arguments("co_era_net_as_released")["attention_options"]
        config["attention_options"] = released | (config.get("attention_options") or {})
    return {"side_outputs": sides, **config}
