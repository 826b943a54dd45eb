"""Slices of CT volumes and of their masks, read once for all their slices.

Every array here is `(slices, rows, columns)`, turned as `turn_volume` says. The
image's header turns the image and its masks alike, voxel for voxel: published
masks often carry a careless header, and everyone reads them by voxel.
"""

import contextlib
import functools
import os
import pathlib
import threading

import numpy as np

from covseg_tf.imaging import (
    read_file,
    read_nifti_header,
    read_nifti_volume,
    read_voxels,
    size_and_spacing,
    turn_volume,
)

_LABELS = (0, 1, 2, 3)
_HEAD = 4096
_LOCK = threading.Lock()


def is_volume(path: pathlib.Path) -> bool:
    """Tells a NIfTI file by its suffix."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def read_ct_spacing(path: pathlib.Path) -> tuple[float, float]:
    """Returns the spacing in a slice, `(rows, columns)` in mm, from the header alone.

    Raises:
        ValueError: If the file is no NIfTI volume.
    """
    with _named(path):
        return size_and_spacing(_header(path))[1][1:]


def read_ct_slice(
    path: pathlib.Path, index: int | None, window: tuple[float, float]
) -> np.ndarray:
    """Returns one axial slice as grey levels, see `read_nifti_volume`.

    Args:
        path: The CT volume.
        index: Slice from the feet, from 0.
        window: `(level, width)` in HU, see `window_hounsfield`.

    Returns:
        uint8 `(rows, columns)`.

    Raises:
        ValueError: If the volume cannot be read, has no such slice, or holds
            neither HU nor grey levels.
    """
    with _LOCK:  # so that parallel readers load a volume once
        return _slice_of(path, _volume(path, _stamp(path), window).slices, index)


def holds_hounsfield(path: pathlib.Path, window: tuple[float, float]) -> bool:
    """Tells whether `read_ct_slice` applied the window to this volume."""
    with _LOCK:
        return "grey_volume" not in _volume(path, _stamp(path), window).notes


def read_labels(
    path: pathlib.Path, image: pathlib.Path, labels: tuple[int, ...] | None = None
) -> np.ndarray:
    """Returns the mask of a whole volume.

    Args:
        path: The volume of labels, whole numbers 0 to 3.
        image: The CT volume that it belongs to, whose header turns it.
        labels: Which labels count; `None` (default) for all above 0.

    Returns:
        uint8 `(slices, rows, columns)` of 0 and 1. Do not write to it.

    Raises:
        ValueError: If the volume cannot be read, has another size than its
            image, or holds other values.
    """
    with _LOCK:
        return _label_volume(path, _stamp(path), image, _stamp(image), labels)


def read_label_slice(
    path: pathlib.Path,
    image: pathlib.Path,
    index: int | None,
    labels: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Returns one slice of `read_labels`."""
    return _slice_of(path, read_labels(path, image, labels), index)


def _slice_of(path, volume, index):
    if index is None or not 0 <= index < len(volume):
        raise ValueError(
            f"{path}: has the slices 0 to {len(volume) - 1}; give `slice_index`. "
            f"Received: {index}"
        )
    return volume[index]


@functools.lru_cache(maxsize=2)
def _volume(path, stamp, window):
    with _named(path):
        return read_nifti_volume(read_file(path), *window)


@functools.lru_cache(maxsize=4)
def _label_volume(path, stamp, image, image_stamp, labels):
    with _named(image):
        header = _header(image)
    with _named(path):
        values = read_voxels(read_file(path))
        shape = header.get_data_shape()[:3]
        if values.shape != shape:
            raise ValueError(
                f"the mask is {_size(values.shape)} voxels but its image is "
                f"{_size(shape)}; export both on one grid."
            )
        found = np.unique(values)
        if not np.isin(found, _LABELS).all():
            raise ValueError(
                "a mask volume holds the labels 0 to 3 only; found "
                f"{found[~np.isin(found, _LABELS)][:8].tolist()}."
            )
    with _named(image):
        values = turn_volume(values, header)
    mask = values > 0 if labels is None else np.isin(values, labels)
    return np.ascontiguousarray(mask, np.uint8)


def _header(path):
    return read_nifti_header(read_file(path, _HEAD))


@contextlib.contextmanager
def _named(path):
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}.") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _size(shape):
    return "x".join(map(str, shape))


def _stamp(path):
    """Changes with the file, so that a cached volume is never an old one."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
