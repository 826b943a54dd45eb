"""TensorFlow Serving's gRPC API over its own stubs."""

import concurrent.futures

import grpc
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from covseg_tf.serving.grpc_gate import GrpcGate
from covseg_tf.serving.grpc_services import ModelService, PredictionService
from covseg_tf.serving.model_repository import ModelRepository
from covseg_tf.serving.server_metrics import ServerMetrics
from covseg_tf.serving.server_options import ServerOptions
from covseg_tf.serving.work_queue import WorkQueue

# Sixty-four images as float maps are 33 MB.
_LARGEST_ANSWER = 256 * 2**20


class GrpcServer:
    """PredictionService (Predict, GetModelMetadata) and ModelService
    (GetModelStatus) over a repository.

    Args:
        repository: The models.
        options: Port, limits and the token.
        queue: Where predictions wait, shared with REST.
        metrics: What is counted.

    Attributes:
        port: The port that was bound.

    Raises:
        OSError: If the port is taken.
    """

    def __init__(
        self,
        repository: ModelRepository,
        options: ServerOptions,
        queue: WorkQueue,
        metrics: ServerMetrics,
    ):
        # A call holds one of these threads from its first byte; they only wait for
        # messages and for the queue's threads. Calls beyond them are refused, so
        # none waits for a thread.
        threads = options.workers + options.queue_size + 4
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(threads, "covseg-grpc"),
            interceptors=[GrpcGate(options, metrics)],
            maximum_concurrent_rpcs=threads,
            options=[
                ("grpc.max_receive_message_length", options.max_request_bytes),
                ("grpc.max_send_message_length", _LARGEST_ANSWER),
                ("grpc.so_reuseport", 0),
            ],
        )
        arguments = repository, options, queue, metrics
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(*arguments), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelService(*arguments), self._server
        )
        host = f"[{options.host}]" if ":" in options.host else options.host
        try:
            self.port = self._server.add_insecure_port(f"{host}:{options.grpc_port}")
        except RuntimeError as error:
            raise OSError(f"gRPC port {options.grpc_port}: {error}") from None

    def start(self) -> None:
        """Begins to serve, in threads of its own."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Ends it.

        Args:
            grace: Seconds that requests under way may still take.
        """
        self._server.stop(grace).wait()
