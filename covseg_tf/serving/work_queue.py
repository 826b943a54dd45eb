"""A bounded queue in front of a few threads."""

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator

from covseg_tf.serving.errors import Unavailable


class WorkQueue:
    """Lets `workers` requests compute and `waiting` more wait; refuses the rest.

    A slot is held until the work ends, also where its caller has given up: a
    thread cannot be stopped, so what it computes keeps its place and its memory.

    Args:
        workers: Int >= 1, number of threads.
        waiting: Int >= 0, requests that may hold a slot besides.
    """

    def __init__(self, workers: int, waiting: int):
        self._slots = workers + waiting
        self._taken = 0
        self._orphans = 0
        self._workers = workers
        self._lock = threading.Lock()
        self._pool = concurrent.futures.ThreadPoolExecutor(
            workers, thread_name_prefix="covseg-predict"
        )

    @property
    def taken(self) -> int:
        """Number of slots in use."""
        return self._taken

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        return self._taken >= self._slots

    @property
    def is_stuck(self) -> bool:
        """Whether every thread computes for a caller who has given up."""
        return self._orphans >= self._workers

    @contextlib.contextmanager
    def slot(self) -> Iterator[Callable[..., concurrent.futures.Future]]:
        """Holds a slot for one piece of work.

        Yields:
            A function that runs another in one of the threads, as
            `submit(function, *arguments)` of an executor does. The slot is free
            once that has ended, or was cancelled before it began.

        Raises:
            Unavailable: If all are taken.
        """
        self._take()
        work = None

        def submit(function, *arguments):
            nonlocal work
            work = self._pool.submit(function, *arguments)
            return work

        try:
            yield submit
        finally:
            if work is None or work.done():
                self._free()
            else:
                self._leave(work)

    def _take(self):
        with self._lock:
            if self.is_full:
                error = Unavailable(
                    f"The server is busy: {self._taken} requests wait. Try again later."
                )
                error.retry_after = 1.0
                raise error
            self._taken += 1

    def _free(self, orphans=0):
        with self._lock:
            self._taken -= 1
            self._orphans -= orphans

    def _leave(self, work):
        with self._lock:
            self._orphans += 1
        work.add_done_callback(lambda _: self._free(orphans=1))

    def close(self) -> None:
        """Lets the running work end and drops what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)
