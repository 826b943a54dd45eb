"""A `:predict` request from body to body, as TensorFlow Serving reads it."""

import json

import numpy as np

from covseg_tf.serving.errors import InvalidRequest
from covseg_tf.serving.wire.json_guard import check_body
from covseg_tf.serving.wire.json_response import write_predict
from covseg_tf.serving.wire.json_tensor import (
    array_from_json,
    is_base64,
    quote,
    shape_of,
)


def predict_json(servable, body: bytes) -> bytes:
    """Answers the body of a request; runs in a worker thread.

    Args:
        servable: The `Servable` that was asked.
        body: JSON as it came.

    Raises:
        ServingError: If the request is wrong.
    """
    check_body(body, servable.signatures.values(), servable.max_batch)
    document = _parse(body)
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        text = "not formatted correctly. 'signature_name' key must be a string value."
        raise _wrong(document, text)
    specs = _inputs_of(servable, name)
    is_row = "instances" in document
    if is_row and "inputs" in document:
        text = "Not formatted correctly expecting only one of 'inputs' or 'instances' "
        raise _wrong(document, f"{text}keys to exist ")
    if is_row:
        inputs = _from_instances(document, specs, servable.check_size)
    elif "inputs" in document:
        inputs = _from_inputs(document["inputs"], specs, servable.check_size)
    else:
        raise InvalidRequest("Missing 'inputs' or 'instances' key")
    return write_predict(servable.predict(name, inputs), is_row)


def _parse(body):
    reason = None
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        offset = len(error.doc[: error.pos].encode("utf-8", "replace"))
        reason = f"{error.msg} at offset: {offset}"
    except UnicodeDecodeError as error:
        reason = f"Invalid encoding in string. at offset: {error.start}"
    except RecursionError:
        reason = "nested too deep"
    except ValueError as error:
        reason = str(error)
    if reason:
        reason = reason if body else "The document is empty"
        raise InvalidRequest(f"JSON Parse error: {reason}")
    if not isinstance(document, dict):
        raise _wrong(document, "Is not object")
    return document


def _wrong(value, text):
    return InvalidRequest(f"JSON Value: {quote(value)} {text}")


def _inputs_of(servable, name):
    signature = servable.signatures.get(name or "serving_default")
    if signature is None:
        raise InvalidRequest(
            f'Serving signature name: "{name or "serving_default"}" not found in '
            "signature def"
        )
    if not signature.inputs:
        raise InvalidRequest(
            f"Failed to get input map for signature: {name or 'DEFAULT'}"
        )
    return signature.inputs


def _from_instances(document, specs, check_size):
    instances = document["instances"]
    if not isinstance(instances, list):
        raise _wrong(document, "Excepting 'instances' to be an list/array")
    if not instances:
        raise _wrong(document, "No values in 'instances' array")
    if not isinstance(instances[0], dict) and len(specs) > 1:
        raise InvalidRequest(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    named, only = _is_named(instances[0]), next(iter(specs))
    rows: dict[str, list] = {name: [] for name in specs}
    for index, instance in enumerate(instances):
        if _is_named(instance) != named:
            expected = "object but got list" if named else "value/list but got object"
            raise InvalidRequest(f"Expecting {expected} at item {index} of input list")
        fields = instance if named else {only: instance}
        for key, value in fields.items():
            if key in specs:
                check_size(key, specs[key], (len(instances), *shape_of(value)))
            try:
                _add(rows, specs, key, value)
            except InvalidRequest as error:
                where = f"element: {index}" + (f" key: {key}" if named else "")
                raise InvalidRequest(
                    f"Failed to process {where} of 'instances' list. Error: "
                    f"{error.code}: {error}"
                ) from None
        if fields.keys() != specs.keys():
            raise InvalidRequest(
                f"Failed to process element: {index} of 'instances' list. JSON "
                f"object: {quote(instance)} keys must be equal to: "
                f"{','.join(sorted(specs))}"
            )
    return {name: np.stack(arrays) for name, arrays in rows.items()}


def _is_named(instance):
    return isinstance(instance, dict) and not is_base64(instance)


def _add(rows, specs, key, value):
    if key not in specs:
        raise InvalidRequest(f"JSON object: does not have named input: {key}")
    array = array_from_json(value, specs[key])
    first = rows[key][0] if rows[key] else array
    if first.size != array.size:
        text = f"tensor size: {first.size} but got: {array.size}"
        raise InvalidRequest(f"Expecting {text}")
    if first.shape != array.shape:
        text = f"shape {list(first.shape)} but got: {list(array.shape)}"
        raise InvalidRequest(f"Expecting {text}".replace(", ", ","))
    rows[key].append(array)


def _from_inputs(value, specs, check_size):
    if not _is_named(value):
        if len(specs) > 1:
            raise InvalidRequest(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        value = {next(iter(specs)): value}
    for name, spec in specs.items():
        if name not in value:
            raise InvalidRequest(f"Missing named input: {name} in 'inputs' object.")
        check_size(name, spec, shape_of(value[name]))
    # A key too many is passed over, as there.
    return {name: array_from_json(value[name], spec) for name, spec in specs.items()}
