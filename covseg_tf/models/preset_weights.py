"""Weights beside a preset: `.weights.h5` as Keras reads it, in half precision."""

import pathlib
import tempfile
import warnings

import keras

ENDING = ".weights.h5"
# A compressed chunk of fewer values is larger than they are.
_PACK_ABOVE = 512
_LARGEST_HALF = 65504


def save_preset_weights(model: keras.Model, path: str | pathlib.Path) -> None:
    """Writes weights in half precision, as small as Keras can read them.

    Args:
        model: A built model; it is not changed.
        path: The file, `NAME.weights.h5`; an old one is replaced.

    Raises:
        ValueError: If the path does not end so, or a weight does not fit half
            precision.
    """
    import h5py

    if not str(path).endswith(ENDING):
        raise ValueError(f"The path must end in {ENDING}. Received: {path}")
    with tempfile.TemporaryDirectory() as folder:
        full = pathlib.Path(folder) / f"full{ENDING}"
        model.save_weights(full)
        with h5py.File(full) as source, h5py.File(path, "w", libver="latest") as target:

            def copy(name, item):
                if isinstance(item, h5py.Dataset):
                    packed = {"compression": 9, "shuffle": True}
                    target.create_dataset(
                        name,
                        data=_half(item[()], name),
                        **(packed if item.size > _PACK_ABOVE else {}),
                    )

            source.visititems(copy)


def load_preset_weights(model: keras.Model, path: str | pathlib.Path) -> None:
    """Loads what `save_preset_weights` wrote into a network of the same layers.

    Args:
        model: A built model; changed in place.
        path: The file.

    Raises:
        ValueError: If the network has other layers.
    """
    try:
        with warnings.catch_warnings():
            # Of layers that are not there; the error says it better.
            warnings.simplefilter("ignore", UserWarning)
            model.load_weights(path)
    except ValueError as error:
        raise ValueError(
            f"The weights of {pathlib.Path(path).name} do not fit: arguments that "
            "change layers do not go with `load_weights`. Leave out one or the other."
        ) from error


def _half(values, name):
    if values.dtype.kind != "f":
        return values
    if not abs(values).max() < _LARGEST_HALF:
        raise ValueError(
            f"{name} does not fit half precision (to {_LARGEST_HALF}). Received values "
            f"up to {abs(values).max()}; ship such a network as a .keras file."
        )
    return values.astype("float16")
