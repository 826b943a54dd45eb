"""The gRPC server against tensorflow-serving-api's own stubs."""

import contextlib
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving_servers import Served, constant_servable, phantom, png, wait_for
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from covseg_tf.serving import (
    Client,
    EmbeddedServer,
    ModelRepository,
    ServerOptions,
    Unavailable,
)


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


TOKEN = "sesame"
PREDICT = "/tensorflow.serving.PredictionService/Predict"


@contextlib.contextmanager
def guarded(**settings):
    """A server behind a token that has five threads for calls."""
    repository = ModelRepository()
    repository.add(constant_servable())
    options = {"port": 0, "grpc_port": 0, "token": TOKEN, "workers": 1}
    options |= {"queue_size": 0} | settings
    with EmbeddedServer(repository, ServerOptions(**options)) as server:
        yield server


@contextlib.contextmanager
def silent_calls(server, count, token=None):
    """Calls whose message never comes, each over a connection of its own."""
    end, metadata = threading.Event(), [("authorization", f"Bearer {token}")]
    address = server.grpc_url.removeprefix("grpc://")
    with contextlib.ExitStack() as stack:
        calls = []
        for number in range(count):
            options = [("grpc.use_local_subchannel_pool", 1), ("number", number)]
            channel = stack.enter_context(grpc.insecure_channel(address, options))
            messages = iter(lambda: end.wait() and None, None)
            call = channel.stream_unary(PREDICT)
            sent = metadata if token else []
            calls.append(call.future(messages, timeout=10, metadata=sent))
        try:
            yield calls
        finally:
            end.set()


def test_silent_calls_without_the_token_block_nobody():
    with guarded() as server, silent_calls(server, 20) as calls:
        # Refused though no message came.
        for call in calls:
            assert call.code().name == "UNAUTHENTICATED"
            assert "Send the server's token" in call.details()
        with Client(server.grpc_url, "tiny", token=TOKEN, retries=0) as client:
            assert client.status() == {1: "AVAILABLE"}
            assert len(client.predict([phantom()])) == 1
        page = Served(server.url).get(
            "/monitoring/prometheus/metrics",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
    labels = 'method="predict",model="unknown",status="UNAUTHENTICATED"'
    assert f'covseg_requests_total{{{labels},transport="grpc"}} 20.0' in page.text


def test_a_message_that_does_not_come_ends_its_call():
    with guarded(request_timeout=0.3) as server:
        start = time.monotonic()
        with silent_calls(server, 5, TOKEN) as calls:
            for call in calls:
                assert call.code().name == "CANCELLED"
        assert time.monotonic() - start < 5
        with Client(server.grpc_url, "tiny", token=TOKEN, timeout=30) as client:
            assert len(client.predict([phantom()])) == 1


def test_calls_beyond_the_threads_are_told_to_come_back():
    with guarded() as server:
        client = Client(server.grpc_url, "tiny", token=TOKEN, retries=0)

        def is_refused():
            try:
                return not client.status()
            except Unavailable as error:
                return "Concurrent RPC limit" in str(error)

        with client, silent_calls(server, 5, TOKEN):
            wait_for(is_refused)
        # Their callers are gone, and so are they.
        with Client(server.grpc_url, "tiny", token=TOKEN) as client:
            wait_for(client.is_ready)


def test_a_call_of_no_message():
    with guarded() as server:
        address = server.grpc_url.removeprefix("grpc://")
        with grpc.insecure_channel(address) as channel:
            call = channel.stream_unary(PREDICT)
            metadata = [("authorization", f"Bearer {TOKEN}")]
            with pytest.raises(grpc.RpcError, match="No message came"):
                call(iter(()), metadata=metadata, timeout=10)
