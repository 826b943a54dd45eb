"""Tries again what may do later."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from covseg_tf.serving.errors import Unavailable

_FIRST, _LONGEST = 0.1, 5.0
Result = TypeVar("Result")


def with_retries(
    call: Callable[[], Result],
    retries: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Calls until it does not raise `Unavailable`.

    The pause doubles from 0.1 s up to 5 s, with up to half of it taken off at
    random so that clients do not return in step; a pause that the server asks
    for is kept, up to 5 s.

    Args:
        call: What to do. It must be safe to do twice.
        retries: How many times more than once, at most.
        sleep: How to wait.

    Returns:
        What the call gives.

    Raises:
        ServingError: The last `Unavailable`, or any other at once.
    """
    for attempt in range(retries + 1):
        try:
            return call()
        except Unavailable as error:
            if attempt == retries:
                raise
            pause = min(_FIRST * 2**attempt, _LONGEST) * random.uniform(0.5, 1.0)
            sleep(max(pause, min(error.retry_after or 0.0, _LONGEST)))
    raise AssertionError("unreachable")
