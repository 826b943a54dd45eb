"""Reads a body no further than its limit."""

from starlette.requests import Request

from covseg_tf.serving.errors import InvalidRequest, TooLarge

# A client hears a refusal only after it has sent its body: so much is read
# and thrown away before the connection is cut.
_DRAINED = 3


async def read_body(request: Request, limit: int) -> bytes:
    """Returns the body of a request, sent at once or in chunks.

    Args:
        request: The request.
        limit: Most bytes to keep.

    Raises:
        TooLarge: If there are more.
        InvalidRequest: If its `Content-Length` is no number.
    """
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal():
        raise InvalidRequest(f"Content-Length must be a number. Received: {stated}")
    if int(stated) > _DRAINED * limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            chunks.clear()
        else:
            chunks.append(chunk)
        if size > _DRAINED * limit:
            break
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


def _too_large(limit):
    return TooLarge(
        f"The request is larger than {limit} bytes; send fewer or smaller images at "
        "once, or raise --max-request-bytes."
    )
