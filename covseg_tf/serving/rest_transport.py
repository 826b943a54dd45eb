"""The client's REST side."""

import base64
import binascii
import json
import urllib.parse

from covseg_tf.serving.errors import ServerError, error_from_http
from covseg_tf.serving.rest_session import RestSession


class RestTransport:
    """Speaks TensorFlow Serving's REST API.

    Args:
        url: Base, for example `"http://127.0.0.1:8501"`.
        model: Name of the model.
        version: Its version, or `None`.
        label: A label, or `None`.
        timeout: Seconds for each whole answer.
        token: Sent as a bearer token, or `None`.
    """

    def __init__(self, url, model, version, label, timeout, token):
        self._base = url.rstrip("/")
        path = f"/v1/models/{urllib.parse.quote(model, safe='')}"
        if version is not None:
            path += f"/versions/{version}"
        elif label is not None:
            path += f"/labels/{urllib.parse.quote(label, safe='')}"
        self._path = path
        self._session = RestSession(self._base, timeout, token)

    def predict(self, signature: str, images: list[bytes]) -> list[dict]:
        """Sends one batch.

        Args:
            signature: Name of a signature with the one input `image_bytes`.
            images: PNG or JPEG files.

        Returns:
            One dict of outputs for each image; bytes are decoded.
        """
        instances = [{"b64": base64.b64encode(data).decode()} for data in images]
        body = {"signature_name": signature, "instances": instances}
        answer = self._call("POST", f"{self._path}:predict", body)
        rows = answer.get("predictions")
        if not isinstance(rows, list) or len(rows) != len(images):
            raise ServerError(
                f"{self._base}: expected {len(images)} predictions. Received: "
                f"{str(answer)[:200]}"
            )
        return [_decoded(row, self._base) for row in rows]

    def status(self) -> dict:
        """Returns TensorFlow Serving's JSON of the versions' states."""
        return self._call("GET", self._path)

    def metadata(self) -> dict:
        """Returns TensorFlow Serving's JSON of the signatures."""
        return self._call("GET", f"{self._path}/metadata")

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        return self._read(*self._session.request(method, path, data))

    def _read(self, response, body):
        answer, status = _parsed(body), response.status_code
        if status == 200 and isinstance(answer, dict):
            return answer
        text = answer.get("error") if isinstance(answer, dict) else None
        after = response.headers.get("Retry-After")
        if status == 429 and (text is None or after is not None):
            # A proxy's "too many"; TensorFlow Serving's own 429 is "too large".
            status = 503
        if status == 200 or text is None:
            text = (
                f"expected a model server's JSON. Received: "
                f"{body[:200].decode(errors='replace')!r} (HTTP "
                f"{response.status_code}); is this the server's address?"
            )
        error = error_from_http(status, f"{self._base}: {text}")
        error.retry_after = float(after) if after and after.isdecimal() else None
        raise error


def _parsed(body):
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _decoded(row, base):
    if not isinstance(row, dict):
        raise ServerError(f"{base}: expected named outputs. Received: {str(row)[:200]}")
    try:
        return {
            name: base64.b64decode(value["b64"]) if isinstance(value, dict) else value
            for name, value in row.items()
        }
    except (KeyError, TypeError, binascii.Error) as error:
        raise ServerError(f"{base}: an output is not base64 ({error}).") from None
