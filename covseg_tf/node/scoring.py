"""The processes that score, and what happens when one ends."""

import concurrent.futures
import heapq
import logging
import multiprocessing
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

from covseg_tf.node import score_case as work
from covseg_tf.node.settings import NodeSettings
from covseg_tf.triage.record.row import TriageRow

_MOST_TRIES, _LONGEST_PAUSE = 3, 300.0
_TICK = 0.25
_log = logging.getLogger(__name__)


class Scoring:
    """Scores cases in processes of their own, each case alone in one.

    So one that brings down a decoder brings down nothing else, and it is known
    which it was.

    Args:
        settings: Jobs, models and store.
        is_done: Called with a case; what has its result is not scored again.
        on_row: Called with a case and its row.
    """

    def __init__(
        self,
        settings: NodeSettings,
        is_done: Callable[[str], bool],
        on_row: Callable[[str, TriageRow, float], None],
    ):
        self._settings, self._is_done, self._on_row = settings, is_done, on_row
        self._ready: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._tries: Counter[str] = Counter()
        # When a case may be scored, for those that wait; the last word counts.
        self._later: list[tuple[float, str]] = []
        self._when: dict[str, float] = {}
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._tick, daemon=True)]
        for _ in range(settings.jobs):
            self._threads.append(threading.Thread(target=self._run, daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many cases are not scored yet, without the one under way."""
        return self._ready.qsize() + len(self._when)

    def put(self, key: str, seconds: float = 0.0) -> None:
        """Scores a case, after a pause if one is given; a new pause counts anew."""
        if not seconds:
            self._ready.put(key)
            return
        with self._lock:
            self._when[key] = time.monotonic() + seconds
            heapq.heappush(self._later, (self._when[key], key))

    def close(self) -> None:
        """Ends after the cases under way."""
        self._stopped.set()
        for _ in range(self._settings.jobs):
            self._ready.put(None)
        for thread in self._threads:
            thread.join()

    def _tick(self):
        while not self._stopped.wait(_TICK):
            with self._lock:
                while self._later and self._later[0][0] <= time.monotonic():
                    at, key = heapq.heappop(self._later)
                    if self._when.get(key) == at:
                        del self._when[key]
                        self._ready.put(key)

    def _run(self):
        pool = self._pool()
        while (key := self._ready.get()) is not None and not self._stopped.is_set():
            try:
                if not self._is_done(key):
                    self._one(pool, key)
            except BrokenProcessPool:
                pool.shutdown(wait=False)
                pool = self._pool()
                self._ended(key)
            except Exception as error:  # a full disk, for one: nothing of it is lost
                if not isinstance(error, OSError):
                    _log.exception("%s", key)
                self._again(key, error)
        pool.shutdown()

    def _one(self, pool, key):
        start = time.perf_counter()
        is_last = self._tries[key] + 1 >= _MOST_TRIES
        row = pool.submit(work.score_case, key, is_last).result()
        if row is None:
            self._again(key, "could not be read now")
            return
        del self._tries[key]
        self._on_row(key, row, time.perf_counter() - start)

    def _ended(self, key):
        """The process that scored a case has ended in it."""
        self._tries[key] += 1
        if self._tries[key] < _MOST_TRIES:
            self._ready.put(key)
            return
        reason = "reading or scoring it ended the process, three times."
        row = work.fail_case(self._settings, key, reason)
        self._on_row(key, row, 0.0)

    def _again(self, key, reason):
        self._tries[key] += 1
        pause = min(2.0 ** min(self._tries[key], 20), _LONGEST_PAUSE)
        _log.warning("%s: %s; again in %g s", key, reason, pause)
        self.put(key, pause)

    def _pool(self):
        pool = concurrent.futures.ProcessPoolExecutor(
            1,
            multiprocessing.get_context("spawn"),
            work.start_worker,
            (self._settings,),
        )
        pool.submit(int)  # starts the process now: the first film need not wait for it
        return pool
