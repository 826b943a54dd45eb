"""The body of a `:predict` request."""

import dataclasses
import json
from collections.abc import Callable

import numpy as np

from covseg_tf.serving.errors import InvalidRequest
from covseg_tf.serving.json_tensor import array_from_json, is_base64, quote, shape_of
from covseg_tf.serving.tensor_spec import TensorSpec

Inputs = dict[str, TensorSpec]
Check = Callable[[str, TensorSpec, tuple[int, ...]], None]


@dataclasses.dataclass(frozen=True)
class PredictBody:
    """A parsed request.

    Attributes:
        signature_name: As sent; empty for the default.
        inputs: Array by input name.
        is_row: Whether it came as `instances` and wants `predictions` back,
            rather than `inputs` and `outputs`.
    """

    signature_name: str
    inputs: dict[str, np.ndarray]
    is_row: bool


def parse_predict(
    body: bytes, inputs_of: Callable[[str], Inputs], check_size: Check
) -> PredictBody:
    """Reads the body as TensorFlow Serving does.

    Args:
        body: The bytes that came.
        inputs_of: Gives the inputs of a signature by its name (empty for the
            default), or raises.
        check_size: Given name, spec and shape of a whole input, raises if that
            is too large. Called before arrays are made.

    Raises:
        ServingError: What the two functions raise.
        InvalidRequest: With TensorFlow Serving's words for what is wrong.
    """
    document = _parse(body)
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidRequest(
            f"JSON Value: {quote(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    specs = inputs_of(name)
    if not specs:
        raise InvalidRequest(
            f"Failed to get input map for signature: {name or 'DEFAULT'}"
        )
    if "instances" in document and "inputs" in document:
        raise InvalidRequest(
            f"JSON Value: {quote(document)} Not formatted correctly expecting only "
            "one of 'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        instances = _checked_instances(document)
        return PredictBody(name, _from_instances(instances, specs, check_size), True)
    if "inputs" in document:
        inputs = _from_inputs(document["inputs"], specs, check_size)
        return PredictBody(name, inputs, False)
    raise InvalidRequest("Missing 'inputs' or 'instances' key")


def _parse(body):
    if not body:
        raise InvalidRequest("JSON Parse error: The document is empty")
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        offset = len(error.doc[: error.pos].encode("utf-8", "replace"))
        raise InvalidRequest(
            f"JSON Parse error: {error.msg} at offset: {offset}"
        ) from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"JSON Parse error: Invalid encoding in string. at offset: {error.start}"
        ) from None
    except (RecursionError, ValueError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise InvalidRequest(f"JSON Parse error: {reason}") from None
    if not isinstance(document, dict):
        raise InvalidRequest(f"JSON Value: {quote(document)} Is not object")
    return document


def _checked_instances(document):
    instances = document["instances"]
    if not isinstance(instances, list):
        raise InvalidRequest(
            f"JSON Value: {quote(document)} Excepting 'instances' to be an list/array"
        )
    if not instances:
        raise InvalidRequest(
            f"JSON Value: {quote(document)} No values in 'instances' array"
        )
    return instances


def _from_instances(instances, specs, check_size):
    if not isinstance(instances[0], dict) and len(specs) > 1:
        raise InvalidRequest(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    named = _is_named(instances[0])
    only = next(iter(specs))
    rows: dict[str, list] = {name: [] for name in specs}
    for index, instance in enumerate(instances):
        if _is_named(instance) != named:
            expected = "object but got list" if named else "value/list but got object"
            raise InvalidRequest(f"Expecting {expected} at item {index} of input list")
        fields = instance if named else {only: instance}
        for key, value in fields.items():
            where = f"element: {index}" + (f" key: {key}" if named else "")
            if key in specs:
                whole = len(instances), *shape_of(value)
                check_size(key, specs[key], whole)
            _add(rows, specs, key, value, where)
        if fields.keys() != specs.keys():
            raise InvalidRequest(
                f"Failed to process element: {index} of 'instances' list. JSON "
                f"object: {quote(instance)} keys must be equal to: "
                f"{','.join(sorted(specs))}"
            )
    return {name: np.stack(arrays) for name, arrays in rows.items()}


def _is_named(instance):
    return isinstance(instance, dict) and not is_base64(instance)


def _add(rows, specs, key, value, where):
    try:
        if key not in specs:
            raise InvalidRequest(f"JSON object: does not have named input: {key}")
        array = array_from_json(value, specs[key])
        first = rows[key][0] if rows[key] else array
        if first.size != array.size:
            raise InvalidRequest(
                f"Expecting tensor size: {first.size} but got: {array.size}"
            )
        if first.shape != array.shape:
            raise InvalidRequest(
                f"Expecting shape {_brackets(first)} but got: {_brackets(array)}"
            )
    except InvalidRequest as error:
        raise InvalidRequest(
            f"Failed to process {where} of 'instances' list. Error: "
            f"{error.code}: {error}"
        ) from None
    rows[key].append(array)


def _brackets(array):
    return f"[{','.join(map(str, array.shape))}]"


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
