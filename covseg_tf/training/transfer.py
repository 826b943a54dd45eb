"""Weights of one network in another, and layers that keep theirs."""

import pathlib

import keras

from covseg_tf.models.pyramid import pyramid_of


def transfer_weights(model: keras.Model, checkpoint: str | pathlib.Path) -> list[str]:
    """Copies the weights of layers that have one name in both networks.

    So the X-ray network with a presence gate starts a CT network without one, or a
    network without the gate one that has it.

    Args:
        model: A functional network; changed in place.
        checkpoint: A `.keras` file of a network of this package.

    Returns:
        Names of the layers with weights that found no match, and keep theirs.

    Raises:
        ValueError: If the file cannot be read, or no layer matches.
    """
    try:
        source = keras.saving.load_model(checkpoint, compile=False)
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{checkpoint}: no Keras model to read ({reason})") from error
    found = {layer.name: layer for layer in source.layers if layer.weights}
    left, copied = [], 0
    for layer in model.layers:
        if not layer.weights:
            continue
        other = found.get(layer.name)
        if other is None or _shapes(layer) != _shapes(other):
            left.append(layer.name)
            continue
        layer.set_weights(other.get_weights())
        copied += 1
    if not copied:
        raise ValueError(
            f"{checkpoint}: shares no layer with {model.name!r}; give a checkpoint of "
            f"the same encoder. It has {', '.join(sorted(found)[:3])}, ..."
        )
    return left


def freeze_encoder(
    model: keras.Model, levels: int = 1, frozen: bool = True
) -> list[str]:
    """Lets the encoder's layers up to its finest feature maps keep their weights.

    Batch normalization there runs on its moving statistics, and no gradient goes
    through the large maps near the image: at 256x256 on a CPU a step
    of the X-ray family takes two thirds of the time. Call it before `compile`.

    Args:
        model: A `DualFlowSegmenter`; changed in place.
        levels: Int >= 1, how many levels of the encoder's pyramid, from the finest
            on. 1 (default) is what comes before the first skip; of
            `EfficientNetLiteEncoder`, all down to a quarter of the image's size.
        frozen: `False` lets the same layers learn again. Defaults to `True`.

    Returns:
        Names of these layers.

    Raises:
        ValueError: If the encoder has fewer levels.
    """
    pyramid = pyramid_of(model.encoder)
    if levels not in range(1, len(pyramid) + 1):
        raise ValueError(
            f"`levels` must be an integer from 1 to {len(pyramid)}, the levels of the "
            f"encoder. Received: {levels!r}"
        )
    layers = keras.Model(model.encoder.inputs, pyramid[:levels]).layers
    for layer in layers:
        layer.trainable = not frozen
    return [layer.name for layer in layers]


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]
