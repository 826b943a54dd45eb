"""What Prometheus reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ServerMetrics:
    """Counts, latencies and load of one server, in a registry of its own.

    Args:
        in_flight: Function that returns the number of requests being served.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, in_flight):
        self._registry = CollectorRegistry()
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
        gauge = Gauge(
            "covseg_requests_in_flight",
            "Predictions that compute or wait.",
            registry=self._registry,
        )
        gauge.set_function(in_flight)

    def observe(
        self, model: str, method: str, transport: str, status: str, seconds: float
    ) -> None:
        """Counts one request.

        Args:
            model: Name of a served model; anything else must be `"unknown"`,
                or callers could make up labels without end.
            method: For example `"predict"`.
            transport: `"rest"` or `"grpc"`.
            status: Name of the canonical code, `"OK"` for success.
            seconds: How long it took.
        """
        self._requests.labels(model, method, transport, status).inc()
        self._seconds.labels(model, method, transport).observe(seconds)

    def render(self) -> bytes:
        """Returns the page for Prometheus."""
        return generate_latest(self._registry)
