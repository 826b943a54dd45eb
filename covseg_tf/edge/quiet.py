"""Keeps a C library's announcements off the terminal."""

import contextlib
import os
import threading

_LOCK = threading.Lock()


@contextlib.contextmanager
def quiet_stderr():
    """Sends what is written to standard error meanwhile to nowhere.

    LiteRT announces its delegate at every start, past `sys.stderr`, and has no switch
    for it. Errors arrive as exceptions all the same.
    """
    with _LOCK:
        try:
            kept = os.dup(2)
        except OSError:  # closed, as some services are started
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
