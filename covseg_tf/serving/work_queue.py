"""A bounded queue in front of a few threads."""

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from covseg_tf.serving.errors import DeadlineExceeded, Unavailable

_current = threading.local()
Item = TypeVar("Item")


class WorkQueue:
    """Lets `workers` requests compute and `waiting` more wait; refuses the rest.

    A slot is held until the work ends, also where its caller has given up: a
    thread cannot be stopped, so what it computes keeps its place and its memory
    until it asks `while_wanted`.

    Attributes:
        taken: Number of slots in use.
    """

    def __init__(self, workers: int, waiting: int):
        self._workers, self._slots = workers, workers + waiting
        self.taken = self._orphans = 0
        self._lock = threading.Lock()
        self._pool = concurrent.futures.ThreadPoolExecutor(workers, "covseg-predict")

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        return self.taken >= self._slots

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
        with self._lock:
            if self.is_full:
                error = Unavailable(
                    f"The server is busy: {self.taken} requests wait. Try again later."
                )
                error.retry_after = 1.0
                raise error
            self.taken += 1
        work, gone = None, threading.Event()

        def run(function, *arguments):
            _current.gone = gone
            return function(*arguments)

        def submit(*function_and_arguments):
            nonlocal work
            work = self._pool.submit(run, *function_and_arguments)
            return work

        try:
            yield submit
        finally:
            if work is None or work.done():
                self._count(-1, 0)
            else:
                gone.set()
                self._count(0, 1)
                work.add_done_callback(lambda _: self._count(-1, -1))

    def _count(self, taken, orphans):
        with self._lock:
            self.taken += taken
            self._orphans += orphans

    def close(self) -> None:
        """Lets the running work end and drops what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def while_wanted(items: Iterable[Item]) -> Iterator[Item]:
    """Yields items as long as the caller waits whose work this thread does.

    Raises:
        DeadlineExceeded: If that caller has given up; nobody is told.
    """
    for item in items:
        gone = getattr(_current, "gone", None)
        if gone is not None and gone.is_set():
            raise DeadlineExceeded("The caller has given up.")
        yield item
