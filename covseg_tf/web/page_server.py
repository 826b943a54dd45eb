"""The server of `covseg web`: a few files, to this machine only."""

import http.server
import sys
import threading
import urllib.parse

PREFIX = "/covseg/"
HOST = "127.0.0.1"
# The page's own policy, and that nobody may frame it.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
    "form-action 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY + "; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # The service worker keeps the files; the server may change model at any start.
    "Cache-Control": "no-cache",
}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tflite": "application/octet-stream",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}


class PageServer:
    """Serves a site on 127.0.0.1, at `/covseg/`.

    The path keeps the page's service worker from other programs that use the
    same port later. Use it as a context manager to serve from a thread, or call
    `run`.

    Args:
        files: From `build_site`; nothing else is served.
        port: Port; 0 takes a free one. Defaults to 8760.

    Attributes:
        url: Where the page is.

    Raises:
        ValueError: If the port is out of range or taken.

    Example:

    >>> import urllib.request
    >>> from covseg_tf.web import PageServer
    >>> with PageServer({"index.html": b"<p>hello"}, port=0) as server:
    ...     urllib.request.urlopen(server.url).read()
    b'<p>hello'
    """

    def __init__(self, files: dict[str, bytes], port: int = 8760):
        if not 0 <= port <= 65535:
            raise ValueError(f"`port` must be in [0, 65535]. Received: {port}")
        try:
            self._server = _Server((HOST, port), _Handler)
        except OSError as error:
            raise ValueError(
                f"port {port} of {HOST} cannot be used ({error.strerror}); give "
                "another."
            ) from None
        bound = self._server.server_address[1]
        self._server.files = files
        self._server.hosts = (f"{HOST}:{bound}", f"localhost:{bound}")
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://{HOST}:{bound}{PREFIX}"

    def run(self) -> None:
        """Serves until `KeyboardInterrupt`, which is passed on."""
        try:
            self._server.serve_forever()
        finally:
            self._server.server_close()

    def __enter__(self) -> "PageServer":
        self._thread.start()
        return self

    def __exit__(self, *exception) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    files: dict[str, bytes]
    hosts: tuple[str, ...]

    def handle_error(self, request, client_address):
        # A browser that closes a connection is no news for the terminal.
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    server_version = "covseg"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self):
        # Another site's name that was made to point here must get nothing.
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            self._answer(421, b"This server answers to 127.0.0.1 only.\n")
            return
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if path in ("/", PREFIX.rstrip("/")):
            self._answer(302, b"", {"Location": PREFIX})
            return
        name = path.removeprefix(PREFIX) or "index.html"
        data = self.server.files.get(name) if path.startswith(PREFIX) else None
        if data is None:
            self._answer(404, b"There is no such file.\n")
            return
        self._answer(200, data, {"Content-Type": _type_of(name)})

    do_HEAD = do_GET

    def _answer(self, status, body, headers=None):
        headers = {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}
        self.send_response(status)
        for name, value in (_HEADERS | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments):
        """Keeps the terminal to what the user needs."""


def _type_of(name):
    dot = name.rfind(".")
    suffix = name[dot:] if dot > name.rfind("/") else ""
    return _TYPES.get(suffix, "text/plain; charset=utf-8")
