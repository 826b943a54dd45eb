"""TensorFlow Serving's REST API as a Starlette application."""

import asyncio
import json

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from covseg_tf.serving.errors import (
    HTTP_STATUS,
    DeadlineExceeded,
    InvalidRequest,
    ServingError,
    TooLarge,
    Unauthorized,
)
from covseg_tf.serving.repository import ModelRepository
from covseg_tf.serving.rest.path import RestPath
from covseg_tf.serving.server_metrics import ServerMetrics
from covseg_tf.serving.server_options import ServerOptions
from covseg_tf.serving.wire.json_predict import predict_json
from covseg_tf.serving.wire.json_response import metadata_json, status_json
from covseg_tf.serving.work_queue import WorkQueue

METRICS_PATH = "/monitoring/prometheus/metrics"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# A client hears a refusal only after it has sent its body: so many times the limit
# are read and thrown away before the connection is cut.
_DRAINED = 3


def create_app(
    repository: ModelRepository,
    options: ServerOptions,
    queue: WorkQueue | None = None,
    metrics: ServerMetrics | None = None,
) -> Starlette:
    """Builds the application.

    Args:
        repository: The models, all of them.
        options: Limits and the token.
        queue: Where predictions wait; `None` makes one.
        metrics: What is counted; `None` makes them.

    Returns:
        An ASGI application.
    """
    queue = queue or WorkQueue(options.workers, options.queue_size)
    metrics = metrics or ServerMetrics(lambda: queue.taken, repository.names)

    async def healthz(request):
        return JSONResponse({"alive": True})

    async def readyz(request):
        is_ready = bool(repository.names) and not (queue.is_full or queue.is_stuck)
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    async def metrics_page(request):
        options.check_token(request.headers.get("authorization", ""))
        return Response(metrics.render(), media_type=metrics.content_type)

    async def serve(request):
        with metrics.observed("rest") as call:
            options.check_token(request.headers.get("authorization", ""))
            if not options.token and "origin" in request.headers:
                raise Unauthorized(
                    "Pages in a browser may not ask this server.", "PERMISSION_DENIED"
                )
            raw = request.scope.get("raw_path") or request.url.path.encode()
            path = RestPath.parse(request.method, raw.decode("ascii", "replace"))
            call.update(path._asdict())
            which = path.model, path.version, path.label
            if path.method == "status":
                return JSONResponse(status_json(repository.versions(*which)))
            if path.method == "metadata":
                return JSONResponse(metadata_json(repository.get(*which)))
            if path.method != "predict":
                raise InvalidRequest(
                    f"{path.method} is not served here, these models have no such "
                    "signature; use :predict."
                )
            # Before the body is read, so that the slots bound the memory of bodies.
            with queue.slot() as submit:
                return await _predict(request, repository, which, options, submit)

    # A name that a page has made to mean this machine is no name of this machine.
    local = ["localhost", "127.0.0.1", "[::1]", options.host]
    hosts = ["*"] if options.token else local
    return Starlette(
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
        ],
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route(METRICS_PATH, metrics_page),
            Route("/{rest:path}", serve, methods=_METHODS),
        ],
        exception_handlers={ServingError: _refusal},  # type: ignore[dict-item]
    )


async def _predict(request, repository, which, options, submit):
    limit = options.request_timeout
    try:
        async with asyncio.timeout(limit):
            body = await _read_body(request, options.max_request_bytes)
            work = submit(predict_json, repository.get(*which), body)
            answer = await asyncio.wrap_future(work)
    except TimeoutError:
        raise DeadlineExceeded(
            f"The request was not done within {limit:g} s; send smaller batches."
        ) from None
    except ClientDisconnect:
        raise ServingError("The caller has gone.", "CANCELLED") from None
    return Response(answer, media_type="application/json")


async def _read_body(request: Request, limit: int) -> bytes:
    """Returns a body, sent at once or in chunks, of at most `limit` bytes.

    Starlette's own limit answers in plain text and reads no further, so that a
    client which still sends sees its connection reset and not the reason.
    """
    chunks: list[bytes] = []
    size = int(request.headers.get("content-length", 0))
    if size <= _DRAINED * limit:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > _DRAINED * limit:
                break
            if size <= limit:
                chunks.append(chunk)
    if size > limit:
        raise TooLarge(
            f"The request is larger than {limit} bytes; send fewer or smaller images "
            "at once, or raise --max-request-bytes."
        )
    return b"".join(chunks)


async def _refusal(request: Request, error: ServingError) -> Response:
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = f"{error.retry_after:.0f}"
    if error.code == "UNAUTHENTICATED":
        headers["WWW-Authenticate"] = "Bearer"
    if error.code == "RESOURCE_EXHAUSTED":
        headers["Connection"] = "close"  # part of the body may lie unread
    # Not JSONResponse: a name that came may hold half a character, and is told.
    body = json.dumps({"error": str(error)})
    status = HTTP_STATUS[error.code]
    return Response(body, status, headers, media_type="application/json")
