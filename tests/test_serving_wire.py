"""TensorFlow Serving's REST API word for word, its refusals too."""

import base64
import concurrent.futures
import json

import numpy as np
import pytest
import requests
from serving_servers import (
    Served,
    b64,
    constant_servable,
    encoded,
    image,
    jpeg,
    phantom,
    png,
)

from covseg_tf.serving import (
    BundleServable,
    EmbeddedServer,
    ModelRepository,
    ServerOptions,
)


@pytest.fixture(scope="module")
def running(tiny_bundle):
    """The bundle under `tiny`, and constant maps without a lung under `empty`."""
    repository = ModelRepository()
    repository.add(BundleServable(tiny_bundle, "tiny", 2, 2, max_image_pixels=10**6))
    repository.add(BundleServable(tiny_bundle, "tiny", 1))
    repository.add(constant_servable("empty"))
    repository.set_label("tiny", "stable", 1)
    with EmbeddedServer(repository, ServerOptions(port=0)) as server:
        yield server


@pytest.fixture
def server(running):
    served = Served(running.url)
    yield served
    assert served.get("/healthz").json() == {"alive": True}


def test_rows(server):
    answer = server.post({"instances": [image(), image(0.25)]})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    rows = answer.json()["predictions"]
    assert set(answer.json()) == {"predictions"}
    assert len(rows) == 2
    assert set(rows[0]) == {"lung", "infection", "involved_percent", "lung_percent"}
    assert np.shape(rows[0]["lung"]) == (64, 64, 1)
    named = server.post({"instances": [{"image": image()}, {"image": image(0.25)}]})
    # NaN is not NaN: compare the text.
    assert named.text == answer.text


def test_columns(server):
    row = server.post({"instances": [image()]}).json()["predictions"][0]
    for inputs in ([image()], {"image": [image()]}, {"image": [image()], "more": 1}):
        answer = server.post({"inputs": inputs}).json()
        assert set(answer) == {"outputs"}
        assert np.shape(answer["outputs"]["lung"]) == (1, 64, 64, 1)
        assert answer["outputs"]["lung"][0] == row["lung"]
        assert answer["outputs"]["lung_percent"] == [row["lung_percent"]]


def test_files_in_base64(server):
    data = png(phantom())
    for body in (
        encoded(b64(data)),
        encoded({"image_bytes": b64(data)}),
        encoded(b64(jpeg(phantom()))),
        {"signature_name": "encoded_image_to_png", "inputs": [b64(data)]},
    ):
        answer = server.post(body).json()
        row = answer["predictions"][0] if "predictions" in answer else None
        row = row or {name: x[0] for name, x in answer["outputs"].items()}
        assert base64.b64decode(row["lung_png_bytes"]["b64"]).startswith(b"\x89PNG")
    # The padding is optional there.
    bare = {"b64": b64(data)["b64"].rstrip("=")}
    assert server.post(encoded(bare)).status_code == 200
    maps = server.post(encoded(b64(data), signature_name="encoded_image"))
    assert np.shape(maps.json()["predictions"][0]["infection"]) == (64, 64, 1)


def test_many_at_once_get_their_own_answers(server):
    bodies = [encoded(b64(png(phantom(seed)))) for seed in range(4)]
    alone = [server.post(body).text for body in bodies]
    assert len(set(alone)) == 4
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(server.post, bodies * 10))
    assert [answer.text for answer in answers] == alone * 10


def test_numbers_are_written_as_there(server):
    text = server.post({"inputs": [image()]}, "/v1/models/empty:predict").text
    assert '"involved_percent": [NaN]' in text
    assert '"lung_percent": [0.0]' in text
    assert '"lung": [[[[0.0], [0.0]' in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2, "0.2"),
        (2.5, "2.5"),
        (9e6, "9e+06"),
        (3e-5, "3e-05"),
        (1 / 3, "0.333333343"),
        (7, "7.0"),
        (np.nan, "NaN"),
        (-np.inf, "-Infinity"),
    ],
)
def test_decimals(value, text):
    from covseg_tf.serving.wire.json_response import write_predict

    # As in TensorFlow Serving's own documents: one output gives a plain list.
    outputs = {"y": np.array([value], np.float32)}
    assert write_predict(outputs, True).decode() == f'{{"predictions": [{text}]}}'
    assert write_predict(outputs, False).decode() == f'{{"outputs": [{text}]}}'


def test_strings_and_integers():
    from covseg_tf.serving.wire.json_response import write_predict

    words = np.array([b"\x00\xff", b"a"], object)
    outputs = {"word": words[1:], "word_bytes": words[:1], "n": np.array([3], np.int32)}
    assert json.loads(write_predict(outputs, True)) == {
        "predictions": [{"n": 3, "word": "a", "word_bytes": {"b64": "AP8="}}]
    }


def test_status_and_metadata(server):
    def state(version):
        status = {"error_code": "OK", "error_message": ""}
        return {"version": version, "state": "AVAILABLE", "status": status}

    get = server.get
    both = {"model_version_status": [state("2"), state("1")]}
    assert get("/v1/models/tiny").json() == both
    assert get("/V1/Models/tiny").json() == both
    for path in ("/v1/models/tiny/versions/1", "/v1/models/tiny/labels/stable"):
        assert get(path).json() == {"model_version_status": [state("1")]}
    metadata = get("/v1/models/tiny/metadata").json()
    assert metadata["model_spec"] == {
        "name": "tiny",
        "signature_name": "",
        "version": "2",
    }
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert signatures["encoded_image"]["inputs"] == {
        "image_bytes": {
            "dtype": "DT_STRING",
            "tensor_shape": {
                "dim": [{"size": "-1", "name": ""}],
                "unknown_rank": False,
            },
            "name": "image_bytes:0",
        }
    }
    assert signatures["encoded_image"]["method_name"] == "tensorflow/serving/predict"
    labelled = get("/v1/models/tiny/labels/stable/metadata").json()
    assert labelled["model_spec"]["version"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/v1/models/tiny:predict", 400, "Malformed request: GET /v1/models/"),
        ("POST", "/v1/models/tiny", 400, "Malformed request: POST /v1/models/tiny"),
        ("PUT", "/v1/models/tiny", 400, "Malformed request: PUT /v1/models/tiny"),
        ("GET", "/v1/nothing", 400, "Malformed request: GET /v1/nothing"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/x", 404, "Could not find any versions of model x"),
        ("GET", "/v1/models/a%20b", 404, "Could not find any versions of model a b"),
        (
            "GET",
            "/v1/models/tiny/versions/9",
            404,
            "Could not find version 9 of model tiny",
        ),
        (
            "GET",
            "/v1/models/tiny/versions/99999999999999999999",
            400,
            "Failed to convert version: 99999999999999999999 to numeric.",
        ),
        (
            "GET",
            "/v1/models/tiny/versions/" + "9" * 5000,
            400,
            f"Failed to convert version: {'9' * 200}... to numeric.",
        ),
        ("GET", f"/v1/models/tiny/versions/{2**63}", 400, "Failed to convert version"),
        (
            "GET",
            f"/v1/models/tiny/versions/{'0' * 100}{2**63 - 1}",
            404,
            f"Could not find version {2**63 - 1} of model tiny",
        ),
        (
            "GET",
            "/v1/models/tiny/versions/9/metadata",
            404,
            "Servable not found for request: Specific(tiny, 9)",
        ),
        ("GET", "/v1/models/x/metadata", 404, "not found for request: Latest(x)"),
        (
            "POST",
            "/v1/models/tiny/labels/x:predict",
            400,
            "Unrecognized servable version label: x",
        ),
        ("POST", "/v1/models/tiny:classify", 400, "classify is not served here"),
        ("GET", "/elsewhere", 404, "No such page: GET /elsewhere"),
        ("POST", "/healthz", 404, "No such page: POST /healthz"),
    ],
)
def test_paths(server, method, path, status, text):
    body = None if method == "GET" else json.dumps({"instances": [image()]})
    answer = requests.request(method, server.base + path, data=body, timeout=30)
    assert answer.status_code == status
    assert text in answer.json()["error"]


RAGGED = [image()[0][:5], image()[0][:4]]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: "),
        (b'{"instances": [1,]}', "at offset: 17"),
        (b"\xff\xfe{}", "JSON Parse error: Invalid encoding in string. at offset: 0"),
        (b'{"instances": ' + b"[" * 100000, "JSON Parse error: nested too deep"),
        (b'{"instances": ' + b"9" * 5000 + b"}", "JSON Parse error: "),
        (b'{"instances": [' + b"[" * 900 + b"]" * 901 + b"}", "lists nested 900 deep"),
        (b"[" * 900 + b"]" * 900, "Is not object"),
        (b"[1, 2]", "JSON Value: [1, 2] Is not object"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [], "inputs": []}, "expecting only one of 'inputs' or"),
        ({"instances": 1}, "Excepting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"signature_name": 1}, "'signature_name' key must be a string value."),
        (
            {"signature_name": "x", "instances": [1]},
            'Serving signature name: "x" not found in signature def',
        ),
        # Wrong rank and size.
        (
            {"instances": [[1, 2]]},
            "Shape of tensor image [1,2] is not compatible with expected shape "
            "[?,64,64,1].",
        ),
        ({"inputs": 0.5}, "Shape of tensor image [] is not compatible"),
        ({"inputs": image()}, "Shape of tensor image [64,64,1] is not"),
        ({"instances": [image(rows=63)]}, "Shape of tensor image [1,63,64,1]"),
        ({"inputs": []}, "Shape of tensor image [0] is not compatible"),
        ({"inputs": RAGGED}, "Encountered list at unexpected size: 4 at level: 1"),
        ({"inputs": [[1], 2]}, "JSON Value: 2 found at incorrect level: 2 in"),
        ({"inputs": [1, [2]]}, "Encountered list at unexpected level: 1 expected < 1"),
        ({"instances": [image(), image()[1:]]}, "Expecting tensor size: 4096 but got:"),
        ({"instances": [[[1, 2]], [[1], [2]]]}, "Expecting shape [1,2] but got: [2,1]"),
        # Wrong type and value.
        ({"instances": [["a"]]}, '"a" Type: String is not of expected type: float'),
        ({"instances": [[True]]}, "true Type: True is not of expected type: float"),
        ({"inputs": [None]}, "null Type: Null is not of expected type: float"),
        ({"inputs": {"image": {"a": 1}}}, "Type: Object is not of expected type"),
        ({"inputs": [10**400]}, "without loss of precision"),
        ({"inputs": [1e39]}, "Cannot convert JSON value: 1e+39 to float without loss"),
        ({"inputs": [2**24]}, "Cannot convert JSON value: 16777216 to float"),
        ({"instances": [image(2.0)]}, "must be finite and in [0, 1]"),
        ({"instances": [image(float("nan"))]}, "must be finite and in [0, 1]"),
        # Names.
        ({"inputs": {"x": 1}}, "Missing named input: image in 'inputs' object."),
        ({"instances": [{"x": 1}]}, "does not have named input: x"),
        ({"instances": [{}]}, "keys must be equal to: image"),
        (
            {"instances": [{"image": image()}, image()]},
            "Expecting object but got list at item 1 of input list",
        ),
        (
            {"instances": [image(), {"image": image()}]},
            "Expecting value/list but got object at item 1 of input list",
        ),
        # Encoded images.
        (encoded(1), "1 Type: Number is not of expected type: string"),
        (encoded({"image_bytes": {"b64": 1}}), "not formatted correctly for base64"),
        (encoded({"b64": "!"}), "Unable to base64 decode"),
        (encoded("plain text"), "image_bytes[0]: not a PNG or JPEG file"),
        (encoded("\ud800"), "half a character"),
        (encoded(b64(b"")), "image_bytes[0]: the image is empty"),
        (encoded(b64(png(phantom())[:-1])), "the PNG file is cut short"),
        (encoded(b64(png(phantom())), b64(b"x")), "image_bytes[1]: not a PNG or"),
        (encoded([b64(b"x")]), "Shape of tensor image_bytes [1,1] is not"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_refusals(server, body, text):
    assert text in server.error(body)


def test_quotes_only_the_beginning_of_a_large_value(server):
    body = {"instances": "x" * 100000}
    assert len(server.error(body)) < 400


def test_too_many_images(server):
    body = encoded(*[b64(png(phantom()[:8, :8]))] * 65)
    assert "65 images, at most 64" in server.error(body, status=413)
