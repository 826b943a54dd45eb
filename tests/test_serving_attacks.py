"""What an attacker, a browser or an operator's mishap does to `covseg serve`."""

import concurrent.futures
import http.client
import json
import shutil
import signal
import threading
import time
import zlib

import cv2
import numpy as np
import pytest
import requests
from hostile_files import HEADS, png_of, scan_bomb
from serving_servers import (
    Served,
    b64,
    benchmark,
    constant_servable,
    encoded,
    phantom,
    png,
    wait_for,
)

from covseg_tf.cli import main
from covseg_tf.imaging import check_image
from covseg_tf.serving import (
    BundleServable,
    Client,
    EmbeddedServer,
    ModelRepository,
    ServerOptions,
    ServingError,
    Unavailable,
)
from covseg_tf.serving.work_queue import WorkQueue, while_wanted


@pytest.fixture(scope="module")
def server(tiny_bundle):
    repository = ModelRepository()
    repository.add(BundleServable(tiny_bundle, "tiny", workers=2))
    with EmbeddedServer(repository, ServerOptions(port=0)) as running:
        yield Served(running.url)


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded(server):
    bomb = scan_bomb(4096, 4096, 3000)
    assert len(bomb) < 400_000
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(server.error, [encoded(b64(bomb))] * 2))
        assert server.post(encoded(b64(png(phantom())))).status_code == 200
    # Decoded, each takes a worker about 50 s.
    assert time.perf_counter() - start < 5
    for text in texts:
        assert "scans or more of 4096 x 4096 pixels; save the image again" in text


def test_good_films_are_answered_beside_an_attack(server):
    """The bodies of `benchmarks.serving.under_attack`, for a second."""
    from benchmarks.serving import under_attack
    from benchmarks.serving.__main__ import body_of

    url = server.base + "/v1/models/tiny:predict"
    bomb = scan_bomb(4096, 4096, 3000)
    texts = png_of(
        png(phantom()), *[(b"zTXt", HEADS[b"zTXt"] + zlib.compress(bytes(2**20)))] * 300
    )
    bodies = [body_of(data) for data in (bomb, texts, b"PK\3\4", bytes(132))]
    with under_attack.attack(url, bodies, 2) as statuses:
        found = under_attack.steady(url, 1, 8)
    assert (found["answered"], found["not_answered"]) == (8, 0)
    assert 0 < found["p50_ms"] <= found["p95_ms"]
    assert set(statuses) == {400}


def test_as_many_scans_as_go_over_the_largest_image_pass():
    limit = 100 * 100
    assert check_image(scan_bomb(100, 100, 15), limit) == (100, 100)
    with pytest.raises(ValueError, match="has 17 scans or more of 100 x 100 pixels"):
        check_image(scan_bomb(100, 100, 16), limit)
    # A small image may have more of them, for the same work.
    assert check_image(scan_bomb(10, 10, 1599), limit) == (10, 10)
    with pytest.raises(ValueError, match="has 1601 scans"):
        check_image(scan_bomb(10, 10, 1600), limit)


def test_progressive_files_of_any_writer_pass():
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    words = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    data = cv2.imencode(".jpg", picture, words)[1].tobytes()
    assert data.count(b"\xff\xda") >= 6
    assert check_image(data, 64 * 64) == (64, 64)


@pytest.mark.parametrize("kind", HEADS)
def test_a_png_whose_text_inflates_without_end_is_refused(server, kind):
    chunk = kind, HEADS[kind] + zlib.compress(bytes(2**20))
    assert check_image(png_of(png(phantom()), *[chunk] * 16), 128 * 128) == (128, 128)
    start = time.process_time()
    with pytest.raises(ValueError, match="text or profiles of more than 16 MB"):
        check_image(png_of(png(phantom()), *[chunk] * 9000), 128 * 128)
    one = kind, HEADS[kind] + zlib.compress(bytes(2**26))
    assert "more than 16 MB" in server.error(encoded(b64(png_of(png(phantom()), one))))
    # Damaged ones cost a decoder as much as whole ones.
    broken = kind, HEADS[kind] + zlib.compress(bytes(2**20))[:-4] + b"\0\0\0\0"
    with pytest.raises(ValueError, match="text or profiles of more than 16 MB"):
        check_image(png_of(png(phantom()), *[broken] * 17), 128 * 128)
    assert time.process_time() - start < 2


def test_plain_text_of_any_length_passes():
    plain = b"a\0\0\0en\0b\0" + b"x" * 2**25
    chunks = (b"iTXt", plain), (b"tEXt", plain), (b"zTXt", b""), (b"iTXt", b"a")
    assert check_image(png_of(png(phantom()), *chunks), 128 * 128) == (128, 128)


def test_work_ends_soon_after_its_caller_has_given_up():
    queue, seen, gate = WorkQueue(1, 0), [], threading.Event()

    def work():
        for index in while_wanted(range(1000)):
            seen.append(index)
            gate.wait(20)

    try:
        with queue.slot() as submit:
            future = submit(work)
            wait_for(lambda: seen)
        assert queue.is_stuck
        gate.set()
        with pytest.raises(ServingError, match="given up"):
            future.result(20)
        assert seen == [0]
        wait_for(lambda: queue.taken == 0)
        # The thread works on for the next caller.
        with queue.slot() as submit:
            assert submit(list, while_wanted("ab")).result(20) == ["a", "b"]
    finally:
        gate.set()
        queue.close()


def ask(server, headers, method="GET", path="/v1/models/tiny"):
    """Sends a request with its `Host` as given; returns status, headers, text."""
    connection = http.client.HTTPConnection(server.base.removeprefix("http://"))
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    result = answer.status, answer.headers, answer.read().decode()
    connection.close()
    return result


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8501", 200),
        ("localhost:1", 200),
        ("LOCALHOST", 200),
        ("[::1]:8501", 200),
        ("evil.example", 400),
        ("evil.example:8501", 400),
        ("127.0.0.1.evil.example", 400),
        ("localhost@evil.example", 400),
        ("", 400),
    ],
)
def test_a_name_made_to_mean_this_machine_is_refused(server, host, status):
    for path in ("/v1/models/tiny", "/monitoring/prometheus/metrics", "/readyz"):
        assert ask(server, {"Host": host}, path=path)[0] == status


def test_with_a_token_any_name_will_do():
    repository = ModelRepository()
    repository.add(constant_servable())
    headers = {"Host": "models.example", "Authorization": "Bearer sesame"}
    options = ServerOptions(port=0, token="sesame")
    with EmbeddedServer(repository, options) as running:
        served = Served(running.url)
        assert ask(served, headers)[0] == 200
        assert ask(served, headers | {"Origin": "http://models.example"})[0] == 200
        assert ask(served, {"Host": "models.example"})[0] == 401


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_pages_of_other_sites_get_no_answer(server, origin, method):
    headers = {
        "Host": "127.0.0.1",
        "Origin": origin,
        "Content-Length": "0",
        "Access-Control-Request-Method": "POST",
    }
    path = "/v1/models/tiny" + (":predict" if method == "POST" else "")
    status, found, text = ask(server, headers, method, path)
    assert status == 403
    assert "browser" in json.loads(text)["error"]
    assert not [name for name in found if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/v1/../../etc/passwd",
        "/v1/models/../../../etc/passwd",
        "/v1/models/..%2f..%2f..%2fetc%2fpasswd",
        "/v1/models/tiny/versions/..%2f1",
        "/v1/models/tiny/labels/..%2f..%2fetc%2fpasswd",
        "/v1/models/tiny/../../../bundle.json",
        "/v1/models/tiny%00",
        "/v1/models/" + "a" * 20000,
        "file:///etc/passwd",
    ],
)
def test_no_path_leads_to_a_file(server, path):
    status, _, text = ask(server, {"Host": "127.0.0.1"}, path=path)
    assert status in (400, 404)
    assert "root:" not in text
    assert "Traceback" not in text


def test_names_of_half_a_character_are_told(server):
    text = server.error(b'{"instances": [{"\\ud800": 1}]}')
    assert text.endswith("does not have named input: \ud800")


def test_requests_under_way_are_answered_before_the_end(tiny_bundle):
    """What SIGTERM does: see `EmbeddedServer.run`."""
    gate, started = threading.Event(), []
    repository = ModelRepository()
    repository.add(constant_servable(wait=lambda: started.append(1) or gate.wait(20)))
    server = EmbeddedServer(repository, ServerOptions(port=0, grpc_port=0, workers=4))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        with server:

            def predict(url):
                with Client(url, "tiny", timeout=30, retries=0) as client:
                    return len(client.predict([phantom()]))

            urls = [server.url, server.grpc_url] * 2
            waiting = [pool.submit(predict, url) for url in urls[:3]]
            wait_for(lambda: len(started) == 3)
            server._stop()
            wait_for(lambda: is_refused(server.url))
            gate.set()
        assert [job.result(20) for job in waiting] == [1, 1, 1]


def is_refused(url):
    with Client(url, "tiny", timeout=5, retries=0) as client:
        try:
            return not client.status()
        except Unavailable:
            return True


def test_a_signal_under_load_breaks_no_answer(tiny_bundle):
    body, answers, stopped = json.dumps(encoded(b64(png(phantom())))), [], []

    def ask_on(url):
        with requests.Session() as session:
            while True:
                try:
                    answer = session.post(url, body, timeout=30)
                except requests.ConnectionError:
                    if stopped:
                        return
                    raise
                answers.append((answer.status_code, len(answer.json()["predictions"])))

    with (
        concurrent.futures.ThreadPoolExecutor(4) as pool,
        benchmark().serve(tiny_bundle, "--name", "tiny") as (process, base),
    ):
        jobs = [pool.submit(ask_on, f"{base}/v1/models/tiny:predict") for _ in range(4)]
        wait_for(lambda: len(answers) > 20, 60)
        stopped.append(True)
        process.send_signal(signal.SIGTERM)
        for job in jobs:
            job.result(60)
        assert process.wait(30) == 0
    assert set(answers) == {(200, 1)}


def test_a_corrupt_version_beside_a_served_one(tiny_bundle, tmp_path, capsys):
    base = tmp_path / "tiny"
    shutil.copytree(tiny_bundle, base / "1")
    with benchmark().serve(base) as (_, url), Client(url, "tiny") as client:
        shutil.copytree(tiny_bundle, base / "2")
        (model,) = (base / "2").glob("*.tflite")
        data = model.read_bytes()
        model.write_bytes(data[: len(data) // 2])
        # Versions are read at the start: nothing changes for those who ask.
        assert client.status() == {1: "AVAILABLE"}
        assert len(client.predict([phantom()])) == 1
    # The next start says which one it is, rather than serve another than the newest.
    capsys.readouterr()
    assert main(["serve", str(base), "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("covseg serve: ")
    assert str(base / "2") in error
    assert error.count("\n") == 1
    # Half a copy that has no manifest yet is no version.
    (base / "2" / "bundle.json").unlink()
    with benchmark().serve(base) as (_, url), Client(url, "tiny") as client:
        assert client.status() == {1: "AVAILABLE"}
