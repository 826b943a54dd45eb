"""The client's REST side."""

import base64
import binascii
import json
import urllib.parse

import requests

from covseg_tf.serving.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ServerError,
    Unavailable,
    error_from_http,
)


class RestTransport:
    """Speaks TensorFlow Serving's REST API.

    Args:
        url: Base, for example `"http://127.0.0.1:8501"`.
        model: Name of the model.
        version: Its version, or `None`.
        label: A label, or `None`.
        timeout: Seconds to wait for a connection, and for each answer.
        token: Sent as a bearer token, or `None`.
    """

    def __init__(self, url, model, version, label, timeout, token):
        self._base = url.rstrip("/")
        path = f"/v1/models/{urllib.parse.quote(model, safe='')}"
        if version is not None:
            path += f"/versions/{version}"
        elif label is not None:
            path += f"/labels/{urllib.parse.quote(label, safe='')}"
        self._path, self._timeout = path, timeout
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

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
        try:
            response = self._session.request(
                method,
                self._base + path,
                data=data,
                headers={"Content-Type": "application/json"} if data else None,
                timeout=self._timeout,
                allow_redirects=False,  # the token is for this server alone
            )
        except requests.Timeout:
            raise DeadlineExceeded(
                f"{self._base}: no answer within {self._timeout:g} s; send smaller "
                "batches or raise `timeout`."
            ) from None
        except (
            requests.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
        ) as e:
            raise Unavailable(
                f"{self._base}: cannot be reached ({_reason(e)}); is the server "
                "running, and is this its address?"
            ) from None
        except (requests.RequestException, ValueError) as e:
            raise InvalidRequest(f"{self._base}: cannot be asked ({e}).") from None
        return self._read(response)

    def _read(self, response):
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code == 200 and isinstance(answer, dict):
            return answer
        text = answer.get("error") if isinstance(answer, dict) else None
        if response.status_code == 200 or text is None:
            text = (
                f"expected a model server's JSON. Received: {response.text[:200]!r} "
                f"(HTTP {response.status_code}); is this the server's address?"
            )
        error = error_from_http(response.status_code, f"{self._base}: {text}")
        after = response.headers.get("Retry-After", "")
        error.retry_after = float(after) if after.isdecimal() else None
        raise error


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


def _reason(error):
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason or error).__name__
