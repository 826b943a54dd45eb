"""A radiograph's stored values as the grey levels that it is looked at in."""

import functools
from collections.abc import Callable

import numpy as np

from covseg_tf.imaging.contrast import as_grey, widen
from covseg_tf.imaging.dicom.header import number_of, text_of
from covseg_tf.imaging.dicom.table import look_up


def grey_levels(dataset, stored: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the grey levels of one frame, and notes of what was done.

    In the order of the standard (PS3.4, N.2): the modality's rescaling or table;
    the first table of interest or window that can be used, spread over 0 to 255;
    then `MONOCHROME1` is inverted. Where there is none, `as_grey` decides.
    A window far wider than the values is widened, as `widen` says. What the header
    names as padding takes no part in a range and becomes black.

    Args:
        dataset: The `pydicom.Dataset`. Rescaling that means nothing gives way to the
            standard's default in it.
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
    from pydicom.pixels import apply_rescale

    notes = ("rescale_unusable",) if mend_rescale(dataset) else ()
    if tables := dataset.get("ModalityLUTSequence"):
        try:
            values, bits = look_up(tables[0], stored, _is_little(dataset))
            return values.astype(np.uint8) if bits <= 8 else values, notes
        except ValueError:
            notes = ("rescale_unusable",)
    dataset.pop("ModalityLUTSequence", None)  # pydicom would take it
    with np.errstate(over="ignore"):
        values = apply_rescale(stored, dataset)
    if not np.isfinite(values).all():  # a slope of 1e308
        values, notes = stored, ("rescale_unusable",)
    # A slope of 1 makes floats of 8-bit pixels.
    return (stored if np.array_equal(values, stored) else values), notes


def _is_little(dataset):
    return dataset.file_meta.TransferSyntaxUID.is_little_endian


def _padded(dataset, stored):
    """Where a film holds what its header calls padding, or `None` if nowhere.

    Eight bits are exempt: there it is 0 by habit, and black is as good a level as any.
    The header may hold its sign or not, whatever that of the pixels.
    """
    if "PixelPaddingValue" not in dataset or stored.itemsize == 1:
        return None
    names = ("PixelPaddingValue", "PixelPaddingRangeLimit")
    ends = [number_of(dataset, n) for n in names if dataset.get(n) not in (None, "")]
    if not ends:
        return None
    ends = np.array(ends, np.int64).astype(stored.dtype)
    padded = (stored >= ends.min()) & (stored <= ends.max())
    return padded if padded.any() and not padded.all() else None


def _rules(dataset) -> list[Callable]:
    """What the header offers, each a function of values to shares of white."""
    centers, widths = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    windows = 0 if None in (centers, widths) else np.atleast_1d(centers).size
    tables = len(dataset.get("VOILUTSequence") or ())
    return [functools.partial(_through_table, index) for index in range(tables)] + [
        functools.partial(_through_window, index) for index in range(windows)
    ]


def _through_table(index, dataset, values):
    table = dataset.VOILUTSequence[index]
    shown, bits = look_up(table, np.rint(values), _is_little(dataset))
    return shown / (2**bits - 1)


def _through_window(index, dataset, values):
    """PS3.3, C.11.2.1.2 and C.11.2.1.3; a function of no name is linear."""
    center, width = (
        float(np.atleast_1d(dataset[name].value)[index])
        for name in ("WindowCenter", "WindowWidth")
    )
    function = text_of(dataset, "VOILUTFunction").upper()
    if function == "SIGMOID" and width > 0:
        return 1 / (1 + np.exp(-4 * (values - center) / width))
    if function != "LINEAR_EXACT":
        center, width = center - 0.5, width - 1
    if width == 0 and function != "LINEAR_EXACT":
        return (values > center).astype(np.float64)
    if not width > 0:
        raise ValueError(f"a window of width {width:g} shows nothing.")
    return np.clip((values - center) / width + 0.5, 0, 1)


def _applied(rule, dataset, values):
    """Grey levels by one rule, or `None` if it cannot be used or leaves nothing."""
    try:
        with np.errstate(all="ignore"):
            grey = np.asarray(rule(dataset, values), np.float64) * 255
    except MemoryError:
        raise
    except Exception:  # whatever a header leads it to
        return None
    if not np.isfinite(grey).all():
        return None
    grey = np.rint(grey).astype(np.uint8)
    return None if np.ptp(grey) == 0 and np.ptp(values) > 0 else grey
