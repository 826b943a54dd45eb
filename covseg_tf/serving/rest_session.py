"""HTTP for the client: one token, one deadline for a whole answer."""

import time
import urllib.parse

import requests
from requests.exceptions import BaseHTTPError, ChunkedEncodingError

from covseg_tf.serving.errors import DeadlineExceeded, InvalidRequest, Unavailable
from covseg_tf.serving.server_options import is_loopback

_PART = 2**16


class RestSession:
    """Keeps a connection to one server.

    The token is the only credential it sends: `~/.netrc` is not asked. To this
    machine it goes straight, whatever proxy the environment names.

    Args:
        base: The server, for example `"http://127.0.0.1:8501"`.
        timeout: Seconds for a whole answer.
        token: Sent as a bearer token, or `None`.
    """

    def __init__(self, base: str, timeout: float, token: str | None):
        self._base, self._timeout = base, timeout
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        host = urllib.parse.urlsplit(base).hostname or ""
        self._session.trust_env = not is_loopback(host)

    def request(
        self, method: str, path: str, data: bytes | None = None
    ) -> tuple[requests.Response, bytes]:
        """Asks and reads the answer.

        Args:
            method: `"GET"` or `"POST"`.
            path: What follows the base.
            data: JSON to send, or `None`.

        Returns:
            The response, for its status and headers, and its body.

        Raises:
            ServingError: `DeadlineExceeded`, `Unavailable` if the server cannot
                be reached or hangs up, `InvalidRequest` if it cannot be asked.
        """
        deadline = time.monotonic() + self._timeout
        try:
            with self._send(method, path, data) as response:
                return response, self._read(response, deadline)
        except requests.Timeout:
            raise self._too_late() from None
        except (requests.ConnectionError, ChunkedEncodingError, BaseHTTPError) as e:
            # A stall in mid-answer has several names, and is never told at once.
            if time.monotonic() >= deadline:
                raise self._too_late() from None
            raise Unavailable(
                f"{self._base}: cannot be reached ({_reason(e)}); is the server "
                "running, and is this its address?"
            ) from None
        except (requests.RequestException, ValueError) as e:
            raise InvalidRequest(f"{self._base}: cannot be asked ({e}).") from None

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()

    def _send(self, method, path, data):
        return self._session.request(
            method,
            self._base + path,
            data=data,
            headers={"Content-Type": "application/json"} if data else None,
            timeout=self._timeout,
            allow_redirects=False,  # the token is for this server alone
            stream=True,
        )

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


class _Bearer(requests.auth.AuthBase):
    """Also without a token: an `auth` of our own keeps `~/.netrc` out."""

    def __init__(self, token):
        self._token = token

    def __call__(self, request):
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _reason(error):
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason or error).__name__
