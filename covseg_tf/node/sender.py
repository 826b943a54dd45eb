"""Brings results to one destination, however long it is away."""

import heapq
import logging
import pathlib
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence

from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt

from covseg_tf.node.quick_socket import quicken
from covseg_tf.node.settings import Destination

_CLASSES = (SegmentationStorage, SecondaryCaptureImageStorage, ComprehensiveSRStorage)
_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
# An association is kept so long for what comes next.
_LINGER = 2.0
_TIMEOUT = 30
_log = logging.getLogger(__name__)


class NotSent(Exception):
    """A destination does not have an object; the message says why."""


class Sender:
    """A queue of cases and the thread that sends them.

    What is tried in vain is tried again after 1, 2, 4, ... 300 seconds. The queue
    itself is not kept: the store knows what was sent.

    Args:
        destination: Where to.
        title: AE title of this side.
        files: Called with a case for the files to be sent, and their version.
        on_sent: Called with a case and version once the destination has all of them.
    """

    def __init__(
        self,
        destination: Destination,
        title: str,
        files: Callable[[str], tuple[Sequence[pathlib.Path], str]],
        on_sent: Callable[[str, str], None],
    ):
        self.destination = destination
        self._title, self._files, self._on_sent = title, files, on_sent
        self._due: list[tuple[float, str]] = []
        self._tries: dict[str, int] = {}
        self._fresh = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many cases it does not have yet."""
        return len(self._tries)

    def put(self, key: str) -> None:
        """Sends a case as soon as it can be."""
        with self._fresh:
            if key not in self._tries:
                self._tries[key] = 0
                heapq.heappush(self._due, (0.0, key))
                self._fresh.notify()

    def close(self) -> None:
        """Ends after the object that is under way."""
        with self._fresh:
            self._stopped = True
            self._fresh.notify()
        self._thread.join(_TIMEOUT)

    def _run(self):
        link = _Stow if self.destination.url else _Association
        while (key := self._next(None)) is not None:
            try:
                with link(self.destination, self._title) as send:
                    while key is not None:
                        self._send(key, send)
                        key = self._next(_LINGER)
            except Exception as error:  # whatever a network or a peer comes up with
                if not isinstance(error, (NotSent, OSError)):
                    _log.exception("%s", self.destination.name)
                self._again(key, error)

    def _send(self, key, send):
        refused = None
        paths, version = self._files(key)
        for path in paths:
            try:
                send(path)
            except _Refused as error:  # the peer is there, and will not have it
                refused = error
        if refused:
            self._again(key, refused)
            return
        self._on_sent(key, version)
        with self._fresh:
            self._tries.pop(key, None)
        if self._files(key)[1] != version:  # scored anew while it was under way
            self.put(key)

    def _again(self, key, error):
        with self._fresh:
            tries = self._tries[key] = self._tries.get(key, 0) + 1
            pause = min(_FIRST_PAUSE * 2 ** min(tries - 1, 20), _LONGEST_PAUSE)
            heapq.heappush(self._due, (time.monotonic() + pause, key))
            if not isinstance(error, _Refused):
                # It is away: nobody else needs to find that out before.
                wait_until = time.monotonic() + pause
                self._due = [(max(at, wait_until), k) for at, k in self._due]
                heapq.heapify(self._due)
        _log.warning(
            "%s: %s; again in %g s", self.destination.name, error, round(pause)
        )

    def _next(self, patience):
        """The next case that is due, `None` if there is none for so long."""
        end = None if patience is None else time.monotonic() + patience
        with self._fresh:
            while not self._stopped:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    return heapq.heappop(self._due)[1]
                if end is not None and now >= end:
                    return None
                waits = [
                    at - now for at in (end, *(at for at, _ in self._due[:1])) if at
                ]
                self._fresh.wait(min(waits) if waits else None)
        return None


class _Refused(NotSent):
    """The peer answered, but does not take this object."""


class _Association:
    """Sends by C-STORE."""

    def __init__(self, destination, title):
        ae = AE(title)
        ae.acse_timeout, ae.dimse_timeout, ae.network_timeout = 15, _TIMEOUT, 60
        ae.connection_timeout = 15
        for sop_class in _CLASSES:
            for syntax in _SYNTAXES:
                ae.add_requested_context(sop_class, syntax)
        self._ae, self._to = ae, destination

    def __enter__(self):
        self._link = self._ae.associate(
            self._to.host,
            self._to.port,
            ae_title=self._to.title,
            evt_handlers=[(evt.EVT_CONN_OPEN, quicken)],
        )
        if not self._link.is_established:
            raise NotSent("no association")
        return self._store

    def __exit__(self, *exception):
        if self._link.is_established:
            self._link.release()

    def _store(self, path):
        if not self._link.is_established:
            raise NotSent("the association has ended")
        try:
            answer = self._link.send_c_store(path)
        except ValueError as error:  # no context for it was accepted
            raise _Refused(f"{path.name}: {error}") from None
        if "Status" not in answer:
            raise NotSent("no answer")
        status = int(answer.Status)
        if status != 0 and status >> 12 != 0xB:
            raise _Refused(f"{path.name}: status 0x{status:04X}")


class _Stow:
    """Sends by DICOMweb STOW-RS, one object a request."""

    def __init__(self, destination, title):
        self._url = f"{destination.url}/studies"

    def __enter__(self):
        return self._store

    def __exit__(self, *exception):
        pass

    def _store(self, path):
        mark = uuid.uuid4().hex
        part = f"--{mark}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        request = urllib.request.Request(
            self._url,
            part + path.read_bytes() + f"\r\n--{mark}--\r\n".encode(),
            {
                "Content-Type": "multipart/related; "
                f'type="application/dicom"; boundary={mark}',
                "Accept": "application/dicom+json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            raise _Refused(f"{path.name}: HTTP {error.code}") from None
