"""The image and the masks of one sample, whatever the format."""

import numpy as np

from covseg_tf.data.ct_slices import is_volume, read_ct_slice, read_label_slice
from covseg_tf.data.sample import Sample
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.imaging import read_film, read_image
from covseg_tf.imaging.contrast import LUNG_LEVEL, LUNG_WIDTH


def load_sample(
    sample: Sample, spec: PreprocessingSpec
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads one sample at the size of the network's input.

    Args:
        sample: What to read.
        spec: The preprocessing that the bundle will carry.

    Returns:
        `(image, lung, infection)`: uint8 grey pixels and two uint8 masks of 0
        and 1, each `(height, width)`. A mask that the sample does not have is
        empty.

    Raises:
        ValueError: If a file is missing or cannot be read, or a mask has
            another size than its image or holds other values than 0 and 255
            (or 0 and 1). The text names the file.
    """
    image = load_image(sample)
    lung, infection = (
        spec.resize_mask(load_mask(sample, kind, image.shape))
        for kind in ("lung", "infection")
    )
    return spec.resize(image), lung, infection


def load_image(sample: Sample) -> np.ndarray:
    """Reads the image of a sample.

    Returns:
        uint8 grey levels `(rows, columns)`.

    Raises:
        ValueError: If it cannot be read.
    """
    path = sample.image
    if is_volume(path):
        window = sample.window or (LUNG_LEVEL, LUNG_WIDTH)
        return read_ct_slice(path, sample.slice_index, window)
    film = read_film(path)
    # As it is filed, even if mirrored: its masks lie on it so.
    return film.mask_to_file(film.pixels)


def load_mask(
    sample: Sample, kind: str, shape: tuple[int, int] | None = None
) -> np.ndarray:
    """Reads one mask of a sample.

    Args:
        sample: What to read.
        kind: `"lung"` or `"infection"`.
        shape: `(rows, columns)` of the image; `None` (default) leaves the size
            unchecked. Needed for a mask that the sample does not have.

    Returns:
        uint8 `(rows, columns)` of 0 and 1.

    Raises:
        ValueError: If it is missing, cannot be read, has another size, or
            holds other values than 0 and 255 (or 0 and 1).
    """
    path = sample.lung_mask if kind == "lung" else sample.infection_mask
    if path is None and shape is not None:
        return np.zeros(shape, np.uint8)
    if path is None:
        raise ValueError(f"{sample.image}: has no {kind} mask.")
    if not path.is_file():
        raise ValueError(f"{path}: missing, the {kind} mask of {sample.image}.")
    if is_volume(path):
        labels = sample.infection_labels if kind == "infection" else None
        return read_label_slice(path, sample.image, sample.slice_index, labels)
    mask = read_image(path)
    if mask.ndim == 3:
        mask = _one_channel(path, mask)
    if shape is not None and mask.shape != tuple(shape):
        raise ValueError(
            f"{path}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels but its "
            f"image is {shape[1]}x{shape[0]}; export both at one size."
        )
    # 65535 is what 255 becomes in a 16-bit file.
    if not any(np.isin(mask, (0, top)).all() for top in (1, 255, 65535)):
        raise ValueError(
            f"{path}: a mask holds 0 and 255 only; found values "
            f"{np.unique(mask)[:8].tolist()}. Threshold it and save it as PNG."
        )
    return (mask > 0).astype(np.uint8)


def _one_channel(path, mask):
    if (mask != mask[..., :1]).any():
        raise ValueError(
            f"{path}: the mask is coloured; save one grey channel of 0 and 255."
        )
    return mask[..., 0]
