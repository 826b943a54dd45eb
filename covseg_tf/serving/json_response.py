"""The body of a `:predict` answer."""

import base64
import json

import numpy as np

from covseg_tf.serving.errors import InvalidRequest


def write_predict(outputs: dict[str, np.ndarray], is_row: bool) -> bytes:
    """Writes outputs as TensorFlow Serving does, whitespace aside.

    Floats have as many digits as they need, NaN and infinity are the bare
    words that JSON proper does not know, and strings of outputs whose name
    ends in `_bytes` become `{"b64": ...}`.

    Args:
        outputs: Array by output name.
        is_row: Whether to write `predictions`, one entry per image, rather
            than `outputs`, one entry per name.

    Returns:
        JSON text in UTF-8.

    Raises:
        InvalidRequest: If the outputs do not have one batch size and a row
            format was asked for.
    """
    texts = {name: _rows(name, outputs[name], is_row) for name in sorted(outputs)}
    if not is_row:
        if len(texts) == 1:
            return f'{{"outputs": {next(iter(texts.values()))}}}'.encode()
        fields = ", ".join(f"{json.dumps(name)}: {x}" for name, x in texts.items())
        return f'{{"outputs": {{{fields}}}}}'.encode()
    _check_batch(outputs)
    rows = zip(*texts.values(), strict=True)
    if len(texts) == 1:
        entries = [row[0] for row in rows]
    else:
        keys = [json.dumps(name) for name in texts]
        entries = [_object(keys, row) for row in rows]
    return f'{{"predictions": [{", ".join(entries)}]}}'.encode()


def write_error(message: str) -> bytes:
    """Writes the body of an error.

    Args:
        message: Its text.
    """
    return json.dumps({"error": message}).encode()


def _check_batch(outputs):
    sizes = {}
    for name, array in outputs.items():
        if array.ndim == 0:
            raise InvalidRequest(f"Tensor name: {name} has no shape information ")
        sizes[array.shape[0]] = name
    if len(sizes) > 1:
        expected, (wrong, name) = next(iter(sizes)), list(sizes.items())[-1]
        raise InvalidRequest(
            f"Tensor name: {name} has inconsistent batch size: {wrong} expecting: "
            f"{expected}"
        )


def _object(keys, values):
    pairs = zip(keys, values, strict=True)
    return f"{{{', '.join(f'{key}: {value}' for key, value in pairs)}}}"


def _rows(name, array, is_row):
    """Returns the JSON of each row, or of the whole array."""
    if array.size == 0:
        return [] if is_row else json.dumps(array.tolist())
    texts = _scalars(array.ravel(), name.endswith("_bytes"))
    for size in reversed(array.shape[1:] if is_row else array.shape):
        texts = [
            f"[{', '.join(texts[start : start + size])}]"
            for start in range(0, len(texts), size)
        ]
    return texts if is_row else texts[0]


def _scalars(values, as_bytes):
    if values.dtype == object:
        if as_bytes:
            return [f'{{"b64": "{base64.b64encode(x).decode()}"}}' for x in values]
        return [json.dumps(x.decode("utf-8", "replace")) for x in values]
    if values.dtype.kind == "f":
        return _decimals(values)
    return [json.dumps(value) for value in values.tolist()]


def _decimals(values):
    # Maps hold few distinct levels: each is written once.
    levels, places = np.unique(values, return_inverse=True)
    short = [f"{level:.6g}" for level in levels.tolist()]
    exact = np.array(short).astype(values.dtype) == levels
    digits = 9 if values.dtype == np.float32 else 17
    texts = np.empty(len(levels), object)
    for index, level in enumerate(levels.tolist()):
        texts[index] = _decimal(level, short[index], exact[index], digits)
    return texts[places].tolist()


def _decimal(level, short, exact, digits):
    if level != level:
        return "NaN"
    if level in (float("inf"), float("-inf")):
        return "Infinity" if level > 0 else "-Infinity"
    text = short if exact else f"{level:.{digits}g}"
    return text if "." in text or "e" in text else f"{text}.0"
