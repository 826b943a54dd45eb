"""A radiograph's stored values as the grey levels that it is looked at in."""

import functools
from collections.abc import Callable

import numpy as np

from covseg_tf.imaging.contrast import as_grey, widen

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def grey_levels(dataset, stored: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the grey levels of one frame, and notes of what was done.

    In the order of the standard (PS3.4, N.2): the modality's rescaling or table;
    the first table of interest or window that can be used, spread over 0 to 255;
    then `MONOCHROME1` is inverted. Where there is none, `as_grey` decides.
    A window far wider than the values is widened, as `widen` says. What the header
    names as padding takes no part in a range and becomes black.

    Args:
        dataset: The `pydicom.Dataset`. Rescaling and a VOI LUT function that mean
            nothing give way to the standard's defaults in it.
        stored: Array `(rows, columns)` as the file holds it.

    Returns:
        uint8 array of the same shape, and keys of `NOTE_TEXTS`.
    """
    values, notes = _rescaled(dataset, stored)
    padded = _padded(dataset, stored)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    grey = None
    for rule in _rules(dataset):
        grey = _applied(rule, dataset, values)
        if grey is not None:
            break
        notes = (*notes, "window_unusable")
    if grey is None:
        if padded is not None:
            held = values[~padded]
            values = np.where(padded, held.max() if inverted else held.min(), values)
        grey, stretched = as_grey(values)
    else:
        grey, stretched = widen(grey)
    notes += stretched
    if inverted:
        grey = 255 - grey
    if padded is not None:  # a window may show it white
        grey, notes = np.where(padded, np.uint8(0), grey), (*notes, "padding_left_out")
    return grey, tuple(dict.fromkeys(notes))


def mend_rescale(dataset) -> bool:
    """Puts slope 1 and intercept 0 where the header leaves them out or empty.

    Args:
        dataset: A `pydicom.Dataset`; one with neither stays as it is.

    Returns:
        Whether a value was there that means nothing: empty, infinite, or slope 0.
    """
    names = {"RescaleSlope": 1, "RescaleIntercept": 0}
    held = {name: dataset.get(name) for name in names if name in dataset}
    empty = [name for name, value in held.items() if not _is_number(value)]
    if held.get("RescaleSlope") == 0:
        empty.append("RescaleSlope")
    if held:
        for name in empty + [name for name in names if name not in held]:
            setattr(dataset, name, names[name])
    return bool(empty)


def _is_number(value):
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError):  # empty, or several
        return False


def _rescaled(dataset, stored):
    from pydicom.pixels import apply_modality_lut, apply_rescale

    notes = ("rescale_unusable",) if mend_rescale(dataset) else ()
    try:
        values = apply_modality_lut(stored, dataset)
    except Exception:  # pydicom raises whatever a header's table leads it to
        dataset.pop("ModalityLUTSequence", None)
        notes = ("rescale_unusable",)
        values = apply_rescale(stored, dataset)
    # A slope of 1 makes floats of 8-bit pixels.
    return (stored if np.array_equal(values, stored) else values), notes


def _padded(dataset, stored):
    """Where a film holds what its header calls padding, or `None` if nowhere.

    Eight bits are exempt: there it is 0 by habit, and black is as good a level as any.
    """
    try:
        ends = [int(dataset.PixelPaddingValue)]
        ends.append(int(dataset.get("PixelPaddingRangeLimit", ends[0])))
    except (AttributeError, TypeError, ValueError):
        return None
    padded = (stored >= min(ends)) & (stored <= max(ends))
    return padded if stored.itemsize > 1 and padded.any() and not padded.all() else None


def _rules(dataset) -> list[Callable]:
    """What the header offers, each a function of values to `(shown, low, high)`."""
    centers, widths = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    windows = 0 if None in (centers, widths) else np.atleast_1d(centers).size
    tables = len(dataset.get("VOILUTSequence") or ())
    return [functools.partial(_through_table, index) for index in range(tables)] + [
        functools.partial(_through_window, index) for index in range(windows)
    ]


def _through_table(index, dataset, values):
    from pydicom.pixels import apply_voi

    table = dataset.VOILUTSequence[index]
    # Some state the depth of their storage, 16, and hold 12 bits: no film is so dark.
    depth = min(int(table.LUTDescriptor[2]), _highest(dataset, index).bit_length())
    shown = apply_voi(np.rint(values).astype(np.int32), dataset, index)
    return shown, 0, 2**depth - 1


def _highest(dataset, index):
    """The highest entry of a table of interest, whatever its form."""
    from pydicom.pixels import apply_voi

    count, first, _ = dataset.VOILUTSequence[index].LUTDescriptor
    entries = np.arange(first, first + (count or 2**16), dtype=np.int32)
    return int(apply_voi(entries, dataset, index).max())


def _through_window(index, dataset, values):
    from pydicom.pixels import apply_windowing

    if str(dataset.get("VOILUTFunction") or "").upper() not in _FUNCTIONS:
        dataset.VOILUTFunction = _FUNCTIONS[0]
    center, width = (
        float(np.atleast_1d(dataset[name].value)[index])
        for name in ("WindowCenter", "WindowWidth")
    )
    # Far outside the window there is nothing but black and white.
    ends = np.array([center - 100 * width, center + 100 * width])
    low, high = apply_windowing(ends, dataset, index)
    return apply_windowing(values, dataset, index), low, high


def _applied(rule, dataset, values):
    """Grey levels by one rule, or `None` if it cannot be used."""
    try:
        shown, low, high = rule(dataset, values)
        scale = 255 / (float(high) - float(low))
        grey = np.clip((shown.astype(np.float64) - low) * scale, 0, 255)
    except MemoryError:
        raise
    except Exception:  # pydicom raises whatever a header leads it to
        return None
    return np.rint(grey).astype(np.uint8) if np.isfinite(grey).all() else None
