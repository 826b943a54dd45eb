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

_LARGEST_ANSWER = 256 * 2**20
# gRPC's own words: RESOURCE_EXHAUSTED, but of the server and not by the request.
_TOO_MANY_CALLS = "Concurrent RPC limit exceeded!"


class GrpcTransport:
    """Speaks TensorFlow Serving's gRPC API.

    Args:
        url: For example `"grpc://127.0.0.1:8500"`; `grpcs` for TLS.
        model: Name of the model.
        version: Its version, or `None`.
        label: A label, or `None`.
        timeout: Seconds to wait for each answer.
        token: Sent as a bearer token, or `None`.
    """

    def __init__(self, url, model, version, label, timeout, token):
        parts = urllib.parse.urlsplit(url)
        self._base, self._timeout = url, timeout
        options = [
            ("grpc.max_receive_message_length", _LARGEST_ANSWER),
            ("grpc.max_send_message_length", -1),
            # Retries are this client's own; two layers would multiply.
            ("grpc.enable_retries", 0),
        ]
        if parts.scheme == "grpcs":
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.secure_channel(parts.netloc, credentials, options)
        else:
            self._channel = grpc.insecure_channel(parts.netloc, options)
        self._which = model, version, label
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(self, signature: str, images: list[bytes]) -> list[dict]:
        """Sends one batch.

        Args:
            signature: Name of a signature with the one input `image_bytes`.
            images: PNG or JPEG files.

        Returns:
            One dict of outputs for each image.
        """
        request = predict_pb2.PredictRequest()
        self._fill(request.model_spec)
        request.model_spec.signature_name = signature
        request.inputs["image_bytes"].CopyFrom(
            tf.make_tensor_proto(images, tf.string, [len(images)])
        )
        response = self._call(self._predictions.Predict, request)
        columns = {k: tf.make_ndarray(x).tolist() for k, x in response.outputs.items()}
        for name, values in columns.items():
            if not isinstance(values, list) or len(values) != len(images):
                raise ServerError(
                    f"{self._base}: output {name} does not hold {len(images)} rows."
                )
        return [{k: x[i] for k, x in columns.items()} for i in range(len(images))]

    def status(self) -> dict:
        """Returns the versions' states as REST's JSON has them."""
        request = get_model_status_pb2.GetModelStatusRequest()
        self._fill(request.model_spec)
        response = self._call(self._models.GetModelStatus, request)
        return json_format.MessageToDict(
            response,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )

    def metadata(self) -> dict:
        """Returns the signatures as REST's JSON has them."""
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        self._fill(request.model_spec)
        request.metadata_field.append("signature_def")
        response = self._call(self._predictions.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        settings = {
            "preserving_proto_field_name": True,
            "always_print_fields_with_no_presence": True,
        }
        spec = json_format.MessageToDict(response.model_spec, **settings)
        maps = json_format.MessageToDict(signatures, **settings)
        return {"model_spec": spec, "metadata": {"signature_def": maps}}

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _fill(self, spec):
        spec.name, version, label = self._which
        if version is not None:
            spec.version.value = version
        elif label is not None:
            spec.version_label = label

    def _call(self, method, request):
        try:
            return method(request, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            text = f"{self._base}: {error.details()}"
            code = error.code().name
            if error.details() == _TOO_MANY_CALLS:
                code = "UNAVAILABLE"
            raise error_from_code(code, text) from None
