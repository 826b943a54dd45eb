"""Loads a Keras file for an exporter."""

import pathlib
import zipfile

import keras

import covseg_tf.models  # noqa: F401  registers the classes that a file names
from covseg_tf.edge.preprocessing import PreprocessingSpec


def load_network(path: str | pathlib.Path) -> tuple[keras.Model, PreprocessingSpec]:
    """Loads a `.keras` file and says what it takes.

    Args:
        path: The file.

    Returns:
        `(model, spec)`: the model, not compiled, and the preprocessing of its
        input size, grey levels divided by 255.

    Raises:
        ValueError: If there is no such file, it is no Keras model, or it takes
            images of any size.
    """
    model = read_keras(path)
    if len(getattr(model, "inputs", None) or ()) != 1:
        raise ValueError(
            f"{path}: has no single input of its own; build it from keras.Input and "
            "save it again."
        )
    if None in model.inputs[0].shape[1:3]:
        raise ValueError(
            f"{path}: takes images of any size; rebuild it with a fixed input shape "
            "and load these weights."
        )
    return model, PreprocessingSpec(*model.inputs[0].shape[1:3])


def read_keras(path: str | pathlib.Path) -> keras.Model:
    """Reads a `.keras` file, with this package's classes known, not compiled.

    Args:
        path: The file.

    Raises:
        ValueError: If there is no such file, or it is no Keras model.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; give a .keras file.")
    if not zipfile.is_zipfile(path):
        raise unreadable(path, "Keras", "it is no Keras archive, or is damaged")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise unreadable(path, "Keras", error) from None


def unreadable(path, reader: str, error) -> ValueError:
    """Returns the error for a file that a runtime does not take, on one line."""
    reason = " ".join(str(error).split())[:200]  # one line, whatever the library says
    return ValueError(f"{path}: {reader} cannot load it as a model: {reason}")
