"""TensorFlow Serving's REST API as a Starlette application."""

import asyncio
import hmac
import logging
import time

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from covseg_tf.serving.errors import (
    HTTP_STATUS,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    ServingError,
    Unauthorized,
)
from covseg_tf.serving.json_response import write_error
from covseg_tf.serving.model_repository import ModelRepository
from covseg_tf.serving.predict_call import metadata_json, predict_json, status_json
from covseg_tf.serving.request_body import read_body
from covseg_tf.serving.rest_path import RestPath
from covseg_tf.serving.server_metrics import ServerMetrics
from covseg_tf.serving.server_options import ServerOptions
from covseg_tf.serving.work_queue import WorkQueue

METRICS_PATH = "/monitoring/prometheus/metrics"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_log = logging.getLogger(__name__)


def create_app(
    repository: ModelRepository,
    options: ServerOptions,
    queue: WorkQueue | None = None,
    metrics: ServerMetrics | None = None,
) -> Starlette:
    """Builds the application.

    Args:
        repository: The models.
        options: Limits and the token.
        queue: Where predictions wait; `None` makes one.
        metrics: What is counted; `None` makes them.

    Returns:
        An ASGI application.
    """
    queue = queue or WorkQueue(options.workers, options.queue_size)
    metrics = metrics or ServerMetrics(lambda: queue.taken)
    api = _Api(repository, options, queue, metrics)
    return Starlette(
        routes=[
            Route("/healthz", _healthz),
            Route("/readyz", api.ready),
            Route(METRICS_PATH, api.metrics_page),
            # Not /v1/: there upper and lower case are one.
            Route("/{rest:path}", api.serve, methods=_METHODS),
        ],
        exception_handlers={
            HTTPException: _http_error,  # type: ignore[dict-item] # takes a narrower one
            Exception: _unexpected,
        },
    )


class _Api:
    def __init__(self, repository, options, queue, metrics):
        self._repository, self._options = repository, options
        self._queue, self._metrics = queue, metrics

    async def ready(self, request: Request) -> Response:
        is_blocked = self._queue.is_full or self._queue.is_stuck
        is_ready = bool(self._repository.names) and not is_blocked
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    async def metrics_page(self, request: Request) -> Response:
        try:
            self._authorize(request)
        except Unauthorized as error:
            return _error_response(error)
        return Response(self._metrics.render(), media_type=self._metrics.content_type)

    async def serve(self, request: Request) -> Response:
        start, path, code = time.perf_counter(), None, "OK"
        try:
            self._authorize(request)
            raw = request.scope.get("raw_path") or request.url.path.encode()
            words = request.method, raw.decode("ascii", "replace")
            if not words[1].lower().startswith("/v1/"):
                raise NotFound(f"No such page: {' '.join(words)}")
            path = RestPath.parse(*words)
            response = await self._answer(path, request)
        except ServingError as error:
            code, response = error.code, _error_response(error)
        except ClientDisconnect:
            code, response = "CANCELLED", Response(status_code=499)
        except Exception:
            _log.exception("a request failed")
            failure = ServingError("The server failed; its log says why.", "INTERNAL")
            code, response = failure.code, _error_response(failure)
        model = path.model if path and path.model in self._repository.names else None
        method = path.method if path else "malformed"
        seconds = time.perf_counter() - start
        self._metrics.observe(model or "unknown", method, "rest", code, seconds)
        return response

    def _authorize(self, request):
        expected = self._options.token
        if not expected:
            return
        sent = request.headers.get("authorization", "")
        # Headers arrive as Latin-1; bytes compare whatever they hold.
        wanted = f"Bearer {expected}".encode()
        if not hmac.compare_digest(sent.encode("latin-1"), wanted):
            raise Unauthorized(
                "Send the server's token as: Authorization: Bearer TOKEN"
            )

    async def _answer(self, path, request):
        which = path.model, path.version, path.label
        if path.method == "status":
            return JSONResponse(status_json(self._repository.versions(*which)))
        if path.method == "metadata":
            return JSONResponse(metadata_json(self._repository.get(*which)))
        if path.method != "predict":
            raise InvalidRequest(
                f"{path.method} is not served here, these models have no such "
                "signature; use :predict."
            )
        # Before the body is read, so that the slots bound the memory of bodies.
        with self._queue.slot() as submit:
            return await self._predict(which, request, submit)

    async def _predict(self, which, request, submit):
        limit = self._options.request_timeout
        try:
            async with asyncio.timeout(limit):
                body = await read_body(request, self._options.max_request_bytes)
                servable = self._repository.get(*which)
                answer = await asyncio.wrap_future(submit(predict_json, servable, body))
        except TimeoutError:
            raise DeadlineExceeded(
                f"The request was not done within {limit:g} s; send smaller batches."
            ) from None
        return Response(answer, media_type="application/json")


async def _healthz(request: Request) -> Response:
    return JSONResponse({"alive": True})


async def _http_error(request: Request, error: HTTPException) -> Response:
    body = write_error(f"{error.detail}: {request.method} {request.url.path}")
    return Response(body, error.status_code, media_type="application/json")


async def _unexpected(request: Request, error: Exception) -> Response:
    return _error_response(ServingError("The server failed; its log says why."))


def _error_response(error):
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = f"{error.retry_after:.0f}"
    if error.code == "UNAUTHENTICATED":
        headers["WWW-Authenticate"] = "Bearer"
    if error.code == "RESOURCE_EXHAUSTED":
        headers["Connection"] = "close"  # part of the body may lie unread
    return Response(
        write_error(str(error)),
        HTTP_STATUS[error.code],
        headers,
        media_type="application/json",
    )
