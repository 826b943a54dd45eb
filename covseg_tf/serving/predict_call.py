"""A `:predict` request from body to body, as one unit of work."""

from covseg_tf.serving.errors import InvalidRequest
from covseg_tf.serving.json_guard import check_body
from covseg_tf.serving.json_request import parse_predict
from covseg_tf.serving.json_response import write_predict
from covseg_tf.serving.servable import Servable


def predict_json(servable: Servable, body: bytes) -> bytes:
    """Answers the body of a request; runs in a worker thread.

    Args:
        servable: The model's version that was asked.
        body: JSON as it came.

    Returns:
        JSON of the answer.

    Raises:
        ServingError: If the request is wrong.
    """

    def inputs_of(name):
        signature = servable.signatures.get(name or "serving_default")
        if signature is None:
            raise InvalidRequest(
                f'Serving signature name: "{name or "serving_default"}" not found in '
                "signature def"
            )
        return signature.inputs

    check_body(body, servable.signatures.values(), servable.max_batch)
    request = parse_predict(body, inputs_of, servable.check_size)
    outputs = servable.predict(request.signature_name, request.inputs)
    return write_predict(outputs, request.is_row)


def status_json(versions: list[int]) -> dict:
    """Returns the answer to a status request.

    Args:
        versions: Those asked for; all that are served are available.
    """
    return {
        "model_version_status": [
            {
                "version": str(version),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for version in versions
        ]
    }


def metadata_json(servable: Servable) -> dict:
    """Returns the answer to a metadata request.

    Args:
        servable: The model's version that was asked.
    """
    signatures = {name: x.to_json() for name, x in servable.signatures.items()}
    return {
        "model_spec": {
            "name": servable.name,
            "signature_name": "",
            "version": str(servable.version),
        },
        "metadata": {"signature_def": {"signature_def": signatures}},
    }
