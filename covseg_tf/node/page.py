"""The worklist and Prometheus' figures at a local address."""

import http.server
import threading
import urllib.parse
from collections.abc import Callable

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
HOST = "127.0.0.1"


class Page:
    """Serves a few pages, made when they are asked for, to this machine only.

    Args:
        pages: Dict from a path, such as `"/metrics"`, to what gives its type and
            bytes.
        port: Port on 127.0.0.1; 0 takes a free one.

    Attributes:
        url: Where it is.

    Raises:
        ValueError: If the port is taken.
    """

    def __init__(self, pages: dict[str, Callable[[], tuple[str, bytes]]], port: int):
        try:
            self._server = http.server.ThreadingHTTPServer((HOST, port), _Handler)
        except OSError as error:
            raise ValueError(
                f"port {port} of {HOST} cannot be used ({error.strerror}); give "
                "another --page-port."
            ) from None
        self._server.daemon_threads = True
        bound = self._server.server_address[1]
        self._server.pages = pages  # type: ignore[attr-defined]
        self._server.hosts = (  # type: ignore[attr-defined]
            f"{HOST}:{bound}",
            f"localhost:{bound}",
        )
        self.url = f"http://{HOST}:{bound}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Frees the port."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    server_version, sys_version = "covseg", ""
    timeout = 30

    def do_GET(self):
        # Another site's name that was made to point here must get nothing.
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            self._answer(421, "text/plain", b"This server answers to 127.0.0.1 only.\n")
            return
        make = self.server.pages.get(urllib.parse.urlsplit(self.path).path)
        if make is None:
            self._answer(404, "text/plain", b"There is no such page.\n")
            return
        self._answer(200, *make())

    def _answer(self, status, kind, body):
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in (_HEADERS | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keeps the terminal to what the user needs."""
