"""The node: films come in, results go out, and what is between survives."""

import contextlib
import pathlib
import threading

from covseg_tf.node.association import StorageProvider
from covseg_tf.node.figures import Figures
from covseg_tf.node.page import Page
from covseg_tf.node.scoring import Scoring
from covseg_tf.node.sender import Sender
from covseg_tf.node.settings import NodeSettings
from covseg_tf.node.store import Store
from covseg_tf.node.watch import Watch
from covseg_tf.node.worklist import Worklist
from covseg_tf.triage.record.output import lock_output

_SECONDS_BETWEEN_PURGES = 60.0


class Node:
    """A DICOM application entity that scores what it is sent.

    Use it as a context manager: inside it films are taken, scored and sent; at its
    end it stops after the films under way. What was acknowledged is gone on with by
    the next node with the same store, also after a kill.

    Args:
        settings: What it is told.

    Attributes:
        port: Its DICOM port.
        url: Address of its worklist, or `None`; the figures are at `metrics` there.

    Raises:
        ValueError: If the store is in use, a port or a model cannot be used.
        OSError: If the store cannot be written.

    Example:

    >>> import tempfile
    >>> from covseg_tf.node import Node, NodeSettings
    >>> store = tempfile.mkdtemp()
    >>> with Node(NodeSettings(store=store, port=0, page_port=None)) as node:
    ...     node.port > 0
    True
    """

    def __init__(self, settings: NodeSettings):
        self._settings = settings
        self._exit = contextlib.ExitStack()
        self._stopped = threading.Event()
        self.port, self.url = 0, None

    def __enter__(self) -> "Node":
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *exception) -> None:
        self._stopped.set()
        self._exit.close()

    def _start(self, stack):
        settings = self._settings
        stack.enter_context(lock_output(pathlib.Path(settings.store)))
        self._store = store = Store(settings.store)
        store.clear_incoming()
        self._list = Worklist(store, settings.model)
        self._senders = {
            each.name: Sender(each, settings.title, self._made, self._marker(each.name))
            for each in settings.destinations
        }
        for sender in self._senders.values():
            stack.callback(sender.close)
        self._scoring = Scoring(settings, self._is_done, self._on_row)
        stack.callback(self._scoring.close)
        self._figures = Figures(
            lambda: self._scoring.waiting,
            {name: (lambda s=s: s.waiting) for name, s in self._senders.items()},
        )
        self._go_on()
        self._open(stack)
        if settings.keep_hours:
            threading.Thread(target=self._purge, daemon=True).start()

    def _open(self, stack):
        settings = self._settings
        if settings.page_port is not None:
            pages = {"/": self._list.render, "/metrics": self._figures.render}
            page = Page(pages, settings.page_port)
            self.url = page.url
            stack.callback(page.close)
        count = self._figures.count_object
        provider = StorageProvider(settings, self._store, self._on_case, count)
        stack.callback(provider.close)
        self.port = provider.port
        if settings.watch:
            watch = Watch(pathlib.Path(settings.watch), provider.take)
            stack.callback(watch.close)

    def _go_on(self):
        """Takes up what lies in the store, wherever each case was left."""
        for key in self._store.all_keys():
            row = self._store.row(key)
            sent = all(self._store.is_sent(key, name) for name in self._senders)
            if row is None or not (sent or self._store.is_whole(key, row)):
                self._store.start(key)
                self._on_case(key)
            else:
                self._hand_out(key, row)

    def _on_case(self, key):
        seconds = self._settings.quiet_seconds if key.startswith("ct-") else 0.0
        self._scoring.put(key, seconds)

    def _is_done(self, key):
        return self._store.row(key) is not None

    def _on_row(self, key, row, seconds):
        self._figures.count_case(row, seconds)
        self._hand_out(key, row)

    def _hand_out(self, key, row):
        self._list.put(key, row)
        for name, sender in self._senders.items():
            if not self._store.is_sent(key, name):
                sender.put(key)

    def _made(self, key):
        version, row = self._store.version(key), self._store.row(key)
        return ([] if row is None else self._store.made(key, row)), version

    def _marker(self, name):
        return lambda key, version: self._store.mark_sent(key, name, version)

    def _purge(self):
        while not self._stopped.wait(_SECONDS_BETWEEN_PURGES):
            for key in self._store.all_keys():
                self._purge_case(key)

    def _purge_case(self, key):
        store = self._store
        sent = all(store.is_sent(key, name) for name in self._senders)
        if not sent or store.row(key) is None:
            return
        if store.age_hours(key) >= self._settings.keep_hours:
            with contextlib.suppress(OSError):  # a slice came meanwhile
                store.remove(key)
            self._list.put(key, None)
