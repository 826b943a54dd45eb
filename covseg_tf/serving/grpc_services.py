"""The servicers behind `GrpcServer`."""

import concurrent.futures
import functools
import logging
import time

import grpc
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from covseg_tf.serving.errors import DeadlineExceeded, InvalidRequest, ServingError
from covseg_tf.serving.predict_call import status_json
from covseg_tf.serving.tensor_proto import array_from_proto, array_to_proto

_log = logging.getLogger(__name__)


def _answers(method):
    """Wraps a call: errors as gRPC statuses, metrics."""

    def decorate(function):
        @functools.wraps(function)
        def wrapper(self, request, context):
            start, code = time.perf_counter(), "OK"
            try:
                return function(self, request, context)
            except ServingError as error:
                code, text = error.code, str(error)
            except Exception:
                _log.exception("a request failed")
                code, text = "INTERNAL", "The server failed; its log says why."
            finally:
                name = request.model_spec.name
                name = name if name in self._repository.names else "unknown"
                seconds = time.perf_counter() - start
                self._metrics.observe(name, method, "grpc", code, seconds)
            return context.abort(getattr(grpc.StatusCode, code), text)

        return wrapper

    return decorate


class _Service:
    def __init__(self, repository, options, queue, metrics):
        self._repository, self._options = repository, options
        self._queue, self._metrics = queue, metrics

    def _which(self, request):
        spec = request.model_spec
        if not spec.name:
            raise InvalidRequest("Missing ModelSpec")
        version = spec.version.value if spec.HasField("version") else None
        return spec.name, version, spec.version_label or None


class PredictionService(
    _Service, prediction_service_pb2_grpc.PredictionServiceServicer
):
    """Predict and GetModelMetadata; the rest is UNIMPLEMENTED."""

    @_answers("predict")
    def Predict(self, request, context):
        """Runs a signature.

        Args:
            request: A `PredictRequest`.
            context: Of the call.
        """
        servable = self._repository.get(*self._which(request))
        limit = self._options.request_timeout
        left = context.time_remaining()
        limit = limit if left is None else min(limit, left)
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

    @_answers("metadata")
    def GetModelMetadata(self, request, context):
        """Returns the signatures.

        Args:
            request: A `GetModelMetadataRequest` for `signature_def`.
            context: Of the call.
        """
        which = self._which(request)
        if not request.metadata_field:
            raise InvalidRequest(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != "signature_def":
                raise InvalidRequest(f"Metadata field {field} is not supported")
        servable = self._repository.get(*which)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        signatures = {name: x.to_json() for name, x in servable.signatures.items()}
        message = json_format.ParseDict(
            {"signature_def": signatures}, get_model_metadata_pb2.SignatureDefMap()
        )
        response.metadata["signature_def"].Pack(message)
        return response


class ModelService(_Service, model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; reloading a configuration is UNIMPLEMENTED."""

    @_answers("status")
    def GetModelStatus(self, request, context):
        """Returns the state of the versions asked for.

        Args:
            request: A `GetModelStatusRequest`.
            context: Of the call.
        """
        versions = self._repository.versions(*self._which(request))
        return json_format.ParseDict(
            status_json(versions), get_model_status_pb2.GetModelStatusResponse()
        )


def _predict(servable, request):
    name = request.model_spec.signature_name or "serving_default"
    signature = servable.signatures.get(name)
    specs = signature.inputs if signature else {}
    inputs = {
        key: array_from_proto(servable, key, specs[key], tensor)
        for key, tensor in request.inputs.items()
        if key in specs
    }
    # Names that no input has are for `predict` to refuse.
    inputs |= {key: None for key in request.inputs if key not in specs}
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
