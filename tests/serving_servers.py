"""Helpers of the serving tests: servers in threads, and servers that misbehave."""

import base64
import contextlib
import dataclasses
import http.server
import importlib
import json
import socket
import threading
import time

import cv2
import numpy as np
import requests

from covseg_tf.edge import draw_phantom


def png(image):
    return cv2.imencode(".png", image)[1].tobytes()


def jpeg(image):
    return cv2.imencode(".jpg", image)[1].tobytes()


def phantom(seed=1):
    return draw_phantom(seed, 0.4, 128).image


@dataclasses.dataclass(frozen=True)
class Served:
    """A running REST server, asked with plain requests."""

    base: str

    def post(self, body, path="/v1/models/tiny:predict", **kwargs):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(self.base + path, data=data, timeout=30, **kwargs)

    def get(self, path, **kwargs):
        return requests.get(self.base + path, timeout=30, **kwargs)

    def error(self, body, status=400, **kwargs):
        """Posts what must be refused; returns the error's text."""
        answer = self.post(body, **kwargs)
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error"}
        assert "Traceback" not in answer.text
        return answer.json()["error"]


@contextlib.contextmanager
def scripted(*answers):
    """A server that gives `(status, headers, body)` in turn, then the last again.

    Yields its URL and the list of request paths it saw.
    """
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(self.path)
            status, headers, body = answers[min(len(seen), len(answers)) - 1]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" in headers:
                self.close_connection = True  # one that lies hangs up
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def constant_servable(name="tiny", version=1, size=64, lung=0.0, wait=None):
    """A servable that needs no network: constant maps, and a pause if asked."""
    from covseg_tf.serving import Servable
    from covseg_tf.serving.repository.bundle_servable import (
        _percentages,
        _signatures,
        _to_png,
    )

    class Constant(Servable):
        def _run(self, signature_name, inputs):
            if wait is not None:
                wait()
            count = len(next(iter(inputs.values())))
            maps = np.full((count, size, size), lung, np.float32)
            outputs = _percentages(maps, maps, 0.5)
            for flow in ("lung", "infection"):
                if signature_name == "encoded_image_to_png":
                    outputs[f"{flow}_png_bytes"] = _to_png(maps)
                else:
                    outputs[flow] = maps[..., None]
            return outputs

    return Constant(name, version, _signatures(size, size))


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


def image(value=0.5, rows=64):
    return np.full((rows, 64, 1), value).tolist()


def encoded(*instances, **more):
    more = {"signature_name": "encoded_image_to_png"} | more
    return {"instances": list(instances), **more}


def wait_for(condition, seconds=10.0):
    """Asks again and again until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)


@contextlib.contextmanager
def raw_server(*parts, pause=0.0):
    """Answers each connection with the parts, a pause before each, then waits.

    Yields its URL and the list of requests' heads it saw.
    """
    listener, seen, ended = (
        socket.create_server(("127.0.0.1", 0)),
        [],
        threading.Event(),
    )

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection = listener.accept()[0]
                with connection, contextlib.suppress(OSError):
                    seen.append(connection.recv(65536))
                    for part in parts:
                        ended.wait(pause)
                        connection.sendall(part)
                    connection.settimeout(5)
                    connection.recv(1)  # until the other side hangs up

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def benchmark():
    """The load benchmark as a module."""
    return importlib.import_module("benchmarks.serving.__main__")
