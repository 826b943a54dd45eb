"""Take films by DICOM, score them, give results back, until a signal comes."""

import dataclasses
import signal
import threading

from covseg_tf.options import argument, command, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    store: str = argument("folder of films and results; what it holds is gone on with")
    to: tuple[str, ...] = option(
        "where results go; may be given again: TITLE@HOST:PORT, or https://... for "
        "DICOMweb",
        (),
        nargs=None,
        metavar="NAME=PLACE",
    )
    callers: tuple[str, ...] = option(
        "AE titles that may send (default: all)", (), metavar="TITLE"
    )
    title: str = option("AE title of this node", "COVSEG")
    host: str = option("address to listen at", "127.0.0.1")
    port: int = option("of DICOM", 11112)
    page_port: int = option("of worklist and /metrics, on 127.0.0.1", 8765)
    model: str = option("for films", "xray", metavar="NAME|FILE")
    ct_model: str = option("for CT", "ct_small", metavar="NAME|FILE")
    jobs: int = option("processes that score", 1, metavar="N")
    quiet_seconds: float = option("without a new slice until CT is scored", 30.0)
    keep_hours: float = option("that what is done and sent is kept; 0: forever", 0.0)
    watch: str | None = option("take films from here, too", None, metavar="FOLDER")
    max_associations: int = option("callers at once", 20)
    max_pdu: int = option("bytes", 65536)
    max_object_bytes: int = option("the largest object", 256 * 2**20)
    keep_free_bytes: int = option("films are refused below so much free disk", 2**30)
    tls_cert: str | None = option("certificate; all by TLS then", None, metavar="PEM")
    tls_key: str | None = option("its key", None, metavar="PEM")
    tls_ca: str | None = option(
        "callers must show a certificate of it", None, metavar="PEM"
    )


def run(options: Options) -> None:
    """Runs the node."""
    import logging

    from covseg_tf.node import Destination, Node, NodeSettings

    # What peers do wrong is no news for the terminal; what stays unsent is.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    logging.basicConfig(format="%(asctime)s %(message)s")
    words = dataclasses.asdict(options)
    places = tuple(map(Destination.parse, words.pop("to")))
    settings = NodeSettings(destinations=places, **words)
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


main = command("covseg node", __doc__, Options, run, needs="node")
