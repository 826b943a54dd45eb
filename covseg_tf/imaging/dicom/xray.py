"""Chest X-rays from DICOM files."""

import pathlib

import numpy as np

from covseg_tf.imaging.contrast import to_grey

_RADIOGRAPHY = ("CR", "DX", "DR", "RG", "OT", "")


def is_dicom(path: pathlib.Path) -> bool:
    """Tells a DICOM file by its suffix."""
    return path.suffix.lower() in (".dcm", ".dicom")


def read_dicom_xray(path: str | pathlib.Path) -> np.ndarray:
    """Reads a radiograph as it is looked at, lungs dark.

    In the order of the standard (PS3.4, N.2): the modality's rescaling or
    table; the first window or table of interest, spread over 0 to 255; then
    `MONOCHROME1` is inverted. Without a window, 8-bit pixels stay as they are
    and deeper ones are stretched, minimum to 0 and maximum to 255, as
    `PreprocessingSpec` does with any other deep image.

    Args:
        path: A file of one frame, one grey channel, from radiography.

    Returns:
        uint8 array `(rows, columns)`.

    Raises:
        ValueError: If pydicom is not installed, or the file cannot be read, has
            no pixels, several frames or colours, or is another modality.
    """
    path = pathlib.Path(path)
    dataset = _open(path)
    _check_kind(path, dataset)
    try:
        pixels = dataset.pixel_array
    except Exception as error:  # pydicom raises what its decoders raise
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: its pixels cannot be decoded ({reason}).") from None
    try:
        return dicom_grey_levels(dataset, pixels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def dicom_grey_levels(dataset, pixels: np.ndarray) -> np.ndarray:
    """Returns decoded pixels as they are looked at, see `read_dicom_xray`.

    Args:
        dataset: The `pydicom.Dataset` that they came from.
        pixels: Array `(rows, columns)` of one frame.

    Returns:
        uint8 array of the same shape.

    Raises:
        ValueError: If the window or a table cannot be applied.
    """
    grey = _windowed(dataset, pixels)
    return 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def has_window(dataset) -> bool:
    """Tells whether the header says what black and white are.

    Args:
        dataset: A `pydicom.Dataset`.
    """
    if dataset.get("VOILUTSequence"):
        return True
    return None not in (dataset.get("WindowCenter"), dataset.get("WindowWidth"))


def read_dicom_spacing(path: str | pathlib.Path) -> tuple[float, float] | None:
    """Returns the spacing of a radiograph's pixels in mm, `(rows, columns)`.

    `PixelSpacing` where the file has it, else `ImagerPixelSpacing`, which holds
    at the detector: the chest before it is a few percent smaller than measured
    so. `None` if the file has neither.

    Args:
        path: A DICOM file; only its header is read.

    Raises:
        ValueError: If pydicom is not installed or the file cannot be read.
    """
    dataset = _open(pathlib.Path(path), stop_before_pixels=True)
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        values = dataset.get(name)
        if values is not None and len(values) == 2:
            return float(values[0]), float(values[1])
    return None


def _open(path, **options):
    try:
        import pydicom
    except ImportError:
        raise ValueError(
            f"{path}: reading DICOM needs pydicom: pip install covseg-tf[medical]"
        ) from None
    try:
        return pydicom.dcmread(path, **options)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file.") from None
    except (pydicom.errors.InvalidDicomError, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: cannot be read as DICOM ({reason}).") from None


def _check_kind(path, dataset):
    modality = dataset.get("Modality") or ""
    if modality not in _RADIOGRAPHY:
        raise ValueError(
            f"{path}: is of modality {modality}. Expected a radiograph (CR or DX); "
            "give CT as NIfTI volumes."
        )
    if "PixelData" not in dataset:
        raise ValueError(f"{path}: holds no pixels.")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ValueError(f"{path}: holds {frames} frames. Expected one.")
    kind = dataset.get("PhotometricInterpretation")
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise ValueError(f"{path}: is {kind}. Expected MONOCHROME1 or MONOCHROME2.")


def _windowed(dataset, pixels):
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    try:
        values = apply_modality_lut(pixels, dataset)
        if np.array_equal(values, pixels):
            values = pixels  # a slope of 1 makes floats of 8-bit pixels
        if dataset.get("VOILUTSequence"):
            values = np.rint(values).astype(np.int32)  # they index the table
        if not has_window(dataset):
            return to_grey(values)
        low, high = _display_range(dataset)
        shown = apply_voi_lut(values, dataset).astype(np.float64)
        if low == high:
            raise ValueError("it has no width")
        if not np.isfinite([low, high]).all() or not np.isfinite(shown).all():
            raise ValueError("it is not finite")
    except (ValueError, TypeError, LookupError, NotImplementedError) as error:
        raise ValueError(f"its window cannot be applied ({error}).") from None
    grey = np.clip((shown - low) * (255 / (high - low)), 0, 255)
    return np.rint(grey).astype(np.uint8)


def _display_range(dataset):
    """What black and white are after pydicom has applied the window."""
    from pydicom.pixels import apply_voi_lut

    if dataset.get("VOILUTSequence"):
        return 0, 2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
    center, width = (
        float(np.atleast_1d(dataset[name].value)[0])
        for name in ("WindowCenter", "WindowWidth")
    )
    # Far outside the window there is nothing but black and white.
    ends = np.array([center - 100 * width, center + 100 * width])
    return apply_voi_lut(ends, dataset)
