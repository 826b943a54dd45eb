"""CT volumes and their masks from NIfTI files, turned as they are looked at.

Every array here is `(slices, rows, columns)`: slices from the feet to the head,
rows from front to back, columns from the patient's right to the left. The
image's header turns the image and its masks alike, voxel for voxel: published
masks often carry a careless header, and everyone reads them by voxel.
"""

import contextlib
import functools
import os
import pathlib
import threading
import zlib

import numpy as np

from covseg_tf.imaging.contrast import window_hounsfield
from covseg_tf.imaging.nifti import AIR, axes_of, turn_volume

_LABELS = (0, 1, 2, 3)
_LOCK = threading.Lock()


def is_volume(path: pathlib.Path) -> bool:
    """Tells a NIfTI file by its suffix."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def read_ct_header(
    path: pathlib.Path,
) -> tuple[tuple[int, int, int], tuple[float, float]]:
    """Returns the shape `(slices, rows, columns)` and the spacing in a slice.

    The spacing is `(rows, columns)` in mm. Reads the header alone.

    Raises:
        ValueError: If the file is no NIfTI volume.
    """
    image = _open(path)
    axes = _orientation(path, image)[:, 0].astype(int)
    shape, zooms = np.zeros(3, int), np.zeros(3)
    shape[axes], zooms[axes] = image.shape[:3], image.header.get_zooms()[:3]
    columns, rows, slices = shape.tolist()
    return (slices, rows, columns), (float(zooms[1]), float(zooms[0]))


def read_ct_slice(
    path: pathlib.Path, index: int | None, window: tuple[float, float]
) -> np.ndarray:
    """Returns one axial slice as grey levels.

    A volume without a value below -200 has no air in it and is not in HU: it
    is taken as it is if it holds 0 to 255 (the Radiopaedia half of
    COVID-19-CT-Seg does), and refused otherwise.

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
        return _slice_of(path, _grey_volume(path, _stamp(path), window)[0], index)


def holds_hounsfield(path: pathlib.Path, window: tuple[float, float]) -> bool:
    """Tells whether `read_ct_slice` applied the window to this volume."""
    with _LOCK:
        return _grey_volume(path, _stamp(path), window)[1]


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
def _grey_volume(path, stamp, window):
    values = _values(path, path)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError(f"{path}: holds NaN or infinity.")
    if low < AIR:
        return np.stack([window_hounsfield(plane, *window) for plane in values]), True
    if low >= 0 and high <= 255:
        return np.rint(values).astype(np.uint8), False
    raise ValueError(
        f"{path}: holds {low:g} to {high:g}. Expected a CT in HU, with air below "
        f"{AIR:g}, or grey levels 0 to 255; mend the slope and intercept of its "
        "header."
    )


@functools.lru_cache(maxsize=4)
def _label_volume(path, stamp, image, image_stamp, labels):
    values = _values(path, image)
    found = np.unique(values)
    if not np.isin(found, _LABELS).all():
        raise ValueError(
            f"{path}: a mask volume holds the labels 0 to 3 only; found "
            f"{found[~np.isin(found, _LABELS)][:8].tolist()}."
        )
    mask = values > 0 if labels is None else np.isin(values, labels)
    return mask.astype(np.uint8)


def _values(path, image):
    """The voxels of `path`, turned by the header of `image`."""
    volume, reference = _open(path), _open(image)
    if volume.shape[:3] != reference.shape[:3]:
        raise ValueError(
            f"{path}: the mask is {_size(volume)} voxels but its image is "
            f"{_size(reference)}; export both on one grid."
        )
    with _readable(path):
        values = np.asanyarray(volume.dataobj).reshape(volume.shape[:3])
    if values.dtype == np.float64:
        values = values.astype(np.float32)
    try:
        return np.ascontiguousarray(turn_volume(values, reference.affine)[0])
    except ValueError as error:
        raise ValueError(f"{image}: {error}") from None


def _open(path):
    try:
        import nibabel
    except ImportError:
        raise ValueError(
            f"{path}: reading NIfTI needs nibabel: pip install covseg-tf[medical]"
        ) from None
    with _readable(path):
        image = nibabel.load(path)
    shape = image.shape
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or 0 in shape:
        raise ValueError(
            f"{path}: expected a volume (x, y, z). Received shape: {shape}"
        )
    return image


@contextlib.contextmanager
def _readable(path):
    from nibabel.filebasedimages import ImageFileError

    if not path.is_file():
        raise ValueError(f"{path}: no such file.")
    try:
        yield
    except (OSError, EOFError, zlib.error, ImageFileError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: cannot be read as NIfTI ({reason}).") from None


def _orientation(path, image):
    try:
        return axes_of(image.affine)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _size(image):
    return "x".join(map(str, image.shape[:3]))


def _stamp(path):
    """Changes with the file, so that a cached volume is never an old one."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
