"""What Prometheus reads of a node."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from covseg_tf.triage.record.row import TriageRow

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Figures:
    """Counts of one node, in a registry of its own.

    Args:
        waiting: What gives the number of cases that wait to be scored.
        unsent: By destination, what gives the number of cases it does not have.
    """

    def __init__(
        self, waiting: Callable[[], int], unsent: Mapping[str, Callable[[], int]]
    ):
        self._registry = CollectorRegistry()
        self._objects = Counter(
            "covseg_node_objects",
            "C-STORE requests: new, again, own, refused, full.",
            ("outcome",),
            registry=self._registry,
        )
        self._cases = Counter(
            "covseg_node_cases",
            "Films and series with a result: scored, flagged, unread.",
            ("outcome",),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "covseg_node_case_seconds",
            "Seconds to score one and to write its objects.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        Gauge(
            "covseg_node_cases_waiting",
            "Films and series that wait to be scored.",
            registry=self._registry,
        ).set_function(waiting)
        gauge = Gauge(
            "covseg_node_cases_unsent",
            "Results that a destination does not have yet.",
            ("destination",),
            registry=self._registry,
        )
        for name, count in unsent.items():
            gauge.labels(name).set_function(count)

    def count_object(self, outcome: str) -> None:
        """Counts a C-STORE request."""
        self._objects.labels(outcome).inc()

    def count_case(self, row: TriageRow, seconds: float) -> None:
        """Counts a result."""
        outcome = "unread" if row.error else "scored" if row.is_scored else "flagged"
        self._cases.labels(outcome).inc()
        self._seconds.observe(seconds)

    def render(self) -> tuple[str, bytes]:
        """Returns the page's type and bytes."""
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)
