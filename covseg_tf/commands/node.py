"""Take films by DICOM, score them, give results back, until a signal comes."""

import signal
import threading

from covseg_tf.node.settings import NodeSettings
from covseg_tf.options import command


def run(settings: NodeSettings) -> None:
    """Runs the node."""
    import logging

    from covseg_tf.node import Node

    # What peers do wrong is no news for the terminal; what stays unsent is.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    logging.basicConfig(format="%(asctime)s %(message)s")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Node(settings) as node:
        # A supervisor waits for this line.
        print(
            f"Node {settings.title} at {settings.host}:{node.port}, worklist at "
            f"{node.url}   (research use only, not a medical device)",
            flush=True,
        )
        ended.wait()


main = command("covseg node", __doc__, NodeSettings, run, needs="node")
