"""What a node is told: who may send, what it takes, where results go."""

import dataclasses
import re
import urllib.parse

from covseg_tf.options import argument, option

_TITLE = re.compile(r"[^\\\x00-\x1f\x7f-\uffff]{1,16}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_DICOM = re.compile(r"(?P<title>[^@]+)@(?P<host>[^@\s]+):(?P<port>\d{1,5})")


@dataclasses.dataclass(frozen=True)
class Destination:
    """Where results are sent.

    Attributes:
        name: What files and figures call it; letters, digits, `_` and `-`.
        title: Its AE title; empty for STOW-RS.
        host: Its address, of C-STORE.
        port: Its port, of C-STORE.
        url: Base of its DICOMweb, for example `https://pacs/dicom-web`, or empty.
    """

    name: str
    title: str = ""
    host: str = ""
    port: int = 0
    url: str = ""

    @classmethod
    def parse(cls, text: str) -> "Destination":
        """Reads `NAME=TITLE@HOST:PORT` or `NAME=https://HOST/PATH`.

        Args:
            text: What was typed.

        Raises:
            ValueError: If it is neither.
        """
        name, _, place = text.partition("=")
        if _NAME.fullmatch(name):
            if urllib.parse.urlsplit(place).scheme in ("http", "https"):
                return cls(name, url=place.rstrip("/"))
            found = _DICOM.fullmatch(place)
            if found and _is_title(found["title"]) and 0 < int(found["port"]) < 65536:
                return cls(name, found["title"], found["host"], int(found["port"]))
        raise ValueError(
            "a destination is NAME=TITLE@HOST:PORT or NAME=https://HOST/PATH, for "
            f"example pacs=ORTHANC@127.0.0.1:4242. Received: {text}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """What `covseg node` is told; its command line is made of it.

    Attributes:
        store: Folder of the films and results.
        destinations: Where results go.
        callers: AE titles that may send; empty for all.
        title: The node's own AE title, at most 16 characters.
        host: Address that it listens at.
        port: Port of DICOM; 0 takes a free one.
        page_port: Port of worklist and figures, on 127.0.0.1; `None` for none.
        model: What scores films, a bundle or its name.
        ct_model: What scores CT, likewise.
        jobs: Processes that score.
        quiet_seconds: After so long without a new slice a CT series is scored.
        keep_hours: After so long what is scored and sent is removed; 0 keeps all.
        watch: A folder that films are taken from, too, or `None`.
        max_associations: Callers at once.
        max_pdu: Bytes of a PDU.
        max_object_bytes: Bytes of an object; a larger one ends its association.
        keep_free_bytes: With less free on the disk, films are refused (0xA700).
        tls_cert: Certificate (PEM); with it all associations are by TLS.
        tls_key: Its key.
        tls_ca: Callers must show a certificate of this authority, if given.
    """

    store: str = argument("folder of films and results; what it holds is gone on with")
    destinations: tuple[Destination, ...] = option(
        "where results go; may be given again: TITLE@HOST:PORT, or https://... for "
        "DICOMweb",
        (),
        flag="--to",
        type=Destination.parse,
        nargs=None,
        metavar="NAME=PLACE",
    )
    callers: tuple[str, ...] = option(
        "AE titles that may send (default: all)", (), metavar="TITLE"
    )
    title: str = option("AE title of this node", "COVSEG")
    host: str = option("address to listen at", "127.0.0.1")
    port: int = option("of DICOM", 11112)
    page_port: int | None = option("of worklist and /metrics, on 127.0.0.1", 8765)
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

    def __post_init__(self):
        for title in (self.title, *self.callers):
            if not _is_title(title):
                raise ValueError(
                    f"an AE title has 1 to 16 ASCII characters. Received: {title!r}"
                )
        names = [each.name for each in self.destinations]
        if len(names) != len(set(names)):
            raise ValueError(f"two destinations have one name. Received: {names}")
        least = {
            **{"jobs": 1, "max_associations": 1, "max_pdu": 4096},
            **{"max_object_bytes": 1, "keep_free_bytes": 0},
            **{"quiet_seconds": 0, "keep_hours": 0},
        }
        for name, low in least.items():
            if not getattr(self, name) >= low:
                raise ValueError(
                    f"`{name}` must be at least {low}. Received: {getattr(self, name)}"
                )
        if bool(self.tls_cert) != bool(self.tls_key) or (
            self.tls_ca and not self.tls_cert
        ):
            raise ValueError("TLS takes a certificate and its key, both.")


def _is_title(text):
    return bool(_TITLE.fullmatch(text)) and text.strip() == text
