"""Who may send, what is taken, and what is answered: the storage SCP."""

import logging
import shutil
import ssl
from collections.abc import Callable
from typing import Any

from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt

from covseg_tf.imaging.dicom.header import dicom_errors, parse_dicom, text_of
from covseg_tf.node.quick_socket import QuickSocket
from covseg_tf.node.settings import NodeSettings
from covseg_tf.node.store import Store, is_uid
from covseg_tf.triage.report.dicom.series import MAKER

SOP_CLASSES = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    CTImageStorage,
)
VERIFICATION = "1.2.840.10008.1.1"
# OpenCV reads 8-bit JPEG; of the packed ones below, what a plug-in is there for.
_ALWAYS = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian),
    *(DeflatedExplicitVRLittleEndian, RLELossless, JPEGBaseline8Bit),
)
_PACKED = (
    *(JPEGLosslessSV1, JPEGLossless, JPEGExtended12Bit, JPEGLSLossless),
    *(JPEGLSNearLossless, JPEG2000Lossless, JPEG2000),
    *(HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K),
)
SUCCESS, OUT_OF_RESOURCES, INVALID_UID, CANNOT_UNDERSTAND = 0, 0xA700, 0x117, 0xC000
_HEAD = 1 << 16
_ASKED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Manufacturer")
_log = logging.getLogger(__name__)


def transfer_syntaxes() -> list[str]:
    """Returns the UIDs of the transfer syntaxes that can be read here."""
    packed = (uid for uid in _PACKED if get_decoder(uid).is_available)
    return [str(uid) for uid in (*_ALWAYS, *packed)]


class StorageProvider:
    """Answers C-ECHO and C-STORE.

    Args:
        settings: Who may send, and how much.
        store: Where films go.
        on_case: Called with the key of a case that has a new object.
        count: Called with what became of each C-STORE: `"new"`, `"again"`, `"own"`,
            `"refused"` or `"full"`.

    Attributes:
        port: The port that was bound.

    Raises:
        OSError: If the port is taken.
        ValueError: If a file of TLS cannot be used.
    """

    def __init__(
        self,
        settings: NodeSettings,
        store: Store,
        on_case: Callable[[str], None],
        count: Callable[[str], None],
    ):
        self._settings, self._store = settings, store
        self._on_case, self._count = on_case, count
        ae = AE(settings.title)
        ae.maximum_associations = settings.max_associations
        ae.maximum_pdu_size = settings.max_pdu
        ae.require_calling_aet = list(settings.callers)
        ae.acse_timeout, ae.dimse_timeout, ae.network_timeout = 15, 30, 60
        ae.add_supported_context(VERIFICATION)
        for uid in SOP_CLASSES:
            ae.add_supported_context(uid, transfer_syntaxes())
        server: Any = ae.start_server(
            (settings.host, settings.port),
            block=False,
            ssl_context=tls_context(settings),
            evt_handlers=[
                (evt.EVT_CONN_OPEN, self._open),
                (evt.EVT_C_STORE, self._on),
            ],
        )
        # pynetdicom lets five wait; a sixth would be a second late.
        server.socket.listen(128)
        self._ae = ae
        self.port = server.socket.getsockname()[1]

    def close(self) -> None:
        """Ends all associations and frees the port."""
        self._ae.shutdown()

    def take(self, data: bytes) -> None:
        """Takes a file that came another way.

        Args:
            data: The file.

        Raises:
            ValueError: If it is no DICOM file of a class that is taken.
            OSError: If it is not kept now.
        """
        header = _header(data)
        if header is None:
            raise ValueError("is no DICOM file")
        uid, sop_class = header["SOPInstanceUID"], header["SOPClassUID"]
        if sop_class not in SOP_CLASSES or not is_uid(uid):
            raise ValueError(f"SOP class {sop_class}, instance {uid}")
        status, what = self._check_space() or self._keep(uid, sop_class, lambda: data)
        self._count(what)
        if status == OUT_OF_RESOURCES:
            raise OSError("the disk is full")

    def _check_space(self):
        free = shutil.disk_usage(self._store.cases).free
        too_little = free < self._settings.keep_free_bytes
        return (OUT_OF_RESOURCES, "full") if too_little else None

    def _open(self, event):
        dul = event.assoc.dul
        wrapped = dul.socket
        # Headers and commands come on top of the object itself.
        most = self._settings.max_object_bytes + (1 << 20)
        quick = QuickSocket(
            wrapped,
            max(self._settings.max_pdu, 1 << 16),
            most,
            # Ends the wait for a request of who is gone; it would count as a caller.
            on_end=lambda: dul.to_user_queue.put(None),
        )
        wrapped.recv, event.assoc.start_anew = quick.recv, quick.start_anew

    def _on(self, event):
        try:
            status, what = self._take(event)
        except Exception:  # a fault of ours must not look like a film that is kept
            _log.exception("an object was not taken")
            status, what = OUT_OF_RESOURCES, "refused"
        self._count(what)
        event.assoc.start_anew()
        return status

    def _take(self, event):
        uid = str(event.request.AffectedSOPInstanceUID)
        if not is_uid(uid):
            return INVALID_UID, "refused"
        sop_class = event.request.AffectedSOPClassUID
        full = self._check_space()
        return full or self._keep(uid, sop_class, event.encoded_dataset)

    def _keep(self, uid, sop_class, load):
        if sop_class not in (CTImageStorage, SecondaryCaptureImageStorage):
            key = uid
            if self._store.has(key, uid):
                return SUCCESS, "again"
            data = load()
        else:
            data = load()
            header = _header(data)
            if header is None:
                return CANNOT_UNDERSTAND, "refused"
            if header["Manufacturer"] == MAKER:
                # A router that sends us what we sent it must not start a circle.
                return SUCCESS, "own"
            series = header["SeriesInstanceUID"]
            in_series = sop_class == CTImageStorage and is_uid(series)
            key = f"ct-{series}" if in_series else uid
        try:
            is_new = self._store.put(key, uid, data)
        except OSError as error:
            _log.warning("%s: not kept (%s)", uid, error)
            return OUT_OF_RESOURCES, "full"
        if is_new:
            self._on_case(key)
        return SUCCESS, "new" if is_new else "again"


def _header(data):
    """What is asked of an object's header, `None` if it cannot be read."""
    for part in (data[:_HEAD], data):
        try:
            with dicom_errors():
                header = parse_dicom(part)
                return {name: text_of(header, name) for name in _ASKED}
        except (ValueError, MemoryError):
            continue
    return None


def tls_context(settings: NodeSettings) -> ssl.SSLContext | None:
    """Returns what the server's connections are wrapped in, `None` without TLS.

    Args:
        settings: Its `tls_cert`, `tls_key` and `tls_ca`.

    Raises:
        ValueError: If a file cannot be used.
    """
    if not settings.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.tls_ca:
            context.load_verify_locations(settings.tls_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"the files of TLS cannot be used ({error}).") from None
    return context
