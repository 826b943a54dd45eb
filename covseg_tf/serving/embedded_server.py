"""The server of `covseg serve`: REST, and gRPC beside it when asked."""

import signal
import socket
import threading
from collections.abc import Callable

import uvicorn

from covseg_tf.serving.repository import ModelRepository
from covseg_tf.serving.rest.app import create_app
from covseg_tf.serving.server_metrics import ServerMetrics
from covseg_tf.serving.server_options import ServerOptions
from covseg_tf.serving.work_queue import WorkQueue

_GRACE_SECONDS = 20


class EmbeddedServer:
    """Serves a repository from this process.

    Both ports are bound when it is made, so that a taken port shows at once.
    Use it as a context manager to serve from a thread, or call `run`.

    Args:
        repository: The models.
        options: Where to listen and what to refuse.

    Attributes:
        url: Base of the REST API, with the port that was bound.
        grpc_url: Likewise of gRPC, or `None`.

    Raises:
        OSError: If a port is taken.
        ValueError: If gRPC is asked for and its packages are missing.

    Example:

    >>> from covseg_tf.serving import Client, EmbeddedServer
    >>> from covseg_tf.serving import load_repository, ServerOptions
    >>> with EmbeddedServer(load_repository("xray"), ServerOptions(port=0)) as server:
    ...     Client(server.url).is_ready()
    True
    """

    def __init__(self, repository: ModelRepository, options: ServerOptions):
        self._queue = WorkQueue(options.workers, options.queue_size)
        metrics = ServerMetrics(lambda: self._queue.taken, repository.names)
        parts = repository, options, self._queue, metrics
        self._socket = _bind(options.host, options.port)
        try:
            self._grpc = None if options.grpc_port is None else _make_grpc(*parts)
        except BaseException:
            self._socket.close()
            raise
        config = uvicorn.Config(
            create_app(*parts),
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        host = f"[{options.host}]" if ":" in options.host else options.host
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        self.grpc_url = f"grpc://{host}:{self._grpc.port}" if self._grpc else None

    def run(self, on_start: Callable[[], None] | None = None) -> None:
        """Serves until SIGTERM or SIGINT; ends the requests under way first.

        Args:
            on_start: Called once signals are heeded; the ports are bound already.
        """
        signal.signal(signal.SIGTERM, self._stop)
        if on_start:
            on_start()
        self._serve()

    def _stop(self, *signal_and_frame):
        # Called before uvicorn has its own handler, and again when it is done:
        # it raises the signal anew, which by default would end the process as
        # killed though all went well.
        self._server.should_exit = True

    def __enter__(self) -> "EmbeddedServer":
        self._thread.start()
        return self

    def __exit__(self, *exception) -> None:
        self._stop()
        self._thread.join()

    def _serve(self):
        if self._grpc:
            self._grpc.start()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            if self._grpc:
                self._grpc.stop(_GRACE_SECONDS)
            self._queue.close()
            self._socket.close()


def _make_grpc(*parts):
    try:
        from covseg_tf.serving.grpc.server import GrpcServer
    except ImportError as error:
        raise ValueError(
            f"gRPC needs {error.name}; install it with pip install "
            "'covseg-tf[serving]'."
        ) from None
    return GrpcServer(*parts)


def _bind(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        reason = error.strerror.partition(" (while")[0]
        raise OSError(f"{host}:{port} cannot be bound: {reason}.") from None
    # Nagle's delay is 40 ms for each answer; connections take this from here.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
