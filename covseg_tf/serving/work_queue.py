"""A bounded queue in front of a few threads."""

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator

from covseg_tf.serving.errors import Unavailable


class WorkQueue:
    """Lets `workers` requests compute and `waiting` more wait; refuses the rest.

    A request takes its slot before its body is read, so that the slots bound
    the memory that bodies take.

    Args:
        workers: Int >= 1, number of threads.
        waiting: Int >= 0, requests that may hold a slot besides.
    """

    def __init__(self, workers: int, waiting: int):
        self._slots = workers + waiting
        self._taken = 0
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

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Holds a slot.

        Raises:
            Unavailable: If all are taken.
        """
        with self._lock:
            if self.is_full:
                error = Unavailable(
                    f"The server is busy: {self._taken} requests wait. Try again later."
                )
                error.retry_after = 1.0
                raise error
            self._taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1

    def submit(self, function: Callable, *arguments) -> concurrent.futures.Future:
        """Runs a function in one of the threads.

        Args:
            function: What to run.
            *arguments: Its arguments.

        Returns:
            Its future.
        """
        return self._pool.submit(function, *arguments)

    def close(self) -> None:
        """Lets the running work end and drops what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)
