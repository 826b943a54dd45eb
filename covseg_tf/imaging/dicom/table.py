"""Tables of a DICOM header: a stored value, or a modality's, to what it shows."""

import numpy as np


def look_up(item, values: np.ndarray, little: bool = True) -> tuple[np.ndarray, int]:
    """Returns what a table makes of values, and how many bits it really holds.

    What the descriptor says of depth is not believed: some state that of their
    storage, 16, and hold 12 bits. Nor is the sign of its first value: where no value
    comes near one of 32,768 and more, it is meant to be negative (PS3.3, C.11.2.1.1).

    Args:
        item: An item of a Modality or VOI LUT Sequence.
        values: Whole numbers, of any shape.
        little: Whether the file has the low byte first.

    Returns:
        uint16 array of the same shape, and the bits of its highest entry.

    Raises:
        ValueError: If it is cut short, or says nothing.
    """
    try:
        count, first, *depth = (int(x) & 0xFFFF for x in item.LUTDescriptor)
        entries = _entries(item.LUTData, count or 2**16, depth == [8], little)
    except (AttributeError, TypeError, ValueError):
        raise ValueError("its table says nothing, or is cut short.") from None
    if first >= 2**15 and values.max() <= first:
        first -= 2**16
    places = np.clip(values.astype(np.int64) - first, 0, len(entries) - 1)
    return entries[places], int(entries.max()).bit_length()


def _entries(data, count, packed, little):
    if isinstance(data, bytes):
        # Of 8 bits they lie in as many bytes, or in words.
        packed = packed and len(data) < 2 * count
        kind = "u1" if packed else "<u2" if little else ">u2"
        return np.frombuffer(data, kind, count).astype(np.uint16)
    held = np.atleast_1d(np.asarray(data))[:count]
    if len(held) < count:
        raise ValueError
    return held.astype(np.uint16)
