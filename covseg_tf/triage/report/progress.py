"""A progress bar for a terminal."""

import time
from typing import TextIO

_WIDTH = 24
_SECONDS_BETWEEN_DRAWINGS = 0.1
# Shorter lists are done before a bar is read.
_FEWEST = 10


class Progress:
    """Draws how far a run is and how long it will still take, on one line.

    Silent where the stream is no terminal. The estimate is of this run's own pace,
    without what an earlier run had done.

    Args:
        stream: Where to draw, standard error as a rule.
        quiet: Stay silent on a terminal too.

    Call arguments:
        done: Images that are done.
        total: Images in all.
    """

    def __init__(self, stream: TextIO, quiet: bool = False):
        self._stream = stream
        self._start: tuple[float, int] | None = None
        self._drawn = 0.0
        self._live = stream.isatty() and not quiet

    def __call__(self, done: int, total: int) -> None:
        """Draws the bar anew, at most ten times a second."""
        if not self._live or total < _FEWEST:
            return
        now = time.monotonic()
        if self._start is None:
            self._start = (now, done - 1)
        if now - self._drawn < _SECONDS_BETWEEN_DRAWINGS and done < total:
            return
        self._drawn = now
        seconds = (now - self._start[0]) / (done - self._start[1]) * (total - done)
        filled = _WIDTH * done // total
        bar = "#" * filled + "." * (_WIDTH - filled)
        text = f"[{bar}] {done}/{total}  {_left(seconds)}"
        self._stream.write(f"\r{text:<70}")
        self._stream.flush()

    def close(self) -> None:
        """Wipes the bar."""
        if self._drawn:
            self._stream.write("\r" + " " * 70 + "\r")
            self._stream.flush()


def _left(seconds):
    if seconds < 60:
        return f"about {max(1, round(seconds))} s left" if seconds > 0.5 else ""
    if seconds < 3600:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"
