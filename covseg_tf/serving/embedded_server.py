"""The server of `covseg serve`: REST, and gRPC beside it when asked."""

import signal
import socket
import threading
from collections.abc import Callable

import uvicorn

from covseg_tf.serving.model_repository import ModelRepository
from covseg_tf.serving.rest_app import create_app
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
        metrics = ServerMetrics(lambda: self._queue.taken)
        self._socket = _bind(options.host, options.port)
        self._grpc = None
        if options.grpc_port is not None:
            self._grpc = self._make_grpc(repository, options, metrics)
        config = uvicorn.Config(
            create_app(repository, options, self._queue, metrics),
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
        self._server.should_exit = True
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

    def _make_grpc(self, repository, options, metrics):
        try:
            from covseg_tf.serving.grpc_server import GrpcServer
        except ImportError as error:
            self._socket.close()
            raise ValueError(
                f"gRPC needs {error.name}; install it with pip install "
                "'covseg-tf[serving]'."
            ) from None
        try:
            return GrpcServer(repository, options, self._queue, metrics)
        except OSError:
            self._socket.close()
            raise


def _bind(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's delay off, 40 ms for
    # each answer, only where it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise OSError(f"{host}:{port} cannot be bound: {error.strerror}.") from None
    return listener
