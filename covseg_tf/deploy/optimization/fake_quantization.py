"""8-bit rounding inside a tf_keras network, where the TFLite converter puts it."""

import functools

import numpy as np
import tensorflow as tf

from covseg_tf.deploy.optimization.legacy_keras import import_tf_keras, import_tfmot

# Batches whose extremes give each range.
_CALIBRATION_BATCHES = 32
# LiteRT's sigmoid writes probability times 256, from 0 to 255.
_SIGMOID_TOP = 255.0 / 256.0
# A bilinear resize keeps the range of its input: a range of its own would be
# a second rounding. The others move values and invent none.
_NO_ROUNDING = ("Dropout", "UpSampling2D", "ZeroPadding2D")
_ROUND_OUTPUT = ("Multiply", "OnesLike")


def quantize_network(network):
    """Returns a copy with fake quantization of weights and activations.

    Args:
        network: `tf_keras.Model` of plain layers, from `tf_keras_twin`.

    Raises:
        ValueError: If a layer cannot be quantized.
    """
    tf_keras, toolkit = import_tf_keras(), import_tfmot().quantization.keras
    configs = _quantize_configs()

    def annotate(layer):
        kind = type(layer).__name__
        if kind == "InputLayer":
            return layer
        # The outputs are left to the converter: a map that is rounded to 0 has no
        # gradient while one rounded to 1/256 has, and training would drift down.
        config = None
        if kind in _NO_ROUNDING or layer.name in network.output_names:
            config = configs["NoRounding"]()
        elif kind in _ROUND_OUTPUT or not layer.trainable:
            # A quantized weight becomes trainable, and a rescaling must not.
            config = configs["RoundOutput"]()
        elif kind == "Activation" and layer.get_config()["activation"] == "sigmoid":
            config = configs["RoundSigmoid"]()
        return toolkit.quantize_annotate_layer(layer, config)

    with toolkit.quantize_scope(configs):
        annotated = tf_keras.models.clone_model(network, clone_function=annotate)
        try:
            return toolkit.quantize_apply(annotated, _scheme())
        except RuntimeError as error:
            raise ValueError(f"The toolkit cannot quantize it: {error}") from None


def set_ranges(quantized, network, dataset: tf.data.Dataset) -> None:
    """Sets every activation's range to the values of the float network.

    The toolkit starts at +-6 and moves by a thousandth of the way per step towards
    the extremes of a batch: the first thousand steps would train against ranges
    that are not the network's, and the end would cut what only a few films reach.

    Args:
        quantized: What `quantize_network` gave.
        network: The float `tf_keras.Model` with the same layers.
        dataset: Training batches; the extremes of the first 32 are taken.
    """
    ranges = _range_variables(quantized)
    outputs = [network.get_layer(name).output for name in ranges]
    probe = import_tf_keras().Model(network.inputs, outputs)

    @tf.function
    def extremes(images):
        values = probe(images, training=False)
        lowest = tf.stack([tf.reduce_min(value) for value in values])
        return lowest, tf.stack([tf.reduce_max(value) for value in values])

    batches = dataset.take(_CALIBRATION_BATCHES)
    lows, highs = zip(*(extremes(batch[0]) for batch in batches), strict=True)
    found = np.min(lows, axis=0), np.max(highs, axis=0)
    for (low, high), start, stop in zip(ranges.values(), *found, strict=True):
        # A range holds zero, or padding and ReLU would be off.
        low.assign(min(start, 0.0))
        high.assign(max(stop, 0.0))


def fix_input_range(quantized, top: float) -> None:
    """Sets the input's range, so that a grey level is one step of it.

    The toolkit widens it to the values it meets; an image that holds 1.0000001
    after augmentation would shift every grey level.

    Args:
        quantized: What `quantize_network` gave.
        top: The network's input for white, `255 * spec.scale`.
    """
    for layer in quantized.layers:
        if type(layer).__name__ == "QuantizeLayer":
            for weight in layer.weights:
                if _role(weight).endswith("_min"):
                    weight.assign(0.0)
                elif _role(weight).endswith("_max"):
                    weight.assign(top)


def _range_variables(quantized):
    """Dict from a float layer's name to the range of its output."""
    ranges = {}
    for layer in quantized.layers:
        variables = {_role(weight): weight for weight in layer.weights}
        for kind in ("output", "post_activation"):
            if f"{kind}_min" in variables and layer.name.startswith("quant_"):
                name = layer.name.removeprefix("quant_")
                ranges[name] = (variables[f"{kind}_min"], variables[f"{kind}_max"])
    return ranges


def _role(weight):
    return weight.name.split(":")[0].split("/")[-1]


@functools.cache
def _quantize_configs():
    """Classes, made here because their base is imported on demand."""
    toolkit = import_tfmot().quantization.keras
    quantizers = toolkit.quantizers

    class NoRounding(toolkit.QuantizeConfig):
        """Nothing of the layer is rounded."""

        def get_weights_and_quantizers(self, layer):
            return []

        def get_activations_and_quantizers(self, layer):
            return []

        def set_quantize_weights(self, layer, quantize_weights):
            pass

        def set_quantize_activations(self, layer, quantize_activations):
            pass

        def get_output_quantizers(self, layer):
            return []

        def get_config(self):
            return {}

    class RoundOutput(NoRounding):
        """The output is rounded, in a range that follows the values."""

        def get_output_quantizers(self, layer):
            arguments = {"per_axis": False, "symmetric": False, "narrow_range": False}
            return [quantizers.MovingAverageQuantizer(num_bits=8, **arguments)]

    class RoundSigmoid(NoRounding):
        """The output is rounded as LiteRT's sigmoid writes it."""

        def get_output_quantizers(self, layer):
            limits = {"init_min": 0.0, "init_max": _SIGMOID_TOP}
            return [quantizers.FixedQuantizer(8, **limits, narrow_range=False)]

    return {x.__name__: x for x in (NoRounding, RoundOutput, RoundSigmoid)}


@functools.cache
def _scheme():
    """The toolkit's scheme without its rule for concatenations.

    That rule takes the rounding off whatever feeds a concatenation. A skip feeds
    the next encoder stage too, which would then be left in floating point.
    """
    toolkit = import_tfmot().quantization.keras
    rules = toolkit.default_8bit.default_8bit_transforms
    transformer = toolkit.graph_transformations.model_transformer.ModelTransformer

    class Layout(toolkit.QuantizeLayoutTransform):
        def apply(self, model, layer_quantize_map):
            steps = [
                rules.InputLayerQuantize(),
                rules.Conv2DBatchNormReLUQuantize(),
                rules.Conv2DBatchNormQuantize(),
                rules.LayerReLUQuantize(),
            ]
            names = set(layer_quantize_map)
            return transformer(model, steps, names, layer_quantize_map).transform()

    class Scheme(toolkit.default_8bit.Default8BitQuantizeScheme):
        def get_layout_transformer(self):
            return Layout()

    return Scheme()
