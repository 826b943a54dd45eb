"""Films from a folder, for machines that only write to a share."""

import logging
import os
import pathlib
import threading
from collections.abc import Callable

from covseg_tf.imaging.regular_file import read_file

_SECONDS_BETWEEN_LOOKS = 2.0
_log = logging.getLogger(__name__)


class Watch:
    """Looks into a folder for DICOM files; what is there stays as it is.

    A file is taken once its size and time have not changed between two looks. What
    the store holds already is known by its SOP Instance UID, so that after a start
    nothing is scored twice.

    Args:
        folder: The folder; links are not followed.
        take: Called with the bytes of each file; raises `ValueError` with a reason
            for what is none of ours, `OSError` for what is to be tried again.
    """

    def __init__(self, folder: pathlib.Path, take: Callable[[bytes], object]):
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder to watch.")
        self._folder, self._take = folder, take
        self._seen: dict[str, tuple[int, int]] = {}
        self._taken: dict[str, tuple[int, int]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends after the file under way."""
        self._stopped.set()
        self._thread.join()

    def _run(self):
        while not self._stopped.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                self._look()
            except OSError as error:  # a share that is away for a while
                _log.warning("%s: %s", self._folder, error)

    def _look(self):
        seen = {}
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                seen[path] = (status.st_size, status.st_mtime_ns)
        for path, state in seen.items():
            if self._seen.get(path) == state and self._taken.get(path) != state:
                self._one(path, state)
            if self._stopped.is_set():
                return
        self._seen = seen
        self._taken = {path: at for path, at in self._taken.items() if path in seen}

    def _one(self, path, state):
        try:
            self._take(read_file(pathlib.Path(path)))
        except ValueError as error:
            _log.warning("%s: left alone (%s)", path, error)
        except OSError as error:
            _log.warning("%s: again later (%s)", path, error)
            return
        self._taken[path] = state
