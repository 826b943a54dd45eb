"""The client's gRPC side."""

import urllib.parse

import grpc
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from covseg_tf.serving.errors import ServerError, error_from_code

_OPTIONS = [
    ("grpc.max_receive_message_length", 256 * 2**20),
    ("grpc.max_send_message_length", -1),
    # Retries are this client's own; two layers would multiply.
    ("grpc.enable_retries", 0),
]
# gRPC's own words: RESOURCE_EXHAUSTED, but of the server and not by the request.
_TOO_MANY_CALLS = "Concurrent RPC limit exceeded!"


class GrpcTransport:
    """Keeps a channel to one server; the arguments are those of `Client`."""

    def __init__(self, url, model, version, label, timeout, token):
        parts = urllib.parse.urlsplit(url)
        self._base, self._which = url, (model, version, label)
        if parts.scheme == "grpcs":
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.secure_channel(parts.netloc, credentials, _OPTIONS)
        else:
            self._channel = grpc.insecure_channel(parts.netloc, _OPTIONS)
        metadata = [("authorization", f"Bearer {token}")] if token else []
        self._settings = {"timeout": timeout, "metadata": metadata}

    def predict(self, signature: str, images: list[bytes]) -> list[dict]:
        """Sends one batch of files; returns a dict of outputs for each."""
        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = signature
        request.inputs["image_bytes"].CopyFrom(
            tf.make_tensor_proto(images, tf.string, [len(images)])
        )
        stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        response = self._call(stub.Predict, request)
        columns = {k: tf.make_ndarray(x).tolist() for k, x in response.outputs.items()}
        for name, values in columns.items():
            if not isinstance(values, list) or len(values) != len(images):
                raise ServerError(
                    f"{self._base}: output {name} does not hold {len(images)} rows."
                )
        return [{k: x[i] for k, x in columns.items()} for i in range(len(images))]

    def status(self) -> dict:
        """Returns the versions' states as REST's JSON has them."""
        stub = model_service_pb2_grpc.ModelServiceStub(self._channel)
        request = get_model_status_pb2.GetModelStatusRequest()
        return _to_json(self._call(stub.GetModelStatus, request))

    def metadata(self) -> dict:
        """Returns the signatures as REST's JSON has them."""
        stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        fields = ["signature_def"]
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        answer = _to_json(self._call(stub.GetModelMetadata, request))
        for field in answer["metadata"].values():
            del field["@type"]
        return answer

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _call(self, method, request):
        spec = request.model_spec
        spec.name, version, label = self._which
        if version is not None:
            spec.version.value = version
        elif label is not None:
            spec.version_label = label
        try:
            return method(request, **self._settings)
        except grpc.RpcError as error:
            code, text = error.code().name, error.details()
            code = "UNAVAILABLE" if text == _TOO_MANY_CALLS else code
            raise error_from_code(code, f"{self._base}: {text}") from None


def _to_json(message):
    return json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
