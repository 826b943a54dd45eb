"""TensorFlow Serving's gRPC API over its own stubs."""

import concurrent.futures

import grpc
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from covseg_tf.serving.errors import DeadlineExceeded, InvalidRequest
from covseg_tf.serving.grpc.gate import GrpcGate
from covseg_tf.serving.repository import ModelRepository
from covseg_tf.serving.server_metrics import ServerMetrics
from covseg_tf.serving.server_options import ServerOptions
from covseg_tf.serving.wire.json_response import metadata_json, status_json
from covseg_tf.serving.wire.tensor_proto import array_from_proto, array_to_proto
from covseg_tf.serving.work_queue import WorkQueue

# Sixty-four images as float maps are 33 MB.
_LARGEST_ANSWER = 256 * 2**20
_SIGNATURES = "type.googleapis.com/tensorflow.serving.SignatureDefMap"


class GrpcServer(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """PredictionService (Predict, GetModelMetadata) and ModelService
    (GetModelStatus) over a repository, bound to `port`; the rest is UNIMPLEMENTED.

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
        self._repository, self._queue = repository, queue
        self._limit = options.request_timeout
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
        for add in (
            prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server,
            model_service_pb2_grpc.add_ModelServiceServicer_to_server,
        ):
            add(self, self._server)
        host = f"[{options.host}]" if ":" in options.host else options.host
        try:
            self.port = self._server.add_insecure_port(f"{host}:{options.grpc_port}")
        except RuntimeError as error:
            raise OSError(f"gRPC port {options.grpc_port}: {error}") from None

    def start(self) -> None:
        """Begins to serve, in threads of its own."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Ends it; requests under way may take `grace` seconds more."""
        self._server.stop(grace).wait()

    def Predict(self, request, context):
        """Runs a signature."""
        servable = self._repository.get(*_which(request))
        left = context.time_remaining()
        limit = self._limit if left is None else min(self._limit, left)
        with self._queue.slot() as submit:
            work = submit(_predict, servable, request)
            try:
                return work.result(timeout=limit)
            except concurrent.futures.TimeoutError:
                work.cancel()
                raise DeadlineExceeded(
                    f"The request was not done within {limit:.3g} s; send smaller "
                    "batches."
                ) from None

    def GetModelMetadata(self, request, context):
        """Returns the signatures."""
        which = _which(request)
        if not request.metadata_field:
            raise InvalidRequest(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != "signature_def":
                raise InvalidRequest(f"Metadata field {field} is not supported")
        answer = metadata_json(self._repository.get(*which))
        answer["metadata"]["signature_def"]["@type"] = _SIGNATURES
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        return json_format.ParseDict(answer, response)

    def GetModelStatus(self, request, context):
        """Returns the state of the versions asked for."""
        answer = status_json(self._repository.versions(*_which(request)))
        response = get_model_status_pb2.GetModelStatusResponse()
        return json_format.ParseDict(answer, response)


def _which(request):
    spec = request.model_spec
    if not spec.name:
        raise InvalidRequest("Missing ModelSpec")
    version = spec.version.value if spec.HasField("version") else None
    return spec.name, version, spec.version_label or None


def _predict(servable, request):
    name = request.model_spec.signature_name or "serving_default"
    signature = servable.signatures.get(name)
    specs = signature.inputs if signature else {}
    inputs = {
        # Names that no input has are for `predict` to refuse.
        key: array_from_proto(servable, key, specs[key], x) if key in specs else None
        for key, x in request.inputs.items()
    }
    outputs = servable.predict(name, inputs)
    wanted = list(request.output_filter) or list(outputs)
    for key in wanted:
        if key not in outputs:
            raise InvalidRequest(
                f"output tensor alias not found in signature: {key} Outputs expected "
                f"to be in the set {{{','.join(sorted(outputs))}}}."
            )
    response = predict_pb2.PredictResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    response.model_spec.signature_name = name
    for key in wanted:
        response.outputs[key].CopyFrom(array_to_proto(outputs[key]))
    return response
