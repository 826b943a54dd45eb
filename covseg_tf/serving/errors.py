"""What can go wrong between a client and a server, one class for each remedy.

The server raises these and both transports carry them: as an HTTP status and a
JSON body, or as a gRPC status. The client raises the same class again.
"""


class ServingError(Exception):
    """Any failure of a request; catch this one to catch them all.

    Args:
        message: What came, what was expected, the fix.
        code: Name of the canonical status code, for example
            `"INVALID_ARGUMENT"`. Defaults to that of the class.

    Attributes:
        code: As above.
        retry_after: Seconds after which the server asks to be tried again, or
            `None`.
    """

    code = "UNKNOWN"

    def __init__(self, message: str, code: str | None = None):
        super().__init__(message)
        self.code = code or type(self).code
        self.retry_after: float | None = None


class InvalidRequest(ServingError):
    """The request is wrong and stays wrong: mend it before the next try."""

    code = "INVALID_ARGUMENT"


class NotFound(ServingError):
    """The server has no such model or version."""

    code = "NOT_FOUND"


class Unauthorized(ServingError):
    """The token is missing or is not the server's."""

    code = "UNAUTHENTICATED"


class TooLarge(ServingError):
    """The request or an image in it is over the server's limit."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(ServingError):
    """No server answers there, or it is too busy; the same request may do later."""

    code = "UNAVAILABLE"


class DeadlineExceeded(ServingError):
    """The whole answer did not come in time."""

    code = "DEADLINE_EXCEEDED"


class ServerError(ServingError):
    """The server failed, or what answers there is no model server."""

    code = "INTERNAL"


# TensorFlow Serving's table of canonical codes, but 413 where it says 429 for
# RESOURCE_EXHAUSTED: in REST that means too large a request, never too many.
_CODES = {
    "CANCELLED": (499, ServerError),
    "UNKNOWN": (500, ServerError),
    "INVALID_ARGUMENT": (400, InvalidRequest),
    "DEADLINE_EXCEEDED": (504, DeadlineExceeded),
    "NOT_FOUND": (404, NotFound),
    "ALREADY_EXISTS": (409, ServerError),
    "PERMISSION_DENIED": (403, Unauthorized),
    "RESOURCE_EXHAUSTED": (413, TooLarge),
    "FAILED_PRECONDITION": (400, InvalidRequest),
    "ABORTED": (409, ServerError),
    "OUT_OF_RANGE": (400, InvalidRequest),
    "UNIMPLEMENTED": (501, ServerError),
    "INTERNAL": (500, ServerError),
    "UNAVAILABLE": (503, Unavailable),
    "DATA_LOSS": (500, ServerError),
    "UNAUTHENTICATED": (401, Unauthorized),
}
HTTP_STATUS = {code: status for code, (status, _) in _CODES.items()}
# A proxy before the server says 502 while the server is away.
_BY_HTTP = {429: TooLarge, 502: Unavailable} | {
    status: kind for status, kind in _CODES.values() if kind is not ServerError
}


def error_from_code(code: str, message: str) -> ServingError:
    """Returns the error for the name of a canonical code, as `"NOT_FOUND"`."""
    return _CODES.get(code, (500, ServerError))[1](message, code)


def error_from_http(status: int, message: str) -> ServingError:
    """Returns the error for an HTTP status other than success."""
    default = InvalidRequest if 400 <= status < 500 else ServerError
    return _BY_HTTP.get(status, default)(message)
