"""Weights of one network in another that shares some of its layers."""

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


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]
