"""Weights beside a preset: `.weights.h5` as Keras reads it, in half precision."""

import pathlib
import tempfile

import keras

ENDING = ".weights.h5"
# A compressed chunk of fewer values is larger than they are.
_PACK_ABOVE = 512


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
        model.load_weights(path)
    except ValueError as error:
        raise ValueError(
            f"The weights of {pathlib.Path(path).name} do not fit: arguments that "
            "change layers do not go with `load_weights`. Leave out one or the other."
        ) from error


def _half(values, name):
    if values.dtype.kind != "f":
        return values
    half = values.astype("float16")
    # Half precision has 11 bits; below its smallest step all is as good as 0.
    if (abs(half - values) > abs(values) / 1024 + 1e-7).any():
        raise ValueError(
            f"{name} does not fit half precision (to 65504). Received values up to "
            f"{abs(values).max()}; ship such a network as a .keras file."
        )
    return half
