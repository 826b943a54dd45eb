"""Nested JSON lists to arrays, by TensorFlow Serving's rules."""

import base64
import itertools
import json

import numpy as np

from covseg_tf.serving.errors import InvalidRequest
from covseg_tf.serving.wire.tensor_spec import TensorSpec

# An error quotes the value it is about; TensorFlow Serving quotes all of it.
_QUOTED = 200
_DEEPEST = 32
_LARGEST_INTEGER = {"DT_FLOAT": 2**24 - 1, "DT_DOUBLE": 2**53 - 1}
# What may stand for each kind of NumPy type.
_TYPES = {"b": {bool}, "f": {int, float}, "i": {int}, "u": {int}}
_NAMES = {type(None): "Null", dict: "Object", list: "Array", str: "String"}


def array_from_json(value: object, spec: TensorSpec) -> np.ndarray:
    """Returns the array of a nested list or a scalar; its shape is not looked at.

    Raises:
        InvalidRequest: If the lists are ragged or a value has another type.
    """
    shape = shape_of(value)
    if len(shape) >= _DEEPEST:
        raise InvalidRequest(f"Encountered lists nested {len(shape)} deep.")
    return _convert(_flatten(value, shape), spec).reshape(shape)


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
    """Returns the sizes of nested lists, going by the first element of each."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _flatten(value, shape):
    # Level by level: the loops run in C, which 65,536 pixels need.
    values = [value]
    for level, size in enumerate(shape):
        if set(map(type, values)) - {list}:
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


def _convert(values, spec):
    if spec.numpy_dtype is None:
        raise InvalidRequest(
            f"Conversion of JSON Value: {quote(values[:1])} to type: "
            f"{spec.short_dtype}",
            "UNIMPLEMENTED",
        )
    kind = np.dtype(spec.numpy_dtype).kind
    if kind == "O":
        array = np.empty(len(values), object)
        array[:] = [_to_bytes(value, spec) for value in values]
        return array
    if set(map(type, values)) - _TYPES[kind]:
        raise _type_error(next(x for x in values if type(x) not in _TYPES[kind]), spec)
    if kind == "f":
        _check_floats(values, spec)
    elif kind in "iu":
        limits = np.iinfo(spec.numpy_dtype)
        for value in values:
            if not limits.min <= value <= limits.max:
                raise _type_error(value, spec)
    return np.array(values, spec.numpy_dtype)


def _check_floats(numbers, spec):
    largest, whole = np.finfo(spec.numpy_dtype).max, _LARGEST_INTEGER[spec.dtype]
    try:
        wide = np.abs(np.array(numbers, np.float64))
        # Infinity and NaN are said in so many words and pass.
        large = np.flatnonzero((wide > whole) & np.isfinite(wide))
        lost = [i for i in large if type(numbers[i]) is int or wide[i] > largest]
        value = numbers[lost[0]] if lost else None
    except OverflowError:  # an integer beyond every float
        value = max(numbers, key=abs)
    if value is not None:
        raise InvalidRequest(
            f"Cannot convert JSON value: {quote(value)} to {spec.short_dtype} without "
            "loss of precision."
        )


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
    except ValueError:
        raise InvalidRequest("Unable to base64 decode") from None


def _type_error(value, spec):
    kind = str(value) if type(value) is bool else _NAMES.get(type(value), "Number")
    return InvalidRequest(
        f"JSON Value: {quote(value)} Type: {kind} is not of expected type: "
        f"{spec.short_dtype}"
    )
