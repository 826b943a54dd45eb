"""The bodies of answers."""

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

    Raises:
        InvalidRequest: If `is_row` and the outputs have not one batch size.
    """
    if is_row:
        _check_batch(outputs)
    texts = [_nested(name, outputs[name], is_row) for name in sorted(outputs)]
    if len(texts) > 1:
        keys = [json.dumps(name) for name in sorted(outputs)]
        rows = [
            f"{{{', '.join(map('{}: {}'.format, keys, row))}}}"
            for row in zip(*texts, strict=True)
        ]
    else:
        rows = texts[0]
    if is_row:
        return f'{{"predictions": [{", ".join(rows)}]}}'.encode()
    return f'{{"outputs": {rows[0]}}}'.encode()


def status_json(versions: list[int]) -> dict:
    """Returns the answer to a status request: what is served is available."""
    status = {"error_code": "OK", "error_message": ""}
    return {
        "model_version_status": [
            {"version": str(version), "state": "AVAILABLE", "status": status}
            for version in versions
        ]
    }


def metadata_json(servable) -> dict:
    """Returns the answer to a metadata request for a `Servable`."""
    signatures = {name: x.to_json() for name, x in servable.signatures.items()}
    version = str(servable.version)
    return {
        "model_spec": {
            "name": servable.name,
            "signature_name": "",
            "version": version,
        },
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


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


def _nested(name, array, is_row):
    """Returns the JSON of each row, or of the whole array as the only one."""
    if array.size == 0:
        return [] if is_row else [json.dumps(array.tolist())]
    texts = _scalars(array.ravel(), name.endswith("_bytes"))
    for size in reversed(array.shape[1:] if is_row else array.shape):
        texts = [
            f"[{', '.join(texts[start : start + size])}]"
            for start in range(0, len(texts), size)
        ]
    return texts


def _scalars(values, as_bytes):
    if values.dtype == object:
        if as_bytes:
            return [f'{{"b64": "{base64.b64encode(x).decode()}"}}' for x in values]
        return [json.dumps(x.decode("utf-8", "replace")) for x in values]
    if values.dtype.kind != "f":
        return [json.dumps(value) for value in values.tolist()]
    # Maps hold few distinct levels: each is written once.
    levels, places = np.unique(values, return_inverse=True)
    texts = [f"{level:.6g}" for level in levels.tolist()]
    exact = np.array(texts).astype(values.dtype) == levels
    digits = 9 if values.dtype == np.float32 else 17
    for index in np.flatnonzero(~exact):
        texts[index] = f"{levels[index]:.{digits}g}"
    return np.array([_decimal(text) for text in texts], object)[places].tolist()


def _decimal(text):
    if "n" in text:  # nan, inf
        return json.dumps(float(text))
    return text if "." in text or "e" in text else f"{text}.0"
