"""The gRPC server against tensorflow-serving-api's own stubs."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving_servers import constant_servable, phantom, png
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from covseg_tf.serving import EmbeddedServer, ModelRepository, ServerOptions


@pytest.fixture(scope="module")
def channel():
    repository = ModelRepository()
    repository.add(constant_servable(lung=0.75))
    server = EmbeddedServer(repository, ServerOptions(port=0, grpc_port=0))
    address = server.grpc_url.removeprefix("grpc://")
    with server, grpc.insecure_channel(address) as channel:
        yield channel


def request(signature="", model="tiny", **inputs):
    message = predict_pb2.PredictRequest()
    message.model_spec.name = model
    message.model_spec.signature_name = signature
    for name, value in inputs.items():
        if not isinstance(value, tensor_pb2.TensorProto):
            value = tf.make_tensor_proto(value)
        message.inputs[name].CopyFrom(value)
    return message


def predict(channel, message):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    return stub.Predict(message, timeout=30)


def images(*shape):
    return np.full(shape, 0.5, np.float32)


def test_predict(channel):
    answer = predict(channel, request(image=images(2, 64, 64, 1)))
    assert answer.model_spec.name == "tiny"
    assert answer.model_spec.version.value == 1
    assert answer.model_spec.signature_name == "serving_default"
    found = {name: tf.make_ndarray(x) for name, x in answer.outputs.items()}
    assert set(found) == {"lung", "infection", "involved_percent", "lung_percent"}
    assert found["lung"].shape == (2, 64, 64, 1)
    assert found["lung"].dtype == np.float32
    assert found["involved_percent"].tolist() == [100, 100]


def test_output_filter(channel):
    message = request("encoded_image_to_png", image_bytes=[png(phantom())])
    message.output_filter.append("lung_png_bytes")
    answer = predict(channel, message)
    assert list(answer.outputs) == ["lung_png_bytes"]
    (data,) = tf.make_ndarray(answer.outputs["lung_png_bytes"])
    assert data.startswith(b"\x89PNG")
    message.output_filter[:] = ["x"]
    with pytest.raises(grpc.RpcError, match="alias not found in signature: x"):
        predict(channel, message)


def proto(dtype, *shape):
    message = tf.make_tensor_proto(0.5)
    message.dtype = dtype
    message.tensor_shape.Clear()
    for size in shape:
        message.tensor_shape.dim.add().size = size
    return message


def unknown_rank():
    message = tf.make_tensor_proto(0.5)
    message.tensor_shape.unknown_rank = True
    return message


FLOAT = tf.float32.as_datatype_enum


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (
            request(image=images(64, 64)),
            "INVALID_ARGUMENT",
            "[64,64] is not compatible",
        ),
        (request(image=images(1, 63, 64, 1)), "INVALID_ARGUMENT", "[1,63,64,1] is not"),
        (request(image=images(0, 64, 64, 1)), "INVALID_ARGUMENT", "no image"),
        (request(image=0.5), "INVALID_ARGUMENT", "Shape of tensor image []"),
        (
            request(image=images(1, 64, 64, 1).astype(np.float64)),
            "INVALID_ARGUMENT",
            "Expects arg[0] to be float but double is provided",
        ),
        (
            request(image=np.full((1, 64, 64, 1), "a")),
            "INVALID_ARGUMENT",
            "Expects arg[0] to be float but string is provided",
        ),
        (request(x=images(1)), "INVALID_ARGUMENT", "input size does not match"),
        (request(), "INVALID_ARGUMENT", "Missing but required: {image}."),
        (
            request("nope", image=images(1, 64, 64, 1)),
            "FAILED_PRECONDITION",
            'Serving signature key "nope" not found',
        ),
        (request(model="x", image=0.5), "NOT_FOUND", "for request: Latest(x)"),
        (request(model="", image=0.5), "INVALID_ARGUMENT", "Missing ModelSpec"),
        # A few bytes that ask for gigabytes.
        (
            request(image=proto(FLOAT, 10**9, 64, 64, 1)),
            "RESOURCE_EXHAUSTED",
            "1000000000 images, at most 64",
        ),
        (request(image=proto(FLOAT, -1, 64, 64, 1)), "INVALID_ARGUMENT", "parsing"),
        (request(image=proto(999, 1, 64, 64, 1)), "INVALID_ARGUMENT", "parsing error"),
        (request(image=unknown_rank()), "INVALID_ARGUMENT", "parsing error"),
        (
            request("encoded_image", image_bytes=[b"nonsense"]),
            "INVALID_ARGUMENT",
            "not a PNG or JPEG",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals(channel, message, code, text):
    with pytest.raises(grpc.RpcError) as caught:
        predict(channel, message)
    assert caught.value.code().name == code
    assert text in caught.value.details()


def test_random_messages(channel):
    rng = np.random.default_rng(0)
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    whole = request(image=images(1, 64, 64, 1)).SerializeToString()
    for _ in range(100):
        data = bytearray(whole if rng.random() < 0.5 else rng.bytes(200))
        for place in rng.integers(0, min(len(data), 100), 4):
            data[place] = rng.integers(256)
        # gRPC itself says INTERNAL or UNKNOWN of what is no message.
        answer = call.future(bytes(data), timeout=30)
        assert answer.code().name not in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
        assert "its log says why" not in answer.details()
    assert predict(channel, request(image=images(1, 64, 64, 1))).outputs


def test_status_and_metadata(channel):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = "tiny"
    (entry,) = stub.GetModelStatus(message).model_version_status
    assert entry.version == 1
    assert entry.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    message = get_model_metadata_pb2.GetModelMetadataRequest()
    message.model_spec.name = "tiny"
    with pytest.raises(grpc.RpcError, match="at least one metadata_field"):
        stub.GetModelMetadata(message)
    message.metadata_field.append("other")
    with pytest.raises(grpc.RpcError, match="other is not supported"):
        stub.GetModelMetadata(message)
    message.metadata_field[:] = ["signature_def"]
    answer = stub.GetModelMetadata(message)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    image = signatures.signature_def["serving_default"].inputs["image"]
    assert image.dtype == FLOAT
    assert [dim.size for dim in image.tensor_shape.dim] == [-1, 64, 64, 1]


def test_reloading_is_unimplemented(channel):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest())
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
