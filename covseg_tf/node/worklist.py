"""The rows of a node as the report that `covseg triage` writes."""

import hashlib
import threading

from covseg_tf import __version__
from covseg_tf.edge.bundle import load_bundle
from covseg_tf.node.store import Store
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.record.worklist import RunFacts, urgency
from covseg_tf.triage.report.html import REPORT, write_report
from covseg_tf.triage.scorer import utc_now

_MOST_CARDS = 100


class Worklist:
    """Holds the rows, and writes `results/report.html` when it is asked for.

    Args:
        store: Where the pictures are.
        model: Name of the bundle that scores films.
    """

    def __init__(self, store: Store, model: str):
        self._store, self._bundle = store, load_bundle(model)
        self._rows: dict[str, TriageRow] = {}
        self._lock, self._is_written = threading.Lock(), False
        self._facts = RunFacts(
            model=self._bundle.name,
            model_sha256=hashlib.sha256(self._bundle.model).hexdigest(),
            modality=self._bundle.modality,
            threshold=self._bundle.threshold,
            covseg_version=__version__,
            started=utc_now(),
        )

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, key: str, row: TriageRow | None) -> None:
        """Adds or changes the row of a case; `None` takes it away."""
        with self._lock:
            self._is_written = False
            if row is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = row

    def render(self) -> tuple[str, bytes]:
        """Returns the page's type and bytes, unscored films first."""
        with self._lock:
            rows = sorted(self._rows.values(), key=urgency)
            if not rows:
                return "text/plain; charset=utf-8", b"No film has come yet.\n"
            if not self._is_written:
                out = self._store.results
                write_report(out, rows, self._facts, self._bundle, _MOST_CARDS)
                self._is_written = True
            return "text/html; charset=utf-8", (
                self._store.results / REPORT
            ).read_bytes()
