"""Nested JSON lists to arrays, by TensorFlow Serving's rules."""

import base64
import binascii
import itertools
import json
from collections.abc import Sequence

import numpy as np

from covseg_tf.serving.errors import InvalidRequest
from covseg_tf.serving.tensor_spec import TensorSpec

# An error quotes the value it is about; TensorFlow Serving quotes all of it.
_QUOTED = 200
_DEEPEST = 32
_LARGEST_INTEGER = {"DT_FLOAT": 2**24 - 1, "DT_DOUBLE": 2**53 - 1}


def array_from_json(value: object, spec: TensorSpec) -> np.ndarray:
    """Returns the array of a nested list or a scalar.

    Args:
        value: Parsed JSON; bytes are `{"b64": "..."}`.
        spec: Type that the values must have. Its shape is not looked at.

    Raises:
        InvalidRequest: If the lists are ragged or a value has another type.
    """
    shape = shape_of(value)
    if len(shape) >= _DEEPEST:
        raise InvalidRequest(f"Encountered lists nested {len(shape)} deep.")
    leaves = _flatten(value, shape)
    return _convert(leaves, spec).reshape(shape)


def quote(value: object) -> str:
    """Returns JSON text of a value for an error message, cut when long."""
    text = ""
    # Bit by bit: the value may be a whole body, or nested a thousand deep.
    for part in json.JSONEncoder().iterencode(value):
        text += part
        if len(text) > _QUOTED:
            return f"{text[:_QUOTED]}..."
    return text


def is_base64(value: object) -> bool:
    """Returns whether a value is an object with the one key `b64`."""
    return (
        isinstance(value, dict)
        and value.keys() == {"b64"}
        and isinstance(value["b64"], str)
    )


def shape_of(value: object) -> tuple[int, ...]:
    """Returns the sizes of nested lists, going by the first element of each.

    Args:
        value: Parsed JSON; a scalar has the shape `()`.
    """
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _flatten(value, shape):
    # Level by level: the loops run in C, which 65,536 pixels need.
    values = [value]
    for level, size in enumerate(shape):
        kinds = set(map(type, values))
        if kinds - {list}:
            odd = next(x for x in values if not isinstance(x, list))
            raise InvalidRequest(
                f"JSON Value: {quote(odd)} found at incorrect level: {level + 1} in "
                f"the JSON DOM. Expected at level: {len(shape)}"
            )
        for wrong in set(map(len, values)) - {size}:
            raise InvalidRequest(
                f"Encountered list at unexpected size: {wrong} at level: {level} "
                f"expected size: {size}"
            )
        values = list(itertools.chain.from_iterable(values))
    if list in set(map(type, values)):
        raise InvalidRequest(
            f"Encountered list at unexpected level: {len(shape)} expected < "
            f"{len(shape)}"
        )
    return values


def _convert(values: Sequence, spec: TensorSpec) -> np.ndarray:
    if spec.dtype == "DT_STRING":
        array = np.empty(len(values), object)
        array[:] = [_to_bytes(value, spec) for value in values]
        return array
    if spec.dtype in _LARGEST_INTEGER:
        return _to_floats(values, spec)
    if spec.dtype == "DT_BOOL":
        return np.array(_of_types(values, spec, bool), np.bool_)
    if spec.numpy_dtype is None:
        raise InvalidRequest(
            f"Conversion of JSON Value: {quote(values[:1])} to type: "
            f"{spec.short_dtype}",
            "UNIMPLEMENTED",
        )
    return _to_integers(values, spec)


def _to_floats(values, spec):
    numbers = _of_types(values, spec, int, float)
    try:
        wide = np.abs(np.array(numbers, np.float64))
    except OverflowError:  # an integer beyond every float
        raise _lossy(max(numbers, key=abs), spec) from None
    largest, whole = np.finfo(spec.numpy_dtype).max, _LARGEST_INTEGER[spec.dtype]
    for index in np.flatnonzero((wide > whole) & np.isfinite(wide)):
        # Infinity and NaN are said in so many words and pass.
        if isinstance(numbers[index], int) or wide[index] > largest:
            raise _lossy(numbers[index], spec)
    return np.array(numbers, spec.numpy_dtype)


def _lossy(value, spec):
    return InvalidRequest(
        f"Cannot convert JSON value: {quote(value)} to {spec.short_dtype} without "
        "loss of precision."
    )


def _to_integers(values, spec):
    numbers = _of_types(values, spec, int)
    limits = np.iinfo(spec.numpy_dtype)
    for value in numbers:
        if not limits.min <= value <= limits.max:
            raise _type_error(value, spec)
    return np.array(numbers, spec.numpy_dtype)


def _of_types(values, spec, *types):
    if set(map(type, values)) - set(types):
        raise _type_error(next(x for x in values if type(x) not in types), spec)
    return values


def _to_bytes(value, spec):
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise InvalidRequest("A JSON string holds half a character.") from None
    if not isinstance(value, dict):
        raise _type_error(value, spec)
    if not is_base64(value):
        raise InvalidRequest(
            f"JSON Value: {quote(value)} not formatted correctly for base64 data"
        )
    text = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("Unable to base64 decode") from None


def _type_error(value, spec):
    names = {
        type(None): "Null",
        dict: "Object",
        list: "Array",
        str: "String",
        bool: "True" if value is True else "False",
    }
    kind = names.get(type(value), "Number")
    return InvalidRequest(
        f"JSON Value: {quote(value)} Type: {kind} is not of expected type: "
        f"{spec.short_dtype}"
    )
