"""One suite for every server that the client can meet, and one for its manners."""

import time

import cv2
import numpy as np
import pytest
import serving_servers as helpers
from serving_servers import phantom, png, raw_server, scripted

from covseg_tf.edge import PreprocessingSpec, Segmenter
from covseg_tf.serving import (
    BundleServable,
    Client,
    DeadlineExceeded,
    EmbeddedServer,
    InvalidRequest,
    ModelRepository,
    NotFound,
    SavedModelServable,
    ServerError,
    ServerOptions,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from covseg_tf.serving.rest import transport

TOKEN = "a-token-of-thirty-two-characters"
LIMITS = {"max_request_bytes": 2**20, "max_image_pixels": 10**6}


@pytest.fixture(scope="module", params=["bundle", "saved_model"])
def server(request, tiny_bundle, tiny_servable):
    """REST and gRPC over the same two versions, behind a token."""
    repository = ModelRepository()
    for version in (1, 2):
        if request.param == "bundle":
            servable = BundleServable(
                tiny_bundle, "tiny", version, 2, LIMITS["max_image_pixels"]
            )
        else:
            servable = SavedModelServable(
                tiny_servable, "tiny", version, LIMITS["max_image_pixels"]
            )
        repository.add(servable)
    repository.set_label("tiny", "stable", 1)
    options = ServerOptions(port=0, grpc_port=0, token=TOKEN, **LIMITS)
    with EmbeddedServer(repository, options) as running:
        running.kind = request.param
        yield running


@pytest.fixture(scope="module", params=["rest", "grpc"])
def url(request, server):
    return server.url if request.param == "rest" else server.grpc_url


@pytest.fixture
def client(url):
    with Client(url, "tiny", token=TOKEN, batch_size=2, timeout=30) as client:
        yield client


def test_predicts_what_the_network_says(client, server, tiny_bundle, tiny_model):
    images = [phantom(seed) for seed in range(3)]
    predictions = client.predict(images)
    assert len(predictions) == 3
    spec = PreprocessingSpec(64, 64)
    for image, prediction in zip(images, predictions, strict=True):
        pixels = spec.apply(image)
        if server.kind == "bundle":
            found = Segmenter(tiny_bundle).run(pixels)
            maps = {name: x.astype(np.float32) / 256 for name, x in found.items()}
        else:
            found = tiny_model(pixels[None, ..., None] / np.float32(255))
            maps = {name: np.array(found[name])[0, ..., 0] for name in found}
        for name in ("lung", "infection"):
            served = getattr(prediction, name)
            assert served.dtype == np.float32
            assert served.shape == (64, 64)
            # Half a step of the PNG's 255; the graph resizes in its own way.
            tolerance = 0.5 / 255 if server.kind == "bundle" else 0.02
            np.testing.assert_allclose(served, maps[name], atol=tolerance + 1e-6)
        lung = maps["lung"] > 0.5
        both = lung & (maps["infection"] > 0.5)
        exact = {"abs": 0.01 if server.kind == "bundle" else 2}
        assert prediction.lung_percent == pytest.approx(100 * lung.mean(), **exact)
        if lung.any():
            percent = 100 * both.sum() / lung.sum()
            assert prediction.involved_percent == pytest.approx(percent, **exact)
        else:
            assert prediction.involved_percent is None


def test_order_does_not_depend_on_batches(client):
    images = [phantom(seed) for seed in range(5)]
    together = client.predict(images)
    alone = [client.predict([image])[0] for image in images]
    for first, second in zip(together, alone, strict=True):
        np.testing.assert_allclose(first.lung, second.lung, atol=1.01 / 255)
        np.testing.assert_allclose(first.infection, second.infection, atol=1.01 / 255)


def test_takes_bytes_paths_and_arrays(client, tmp_path):
    image = phantom()
    files = {suffix: tmp_path / f"image.{suffix}" for suffix in ("png", "bmp")}
    for path in files.values():
        cv2.imwrite(str(path), image)
    kinds = [image, png(image), str(files["png"]), files["bmp"], image[..., None]]
    results = client.predict(kinds)
    for result in results[1:]:
        np.testing.assert_array_equal(result.lung, results[0].lung)
    assert client.predict([helpers.jpeg(image)])[0].lung.shape == (64, 64)
    assert client.predict([]) == []


def test_versions_labels_and_metadata(url, server):
    with Client(url, "tiny", token=TOKEN) as client:
        assert client.is_ready()
        assert client.status() == {2: "AVAILABLE", 1: "AVAILABLE"}
        metadata = client.metadata()
    assert metadata["model_spec"]["name"] == "tiny"
    assert metadata["model_spec"]["version"] == "2"
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    image = signatures["serving_default"]["inputs"]["image"]
    assert image["dtype"] == "DT_FLOAT"
    sizes = [dim["size"] for dim in image["tensor_shape"]["dim"]]
    assert sizes == ["-1", "64", "64", "1"]
    assert set(signatures["encoded_image_to_png"]["outputs"]) == {
        "lung_png_bytes",
        "infection_png_bytes",
        "involved_percent",
        "lung_percent",
    }
    with Client(url, "tiny", label="stable", token=TOKEN) as client:
        assert client.status() == {1: "AVAILABLE"}
        assert client.metadata()["model_spec"]["version"] == "1"
        assert len(client.predict([phantom()])) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"model": "nope"}, NotFound, r"Servable not found for request: Latest\(nope"),
        ({"version": 7}, NotFound, r"request: Specific\(tiny, 7\)"),
        ({"label": "x"}, InvalidRequest, "Unrecognized servable version label: x"),
        ({"token": "wrong"}, Unauthorized, "Send the server's token"),
        ({"token": None}, Unauthorized, "Send the server's token"),
    ],
)
def test_refusals(url, arguments, error, text):
    arguments = {"model": "tiny", "token": TOKEN, "timeout": 30} | arguments
    with Client(url, **arguments) as client:
        with pytest.raises(error, match=text):
            client.predict([phantom()])
        assert not client.is_ready()


def header_only(rows, columns):
    """A PNG of a few bytes whose header claims any size, checksum and all."""
    import struct
    import zlib

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    parts = (
        chunk(b"IHDR", header),
        chunk(b"IDAT", zlib.compress(b"")),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("image", "error", "text"),
    [
        (b"", InvalidRequest, "the image is empty"),
        (b"GIF89a", InvalidRequest, "not a PNG or JPEG file"),
        (png(phantom())[:-900], InvalidRequest, "PNG file is cut short"),
        (helpers.jpeg(phantom())[:-900], InvalidRequest, "JPEG file is cut short"),
        (png(phantom())[:20], InvalidRequest, "PNG file is cut short"),
        (header_only(60000, 60000), TooLarge, "60000 x 60000 pixels, at most 1000000"),
        (header_only(0, 5), InvalidRequest, "states 0 x 5 pixels"),
        (png(phantom()).replace(b"IDAT", b"IDAS"), InvalidRequest, "checksum"),
        (np.random.default_rng(0).bytes(2**21), TooLarge, "larger"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_images(client, image, error, text):
    with pytest.raises(error, match=text):
        client.predict([phantom(), image])
    assert client.is_ready()


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_nobody_there(kind):
    scheme = {"rest": "http", "grpc": "grpc"}[kind]
    with Client(f"{scheme}://127.0.0.1:9", retries=0, timeout=5) as client:
        assert not client.is_ready()
        with pytest.raises(Unavailable, match="127.0.0.1:9"):
            client.predict([phantom()])


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_deadline(kind):
    calls = []

    def wait():
        calls.append(1)
        time.sleep(0.6)

    repository = ModelRepository()
    repository.add(helpers.constant_servable(wait=wait))
    with EmbeddedServer(repository, ServerOptions(port=0, grpc_port=0)) as server:
        url = server.url if kind == "rest" else server.grpc_url
        with Client(url, "tiny", timeout=0.2) as client:
            with pytest.raises(DeadlineExceeded):
                client.predict([phantom()])
            assert len(calls) == 1  # not tried again


OK = (200, {}, b'{"model_version_status": [{"version": "3", "state": "AVAILABLE"}]}')
BUSY = (503, {"Retry-After": "0"}, b'{"error": "busy"}')


def test_tries_again_while_busy():
    with scripted(BUSY, BUSY, OK) as (url, seen), Client(url) as client:
        assert client.status() == {3: "AVAILABLE"}
        assert seen == ["/v1/models/xray"] * 3


def test_gives_up_after_the_last_retry():
    with (
        scripted(BUSY) as (url, seen),
        Client(url, retries=2) as client,
        pytest.raises(Unavailable, match="busy"),
    ):
        client.status()
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, InvalidRequest), (404, NotFound), (413, TooLarge), (500, ServerError)],
)
def test_never_tries_again_what_stays_wrong(status, error):
    with (
        scripted((status, {}, b'{"error": "no"}')) as (url, seen),
        Client(url) as client,
        pytest.raises(error, match=": no$"),
    ):
        client.status()
    assert len(seen) == 1


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(OK[2]), OK[2])
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"


@pytest.mark.parametrize("parts", [[HEAD], [HEAD, *[b" "] * 40]], ids=["stall", "drip"])
def test_the_timeout_is_for_the_whole_answer(parts):
    with (
        raw_server(*parts, pause=0.1) as (url, seen),
        Client(url, timeout=0.4) as client,
    ):
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"whole answer within 0\.4 s"):
            client.status()
        assert time.monotonic() - start < 2
        assert len(seen) == 1  # not tried again


def test_an_answer_cut_short_is_tried_again():
    cut = 200, {"Content-Length": "1000"}, b"{"
    with scripted(cut, OK) as (url, seen), Client(url) as client:
        assert client.status() == {3: "AVAILABLE"}
        assert len(seen) == 2


@pytest.mark.parametrize("trusts", [False, True])
@pytest.mark.parametrize("token", ["sesame", None])
def test_only_the_token_is_sent(token, trusts, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(transport, "is_loopback", lambda host: not trusts)
    with raw_server(ANSWER) as (url, seen), Client(url, token=token) as client:
        assert client.status() == {3: "AVAILABLE"}
        sent = [x for x in seen[0].splitlines() if x.startswith(b"Authorization")]
    assert sent == ([b"Authorization: Bearer sesame"] if token else [])


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with scripted(OK) as (url, seen):
        for base in (url, url.replace("127.0.0.1", "localhost")):
            with Client(base, retries=0) as client:
                assert client.status() == {3: "AVAILABLE"}
        assert len(seen) == 2
    # Others are asked through it, as the environment says.
    with (
        Client("http://model.example", retries=0) as client,
        pytest.raises(Unavailable, match="ProxyError"),
    ):
        client.status()


def test_the_connection_is_kept():
    with scripted(OK) as (url, seen), Client(url) as client:
        pool = client._transport._session.adapters["http://"].poolmanager
        for _ in range(3):
            assert client.status() == {3: "AVAILABLE"}
        assert len(seen) == 3
        (only,) = [pool.pools[key] for key in pool.pools.keys()]  # noqa: SIM118
        assert only.num_connections == 1


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Retry-After": "0"}, b'{"error": "slow down"}'),
        ({}, b"<html>Too Many Requests"),
        ({}, b'{"message": "slow down"}'),
    ],
)
def test_too_many_requests_are_tried_again(headers, body):
    with scripted((429, headers, body), OK) as (url, seen), Client(url) as client:
        assert client.status() == {3: "AVAILABLE"}
        assert len(seen) == 2


def test_a_model_servers_own_429_is_too_large():
    answer = 429, {}, b'{"error": "message larger than max"}'
    with (
        scripted(answer) as (url, seen),
        Client(url) as client,
        pytest.raises(TooLarge, match="larger than max"),
    ):
        client.status()
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((200, {}, b"<html>hello"), "expected a model server's JSON"),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), "HTTP 302"),
        ((200, {}, b'{"predictions": []}'), "expected 1 predictions"),
        ((200, {}, b'{"predictions": [1.5]}'), "expected named outputs"),
        ((200, {}, b'{"predictions": [{"lung": 1}]}'), "one of our models"),
        ((200, {}, b'{"predictions": [{"a": {"b64": "x"}}]}'), "not base64"),
    ],
)
def test_answers_of_something_else(answer, text):
    with (
        scripted(answer) as (url, _),
        Client(url) as client,
        pytest.raises(ServerError, match=text),
    ):
        client.predict([phantom()])


def test_no_lung_is_none_and_not_nan():
    repository = ModelRepository()
    repository.add(helpers.constant_servable(lung=0.0))
    with (
        EmbeddedServer(repository, ServerOptions(port=0)) as server,
        Client(server.url, "tiny") as client,
    ):
        (prediction,) = client.predict([phantom()])
    assert prediction.involved_percent is None
    assert prediction.lung_percent == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"url": "127.0.0.1:8501"}, "must be http"),
        ({"url": "ftp://host"}, "must be http"),
        ({"version": 1, "label": "a"}, "not both"),
        ({"timeout": 0}, "`timeout` must be above 0"),
        ({"batch_size": 0}, "`batch_size` at least 1"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        Client(**({"url": "http://127.0.0.1:1"} | arguments))


def test_bad_images():
    client = Client("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="must be a list"):
        client.predict(phantom())
    with pytest.raises(ValueError, match="No such file"):
        client.predict(["nowhere.png"])
    with pytest.raises(ValueError, match="must be a non-empty array"):
        client.predict([np.zeros(5)])
    client.close()
