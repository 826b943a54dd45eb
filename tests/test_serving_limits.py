"""What a careless or hostile caller meets: limits, guards, metrics."""

import concurrent.futures
import json
import socket
import threading
import time
import tracemalloc

import numpy as np
import pytest
import requests
from serving_servers import (
    Served,
    b64,
    benchmark,
    constant_servable,
    encoded,
    image,
    phantom,
    png,
    wait_for,
)

from covseg_tf.serving import (
    BundleServable,
    EmbeddedServer,
    InvalidRequest,
    ModelRepository,
    ServerOptions,
    TooLarge,
)
from covseg_tf.serving.wire import json_predict
from covseg_tf.serving.wire.json_predict import predict_json
from covseg_tf.serving.work_queue import WorkQueue

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def running(tiny_bundle):
    repository = ModelRepository()
    repository.add(BundleServable(tiny_bundle, "tiny"))
    options = ServerOptions(port=0, max_request_bytes=MEGABYTE)
    with EmbeddedServer(repository, options) as server:
        yield server


@pytest.fixture
def server(running):
    served = Served(running.url)
    yield served
    assert served.get("/healthz").json() == {"alive": True}


def chunks(size):
    for _ in range(0, size, 2**16):
        yield b" " * 2**16


@pytest.mark.parametrize("size", [MEGABYTE + 1, 2 * MEGABYTE, 16 * MEGABYTE])
def test_oversized_bodies(server, size):
    for data in (b" " * size, chunks(size)):
        try:
            answer = requests.post(
                server.base + "/v1/models/tiny:predict", data=data, timeout=30
            )
        except requests.ConnectionError:
            # Cut off before it was all sent.
            assert size > 3 * MEGABYTE
            continue
        assert answer.status_code == 413
        assert "larger than 1048576 bytes" in answer.json()["error"]


def test_a_body_in_chunks_is_read(server):
    body = json.dumps(encoded(b64(png(phantom())))).encode()
    parts = (body[i : i + 1000] for i in range(0, len(body), 1000))
    url = server.base + "/v1/models/tiny:predict"
    assert requests.post(url, data=parts, timeout=30).status_code == 200


def test_no_http_at_all(server):
    host, port = server.base.removeprefix("http://").split(":")
    rng = np.random.default_rng(0)
    for size in (1, 100, 5000):
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(rng.bytes(size) + b"\r\n\r\n")
            assert b"200" not in connection.recv(100)
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: x\r\n")
        connection.sendall(b"Content-Length: 100\r\n\r\n{")  # and goes away


def test_random_bytes(server):
    statuses = benchmark().fuzz(server.base, "tiny", 300)
    assert statuses[400] > 200


@pytest.mark.slow
def test_ten_thousand_random_strings_leave_no_memory(tiny_bundle):
    load = benchmark()
    figures = load.measure(tiny_bundle, 0, 0, 10000, "locust", "tiny")
    assert figures["alive"]
    assert figures["exit_code"] == 0
    assert sum(figures["random_bytes"].values()) == 10000
    memory = figures["resident_megabytes"]
    assert memory["after_random_bytes"] < memory["before_random_bytes"] + 10


@pytest.mark.parametrize("part", [b"[],", b"{},", b"0,"])
def test_thirty_megabytes_of_nothing_are_never_parsed(part):
    body = b'{"instances": [' + part * (30 * MEGABYTE // len(part)) + b"0]}"
    servable = constant_servable(size=256)
    start = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="lists and objects and [0-9]+ commas"):
            predict_json(servable, body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEGABYTE
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    ("document", "error", "text"),
    [
        ({"instances": [[]] * 100000}, InvalidRequest, "[100000,0] is not"),
        ({"instances": [{"image": []}] * 9000}, InvalidRequest, "[9000,0] is not"),
        ({"instances": [image()] * 65}, TooLarge, "65 images, at most 64"),
        ({"inputs": [[]] * 100000}, InvalidRequest, "[100000,0] is not"),
        ({"inputs": [image()] * 65}, TooLarge, "65 images, at most 64"),
        # A row larger than an image, and one of nothing but lists.
        ({"instances": [[0.5] * 200000]}, InvalidRequest, "[1,200000] is not"),
        ({"instances": [[[]] * 200000]}, InvalidRequest, "[1,200000,0] is not"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_array_is_made_of_what_is_too_large(document, error, text, monkeypatch):
    made = []
    monkeypatch.setattr(json_predict, "array_from_json", lambda *x: made.append(x))
    # Counting alone would refuse the 65 images.
    monkeypatch.setattr(json_predict, "check_body", lambda *x: None)
    with pytest.raises(error) as caught:
        predict_json(constant_servable(), json.dumps(document).encode())
    assert text in str(caught.value)
    assert not made


def test_a_whole_batch_of_numbers_is_not_too_large():
    body = json.dumps({"instances": [{"image": image()}] * 64}).encode()
    assert len(json.loads(predict_json(constant_servable(), body))["predictions"]) == 64


def test_a_slot_is_held_until_the_work_ends():
    gate, queue = threading.Event(), WorkQueue(workers=1, waiting=1)
    try:
        with queue.slot() as submit:
            running = submit(gate.wait, 20)
        with queue.slot() as submit:
            waiting = submit(gate.wait, 20)
            waiting.cancel()
        # The one that could be cancelled is gone, the running one is not.
        assert (queue.taken, queue.is_stuck, queue.is_full) == (1, True, False)
        gate.set()
        assert running.result(20)
        with queue.slot() as submit:
            assert submit(int, "7").result(20) == 7
        assert (queue.taken, queue.is_stuck) == (0, False)
    finally:
        gate.set()
        queue.close()


def test_busy_is_503_and_the_rest_still_answers():
    gate = threading.Event()
    repository = ModelRepository()
    repository.add(constant_servable(wait=lambda: gate.wait(20)))
    options = ServerOptions(port=0, workers=1, queue_size=1)
    with EmbeddedServer(repository, options) as server:
        served = Served(server.url)
        body = {"instances": [image()]}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(served.post, body) for _ in range(2)]
            while served.get("/readyz").status_code == 200:
                pass
            answer = served.post(body)
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            assert "busy" in answer.json()["error"]
            # The loop is free while the threads are not.
            assert served.get("/healthz").status_code == 200
            assert served.get("/v1/models/tiny").status_code == 200
            gate.set()
            assert [job.result().status_code for job in waiting] == [200, 200]
        assert served.get("/readyz").json() == {"ready": True}


def test_a_request_that_takes_too_long_is_504():
    gate = threading.Event()
    repository = ModelRepository()
    repository.add(constant_servable(wait=lambda: gate.wait(20)))
    options = ServerOptions(port=0, workers=1, request_timeout=0.1)
    with EmbeddedServer(repository, options) as server:
        served = Served(server.url)
        text = served.error({"instances": [image()]}, status=504)
        # Its thread still computes, so the next request would wait in vain.
        assert served.get("/readyz").status_code == 503
        gate.set()
        wait_for(lambda: served.get("/readyz").status_code == 200)
    assert "not done within 0.1 s" in text


def test_an_unexpected_failure_is_500_without_its_traceback(caplog):
    def fail():
        raise RuntimeError("a secret")

    repository = ModelRepository()
    repository.add(constant_servable(wait=fail))
    with EmbeddedServer(repository, ServerOptions(port=0)) as server:
        text = Served(server.url).error({"instances": [image()]}, 500)
    assert "secret" not in text
    assert "a secret" in caplog.text


def test_metrics(tiny_bundle):
    repository = ModelRepository()
    repository.add(constant_servable())
    with EmbeddedServer(repository, ServerOptions(port=0)) as server:
        served = Served(server.url)
        served.post({"instances": [image()]})
        served.post({"instances": []})
        served.post({"instances": [image()]}, "/v1/models/made-up:predict")
        page = served.get("/monitoring/prometheus/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    lines = page.text.splitlines()
    common = 'method="predict",model='
    for model, status in (("tiny", "OK"), ("tiny", "INVALID_ARGUMENT")):
        name = f'{common}"{model}",status="{status}",transport="rest"'
        assert f"covseg_requests_total{{{name}}} 1.0" in lines
    # Names that callers make up are not kept.
    assert "made-up" not in page.text
    assert f'{common}"unknown",status="NOT_FOUND"' in page.text
    assert 'covseg_request_seconds_count{method="predict",model="tiny"' in page.text
    assert "covseg_requests_in_flight 0.0" in lines


def test_token():
    repository = ModelRepository()
    repository.add(constant_servable())
    options = ServerOptions(port=0, token="sesame")
    with EmbeddedServer(repository, options) as server:
        served = Served(server.url)
        paths = "/v1/models/tiny", "/monitoring/prometheus/metrics"
        for path in paths:
            for value in (None, "sesame", "Bearer wrong", "Bearer s\u00e9same"):
                headers = {"Authorization": value.encode("latin-1")} if value else {}
                answer = served.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"
            headers = {"Authorization": "Bearer sesame"}
            assert served.get(path, headers=headers).status_code == 200
        assert served.get("/healthz").status_code == 200
