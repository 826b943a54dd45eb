"""A time after which a reader is no longer waited for."""

import threading
from collections.abc import Callable
from typing import Any

from covseg_tf.imaging.passing_error import PassingError


def within(seconds: float, work: Callable[[], Any]) -> Any:
    """Returns what `work` gives, if it gives it in time.

    What does not end goes on in a thread of its own, which ends with the process:
    a decoder cannot be stopped from outside.

    Args:
        seconds: How long it is waited for.
        work: Called without arguments.

    Raises:
        PassingError: If it took longer.
        BaseException: Whatever `work` raises.
    """
    results: list[Any] = []
    errors: list[BaseException] = []

    def run():
        try:
            results.append(work())
        except BaseException as error:  # handed on to who waits
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise PassingError(f"was not read within {seconds:g} seconds.")
    return results[0]
