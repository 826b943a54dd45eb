"""The paths of TensorFlow Serving's REST API."""

import dataclasses
import re
import urllib.parse

from covseg_tf.serving.errors import InvalidRequest

# An int64 has no more; int() is slow on many, and refuses thousands.
_MOST_DIGITS = 19
_WHICH = r"(?:/versions/(\d+)|/labels/([^/:]+))?"
_POST = re.compile(
    rf"/v1/models/([^/:]+){_WHICH}:(classify|regress|predict)", re.IGNORECASE
)
_GET = re.compile(rf"/v1/models(?:/([^/:]+))?{_WHICH}(?:/(metadata))?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class RestPath:
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
        """Reads a path.

        Args:
            http_method: `"GET"` or `"POST"`; others match nothing.
            path: As it came, percent signs and all.

        Raises:
            InvalidRequest: If it is none of the API's paths.
        """
        pattern = {"POST": _POST, "GET": _GET}.get(http_method)
        match = pattern.fullmatch(path) if pattern else None
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
