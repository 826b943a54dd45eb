"""The client's REST side: one token, one deadline for a whole answer."""

import base64
import json
import time
import urllib.parse

import requests
from requests.exceptions import BaseHTTPError, ChunkedEncodingError

from covseg_tf.serving.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ServerError,
    Unavailable,
    error_from_http,
)
from covseg_tf.serving.server_options import is_loopback

_PART = 2**16


class RestTransport:
    """Keeps a connection to one server; the arguments are those of `Client`.

    The token is the only credential it sends: `~/.netrc` is not asked. To this
    machine it goes straight, whatever proxy the environment names.
    """

    def __init__(self, url, model, version, label, timeout, token):
        self._base, self._timeout = url.rstrip("/"), timeout
        self._path = f"/v1/models/{urllib.parse.quote(model, safe='')}"
        if version is not None:
            self._path += f"/versions/{version}"
        elif label is not None:
            self._path += f"/labels/{urllib.parse.quote(label, safe='')}"
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        # An `auth` of our own, though it does nothing, keeps `~/.netrc` out.
        self._session.auth = lambda request: request
        host = urllib.parse.urlsplit(url).hostname or ""
        self._session.trust_env = not is_loopback(host)

    def predict(self, signature: str, images: list[bytes]) -> list[dict]:
        """Sends one batch of files; returns a dict of outputs for each."""
        instances = [{"b64": base64.b64encode(data).decode()} for data in images]
        body = {"signature_name": signature, "instances": instances}
        answer = self._call("POST", f"{self._path}:predict", body)
        rows = answer.get("predictions")
        if not isinstance(rows, list) or len(rows) != len(images):
            raise ServerError(
                f"{self._base}: expected {len(images)} predictions. Received: "
                f"{str(answer)[:200]}"
            )
        return [self._decoded(row) for row in rows]

    def status(self) -> dict:
        """Returns TensorFlow Serving's JSON of the versions' states."""
        return self._call("GET", self._path)

    def metadata(self) -> dict:
        """Returns TensorFlow Serving's JSON of the signatures."""
        return self._call("GET", f"{self._path}/metadata")

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()

    def _call(self, method, path, body=None):
        response, text = self._ask(method, path, body)
        status, answer = response.status_code, _parsed(text)
        if status == 200 and isinstance(answer, dict):
            return answer
        reason = answer.get("error") if isinstance(answer, dict) else None
        after = response.headers.get("Retry-After")
        if status == 429 and (reason is None or after is not None):
            status = 503  # a proxy's "too many"; a model server's own is "too large"
        if status == 200 or reason is None:
            reason = (
                "expected a model server's JSON. Received: "
                f"{text[:200].decode(errors='replace')!r} (HTTP "
                f"{response.status_code}); is this the server's address?"
            )
        error = error_from_http(status, f"{self._base}: {reason}")
        error.retry_after = float(after) if after and after.isdecimal() else None
        raise error

    def _ask(self, method, path, body):
        """Returns the response, for its status and headers, and its body."""
        deadline = time.monotonic() + self._timeout
        try:
            with self._session.request(
                method,
                self._base + path,
                json=body,
                timeout=self._timeout,
                allow_redirects=False,  # the token is for this server alone
                stream=True,
            ) as response:
                return response, self._read(response, deadline)
        except requests.Timeout:
            raise self._too_late() from None
        except (requests.ConnectionError, ChunkedEncodingError, BaseHTTPError) as e:
            # A stall in mid-answer has several names, and is never told at once.
            if time.monotonic() >= deadline:
                raise self._too_late() from None
            reason = getattr(e.args[0], "reason", None) if e.args else None
            raise Unavailable(
                f"{self._base}: cannot be reached ({type(reason or e).__name__}); is "
                "the server running, and is this its address?"
            ) from None
        except (requests.RequestException, ValueError) as e:
            raise InvalidRequest(f"{self._base}: cannot be asked ({e}).") from None

    def _read(self, response, deadline):
        # `read1` gives what is there; `read` would wait for a whole part.
        read = getattr(response.raw, "read1", response.raw.read)
        parts = []
        while part := read(_PART, decode_content=True):
            parts.append(part)
            if time.monotonic() >= deadline:
                raise self._too_late()
        return b"".join(parts)

    def _too_late(self):
        return DeadlineExceeded(
            f"{self._base}: no whole answer within {self._timeout:g} s; send smaller "
            "batches or raise `timeout`."
        )

    def _decoded(self, row):
        if not isinstance(row, dict):
            raise ServerError(
                f"{self._base}: expected named outputs. Received: {str(row)[:200]}"
            )
        try:
            return {
                name: base64.b64decode(x["b64"]) if isinstance(x, dict) else x
                for name, x in row.items()
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(
                f"{self._base}: an output is not base64 ({error})."
            ) from None


def _parsed(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
