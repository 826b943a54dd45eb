"""Masks as people have them, as the losses want them."""

import keras
from keras import ops

_HALF_OF_A_BYTE = 127


def read_masks(values):
    """Returns masks as floats in `[0, 1]` of the shape `(batch, height, width, 1)`.

    Args:
        values: Masks with or without the last axis; bool; integers 0 and 1, or 0
            and 255; or floats in `[0, 1]`. Floats outside become NaN, so that a
            loss of them is never mistaken for one.
    """
    values = ops.convert_to_tensor(values)
    dtype = keras.backend.standardize_dtype(values.dtype)
    if len(values.shape) == 3:
        values = ops.expand_dims(values, -1)
    if "int" in dtype:
        number = ops.cast(values, "int32")
        edge = ops.where(ops.max(number) > 1, _HALF_OF_A_BYTE, 0)
        return ops.cast(number > edge, "float32")
    values = ops.cast(values, "float32")
    if dtype == "bool":
        return values
    good = ops.logical_and(ops.min(values) >= 0, ops.max(values) <= 1)
    return ops.where(good, values, float("nan"))
