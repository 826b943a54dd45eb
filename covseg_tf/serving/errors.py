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


# TensorFlow Serving's table, but 413 where it says 429 for RESOURCE_EXHAUSTED:
# in REST that code means too large a request, never too many.
HTTP_STATUS = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 413,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}

_BY_CODE = {
    "INVALID_ARGUMENT": InvalidRequest,
    "FAILED_PRECONDITION": InvalidRequest,
    "OUT_OF_RANGE": InvalidRequest,
    "NOT_FOUND": NotFound,
    "UNAUTHENTICATED": Unauthorized,
    "PERMISSION_DENIED": Unauthorized,
    "RESOURCE_EXHAUSTED": TooLarge,
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
}
_BY_HTTP = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    413: TooLarge,
    429: TooLarge,
    # A proxy before the server says 502 while the server is away.
    502: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_from_code(code: str, message: str) -> ServingError:
    """Returns the error for a canonical status code.

    Args:
        code: Name of the code, for example `"NOT_FOUND"`.
        message: Text of the error.
    """
    return _BY_CODE.get(code, ServerError)(message, code)


def error_from_http(status: int, message: str) -> ServingError:
    """Returns the error for an HTTP status other than success.

    Args:
        status: The HTTP status code.
        message: Text of the error.
    """
    default = InvalidRequest if 400 <= status < 500 else ServerError
    return _BY_HTTP.get(status, default)(message)
