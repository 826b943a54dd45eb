"""A Keras 3 network as the same network in tf_keras, and its weights back."""

import dataclasses
from typing import Any

import keras
import numpy as np

from covseg_tf.deploy.optimization.legacy_keras import import_tf_keras, ones_like_layer
from covseg_tf.layers import RegionFusionAttention

# What each layer is rebuilt from; an `activation` becomes a layer of its own,
# because a sigmoid needs another range than the sum before it.
_ARGUMENTS = {
    "Activation": ("activation",),
    "Add": (),
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "Concatenate": ("axis",),
    "Conv2D": (
        *("filters", "kernel_size", "strides", "padding", "dilation_rate"),
        *("groups", "use_bias"),
    ),
    "Dense": ("units", "use_bias"),
    "DepthwiseConv2D": (
        *("kernel_size", "strides", "padding", "depth_multiplier"),
        *("dilation_rate", "use_bias"),
    ),
    "Dropout": ("rate",),
    "GlobalAveragePooling2D": ("keepdims",),
    "Multiply": (),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Rescaling": (),
    "UpSampling2D": ("size", "interpolation"),
    "ZeroPadding2D": ("padding",),
}
_ACTIVATIONS = ("linear", "relu", "relu6", "sigmoid", "silu", "tanh")
_WRAPPERS = ("quant_", "prune_low_magnitude_", "cluster_")


@dataclasses.dataclass(frozen=True)
class Twin:
    """A tf_keras network and the Keras 3 layers it came from.

    Attributes:
        model: The `tf_keras.Model`, with the outputs of the original.
        sources: Dict from the name of a layer with weights in `model` to the
            Keras 3 layer that holds the same.
    """

    model: Any
    sources: dict[str, keras.layers.Layer]


def tf_keras_twin(model: keras.Model) -> Twin:
    """Rebuilds a functional Keras 3 network in tf_keras, with its weights.

    Nested models are laid flat, `RegionFusionAttention` is expanded into plain
    layers, and an activation inside a layer becomes a layer of its own: what
    tensorflow-model-optimization can work on.

    Args:
        model: Functional Keras 3 model of one image input, channels last, such
            as `DualFlowSegmenter` or its `inference_model()`.

    Returns:
        A `Twin`; its maps are those of the model but for rounding (see
        `twin_difference`).

    Raises:
        ValueError: If the model is not functional, or has a layer that is not
            translated here.
    """
    if not hasattr(model, "_run_through_graph") or len(model.inputs) != 1:
        raise ValueError(
            "Only a functional Keras model of one input has a twin; build it "
            f"from keras.Input. Received: {type(model).__name__} {model.name!r}"
        )
    tf_keras = import_tf_keras()
    image = model.inputs[0]
    inputs = tf_keras.Input(image.shape[1:], name=image.name)
    walk = _Walk(tf_keras)
    twin = tf_keras.Model(inputs, walk.through(model, inputs, ""), name=model.name)
    for name, layer in walk.sources.items():
        twin.get_layer(name).set_weights(layer.get_weights())
    return Twin(twin, walk.sources)


def twin_difference(model: keras.Model, twin: Twin, seed: int = 0) -> float:
    """Returns the largest difference of an output on random images.

    Args:
        model: The Keras 3 model.
        twin: Its twin.
        seed: Seed of the two images, uniform in `[0, 1]`; 64x64 pixels where
            the model takes any size.
    """
    shape = [size or 64 for size in model.inputs[0].shape[1:]]
    images = np.random.default_rng(seed).random((2, *shape), dtype=np.float32)
    ours = keras.tree.flatten(model(images, training=False))
    theirs = keras.tree.flatten(twin.model(images, training=False))
    return max(
        float(np.abs(np.asarray(a) - np.asarray(b)).max())
        for a, b in zip(ours, theirs, strict=True)
    )


def copy_weights_back(trained, twin: Twin) -> None:
    """Copies the weights of a trained form of the twin into the Keras 3 layers.

    Args:
        trained: A `tf_keras.Model` made of `twin.model`: itself, or what
            `quantize_apply`, `strip_pruning` or `strip_clustering` gave.
        twin: The twin, whose `sources` receive the weights.

    Raises:
        ValueError: If a layer or a weight of the twin is not in `trained`.
    """
    layers = {_bare_name(layer.name): layer for layer in trained.layers}
    for name, source in twin.sources.items():
        if name not in layers:
            raise ValueError(
                f"The trained network has no layer {name!r}; it must be made of "
                f"the twin's own model. Received: {trained.name!r}"
            )
        values = {_role(w.name): w.numpy() for w in layers[name].weights}
        missing = {_role(w.name) for w in source.weights} - set(values)
        if missing:
            raise ValueError(
                f"The trained layer {name!r} lacks the weights {sorted(missing)}. "
                f"Received: {sorted(values)}"
            )
        source.set_weights([values[_role(w.name)] for w in source.weights])


class _Walk:
    """Carries tf_keras tensors along the graph of a Keras 3 model."""

    def __init__(self, tf_keras):
        self.layers = tf_keras.layers
        self.sources = {}
        self._made = {}

    def through(self, model, inputs, prefix):
        return model._run_through_graph(
            inputs, operation_fn=lambda operation: self._translate(operation, prefix)
        )

    def _translate(self, operation, prefix):
        name = f"{prefix}{operation.name}"
        if isinstance(operation, keras.Model):
            return lambda x, **_: self.through(operation, x, f"{name}_")
        if isinstance(operation, RegionFusionAttention):
            return lambda x, **_: self._attention(operation, *x, f"{name}_")
        if isinstance(operation, keras.layers.Layer):
            return lambda x, **_: self._layer(operation, x, name)
        return lambda *x, **_: self._operator(operation, x, name)

    def _operator(self, operation, tensors, name):
        """`ops.multiply` and the like on symbolic tensors."""
        kind = type(operation).__name__
        if kind == "OnesLike":
            return ones_like_layer()(name=name)(*tensors)
        if kind not in ("Add", "Multiply") or not all(
            hasattr(x, "shape") for x in tensors
        ):
            raise ValueError(_untranslated(kind, name))
        return getattr(self.layers, kind)(name=name)(list(tensors))

    def _layer(self, layer, x, name):
        kind = type(layer).__name__
        if kind == "InputLayer":
            return x
        config = layer.get_config()
        if (
            kind not in _ARGUMENTS
            or config.get("data_format", "channels_last") != "channels_last"
            or type(layer) is not getattr(keras.layers, kind)
        ):
            raise ValueError(_untranslated(kind, name))
        if kind == "Rescaling":
            return self._rescaling(config["scale"], config["offset"], x, name)
        if kind != "Activation":
            x = self._same(kind, {k: config[k] for k in _ARGUMENTS[kind]}, name)(x)
            if layer.weights:
                self.sources[name] = layer
        return self._activation(config.get("activation", "linear"), x, name, kind)

    def _rescaling(self, scale, offset, x, name):
        """A fixed 1x1 convolution, which LiteRT has in integers."""
        channels = x.shape[-1]
        layer = self.layers.DepthwiseConv2D(1, trainable=False, name=name)
        x = layer(x)
        kernel = np.broadcast_to(np.reshape(scale, (-1, 1)), (1, 1, channels, 1))
        layer.set_weights([kernel, np.broadcast_to(offset, (channels,))])
        return x

    def _same(self, kind, arguments, name):
        # Kept, so that a layer called twice stays one layer.
        if name not in self._made:
            self._made[name] = getattr(self.layers, kind)(**arguments, name=name)
        return self._made[name]

    def _activation(self, activation, x, name, kind):
        if activation not in _ACTIVATIONS:
            raise ValueError(_untranslated(f"activation {activation!r}", name))
        if activation == "linear":
            return x
        if activation in ("relu", "relu6"):
            top = 6.0 if activation == "relu6" else None
            arguments, made = {"max_value": top}, "ReLU"
        else:
            arguments, made = {"activation": activation}, "Activation"
        name = name if kind == "Activation" else f"{name}_{activation}"
        return self._same(made, arguments, name)(x)

    def _attention(self, attention, lung, infection, prefix):
        """`RegionFusionAttention.call` in plain layers."""
        gate = self._layer(attention.lung_gate, lung, f"{prefix}lung_gate")
        gated = self.layers.Multiply(name=f"{prefix}gated")([gate, infection])
        branches = {}
        for names in attention.branches:
            if tuple(names) not in branches:
                x = gated
                for name in names:
                    x = self._layer(getattr(attention, name), x, f"{prefix}{name}")
                branches[tuple(names)] = x
        outputs = [branches[tuple(names)] for names in attention.branches]
        x = outputs[0]
        if len(outputs) > 1:
            x = self.layers.Concatenate(name=f"{prefix}concatenate")(outputs)
        gate = self._layer(attention.infection_gate, x, f"{prefix}infection_gate")
        attended = self.layers.Multiply(name=f"{prefix}attended")([gate, infection])
        if not attention.residual:
            return attended
        return self.layers.Add(name=f"{prefix}residual")([infection, attended])


def _untranslated(what, name):
    return (
        f"No tf_keras twin for {what} ({name!r}); translated are "
        f"{', '.join(sorted(_ARGUMENTS))}, ones_like, channels last, with the "
        f"activations {', '.join(_ACTIVATIONS)}, and RegionFusionAttention."
    )


def _bare_name(name):
    for prefix in _WRAPPERS:
        name = name.removeprefix(prefix)
    return name


def _role(weight_name):
    """`kernel` of `quant_stem_conv/kernel:0`; tf_keras says depthwise_kernel."""
    role = weight_name.split(":")[0].split("/")[-1]
    return "kernel" if role == "depthwise_kernel" else role
