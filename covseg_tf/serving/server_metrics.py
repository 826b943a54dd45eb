"""What Prometheus reads, counted in one place for both transports."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from covseg_tf.serving.errors import ServingError

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_log = logging.getLogger(__name__)


class ServerMetrics:
    """Counts, latencies and load of one server, in a registry of its own.

    Args:
        in_flight: Function that returns the number of predictions being served.
        names: Names of the served models; callers could make up others without
            end, so that those are counted as `unknown`.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, in_flight: Callable[[], int], names: tuple[str, ...]):
        self._names, self._registry = names, CollectorRegistry()
        self._requests = Counter(
            "covseg_requests",
            "Requests by model, method, transport and status code.",
            ("model", "method", "transport", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "covseg_request_seconds",
            "Seconds from the request's first byte to its answer.",
            ("model", "method", "transport"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        Gauge(
            "covseg_requests_in_flight",
            "Predictions that compute or wait.",
            registry=self._registry,
        ).set_function(in_flight)

    @contextlib.contextmanager
    def observed(self, transport: str, method: str = "malformed") -> Iterator[dict]:
        """Counts the request that is answered inside, over `"rest"` or `"grpc"`.

        Yields:
            A dict, for its `model` and `method` once they are known.

        Raises:
            ServingError: Whatever failed; what was no `ServingError` is logged and
                told without its words.
        """
        start, code, call = time.perf_counter(), "OK", {"method": method}
        try:
            yield call
        except ServingError as error:
            code = error.code
            raise
        except Exception:
            _log.exception("a request failed")
            code, text = "INTERNAL", "The server failed; its log says why."
            raise ServingError(text, code) from None
        finally:
            name = call.get("model")
            name = name if name in self._names else "unknown"
            labels = name, call["method"], transport
            self._requests.labels(*labels, code).inc()
            self._seconds.labels(*labels).observe(time.perf_counter() - start)

    def render(self) -> bytes:
        """Returns the page for Prometheus."""
        return generate_latest(self._registry)
