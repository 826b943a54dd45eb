"""The paths of TensorFlow Serving's REST API."""

import re
import typing
import urllib.parse

from covseg_tf.serving.errors import InvalidRequest, NotFound

# An int64 has no more; int() is slow on many, and refuses thousands.
_MOST_DIGITS = 19
_WHICH = r"(?:/versions/(\d+)|/labels/([^/:]+))?"
# Starlette's routes tell upper and lower case apart; these paths do not.
_PATTERNS = {
    "POST": rf"/v1/models/([^/:]+){_WHICH}:(classify|regress|predict)",
    "GET": rf"/v1/models(?:/([^/:]+))?{_WHICH}(?:/(metadata))?",
}


class RestPath(typing.NamedTuple):
    """What a request asks for.

    Attributes:
        model: Name of the model.
        version: Its version, or `None`.
        label: A label, or `None`.
        method: `"predict"`, `"classify"`, `"regress"`, `"metadata"` or
            `"status"`.
    """

    model: str
    version: int | None
    label: str | None
    method: str

    @classmethod
    def parse(cls, http_method: str, path: str) -> "RestPath":
        """Reads a path as it came, percent signs and all.

        Raises:
            ServingError: `NotFound` outside `/v1/`, `InvalidRequest` if it is none
                of the API's paths.
        """
        if not path.lower().startswith("/v1/"):
            raise NotFound(f"No such page: {http_method} {path}")
        match = re.fullmatch(_PATTERNS.get(http_method, "$^"), path, re.IGNORECASE)
        if not match:
            raise InvalidRequest(f"Malformed request: {http_method} {path}")
        model, version, label, method = match.groups()
        if not model:
            raise InvalidRequest("Missing model name in request.")
        return cls(
            urllib.parse.unquote(model),
            _to_int64(version) if version else None,
            urllib.parse.unquote(label) if label else None,
            (method or "status").lower(),
        )


def _to_int64(digits):
    digits = digits.lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS or int(digits) >= 2**63:
        shown = digits if len(digits) <= 200 else f"{digits[:200]}..."
        raise InvalidRequest(f"Failed to convert version: {shown} to numeric.")
    return int(digits)
