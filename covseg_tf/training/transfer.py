"""Weights of one network in another, and layers that keep theirs."""

import pathlib

import keras


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
    model: keras.Model, level: str = "P2", frozen: bool = True
) -> list[str]:
    """Lets the encoder's layers up to a level of its pyramid keep their weights.

    Batch normalization there runs on its moving statistics, and no gradient goes
    through the large maps near the image: for `xray_small` at 256x256 on a CPU a
    step takes two thirds of the time. Call it before `compile`.

    Args:
        model: A network with an `encoder` that has `pyramid_outputs`, such as
            `DualFlowSegmenter`; changed in place.
        level: Key of `pyramid_outputs`; `"P2"` is at a quarter of the image's size.
        frozen: `False` lets the same layers learn again. Defaults to `True`.

    Returns:
        Names of these layers.

    Raises:
        ValueError: If the encoder has no such level.
    """
    pyramid = getattr(getattr(model, "encoder", None), "pyramid_outputs", None) or {}
    if level not in pyramid:
        raise ValueError(
            f"`level` must be one of the encoder's pyramid: "
            f"{', '.join(sorted(pyramid)) or 'it has none'}. Received: {level!r}"
        )
    layers = keras.Model(model.encoder.inputs, pyramid[level]).layers
    for layer in layers:
        layer.trainable = not frozen
    return [layer.name for layer in layers]


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]
