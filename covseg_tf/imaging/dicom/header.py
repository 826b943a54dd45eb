"""Opens DICOM files that may be hostile: headers first, all of it bounded."""

import contextlib
import io
import logging
import pathlib
import struct
import threading
import warnings
import zlib
from collections.abc import MutableSequence

from covseg_tf.imaging.limits import MAX_FILE, MAX_READS, MAX_VALUE
from covseg_tf.imaging.passing_error import PassingError
from covseg_tf.imaging.regular_file import read_file

_NEEDS_PYDICOM = "reading DICOM needs pydicom: pip install 'covseg-tf[medical]'"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_SYNTAX = b"\x02\x00\x10\x00UI"
# Types of value in the first elements of groups 2 and 8.
_TYPES = (b"UL", b"OB", b"UI", b"CS", b"SH", b"LO", b"DA", b"TM", b"DT", b"SQ")
_LOCK = threading.RLock()
# Sequences whose contents are looked at.
SEQUENCES = ("ViewCodeSequence", "VOILUTSequence", "ModalityLUTSequence")


class _Meter(io.BytesIO):
    """Bytes that may be read in so many steps; each element takes a few."""

    left = MAX_READS

    def __init__(self, data, most):
        super().__init__(data)
        self.left = min(most, self.left)

    def read(self, size=-1):
        self.left -= 1
        if self.left < 0:
            raise ValueError("its header has too many elements.")
        return super().read(size)


def is_dicom_data(head: bytes) -> bool:
    """Tells a DICOM file by the mark behind its preamble, or, without one, by its
    first element: of group 2 or 8, with a type of value or a short length.
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 132 or head[:2] not in (b"\x02\0", b"\x08\0") or head[3] > 1:
        return False
    length = int.from_bytes(head[4:8], "little")
    return head[4:6] in _TYPES or (length <= 64 and length % 2 == 0)


@contextlib.contextmanager
def dicom_errors():
    """Within it every fault of pydicom or a decoder is a `ValueError`, no warning.

    Raises:
        ValueError: With the reason.
    """
    # Filters of warnings belong to the process, and films are read in threads.
    with _LOCK, _silence():
        try:
            yield
        except (ValueError, MemoryError):
            raise
        except RecursionError:
            raise ValueError("its sequences lie too deep in one another.") from None
        except Exception as error:  # pydicom raises what its decoders raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"cannot be read as DICOM ({reason}).") from None


@contextlib.contextmanager
def _silence():
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def parse_dicom(data: bytes, pixels: bool = False, most_reads: int = MAX_READS):
    """Parses a DICOM file.

    Args:
        data: The file, or as much of its beginning as holds the header.
        pixels: Whether to go on to the pixels. Defaults to `False`.
        most_reads: How many steps it may take. Defaults to `MAX_READS`.

    Returns:
        A `pydicom.Dataset` whose sequences, but those in `SEQUENCES`, and large
        values are gone, and whose other values are converted. Do not call
        outside of `dicom_errors`.

    Raises:
        ValueError: If it is no DICOM file; a `PassingError` if pydicom is not
            installed.
    """
    try:
        import pydicom
    except ImportError:
        raise PassingError(_NEEDS_PYDICOM) from None
    _check_deflated(data)
    try:
        dataset = pydicom.dcmread(
            _Meter(data, most_reads),
            stop_before_pixels=not pixels,
            force=data[128:132] != b"DICM" and is_dicom_data(data),
        )
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot be read as DICOM ({reason}).") from None
    _tidy(dataset, pydicom)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        uid = pydicom.uid
        plain = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = (
            uid.ImplicitVRLittleEndian if implicit else plain
        )
    return dataset


def text_of(dataset, name: str) -> str:
    """Returns a value as plain text, empty if absent."""
    value = dataset.get(name)
    return "" if value is None else str(value).strip()


def number_of(dataset, name: str, default: int = 0) -> int:
    """Returns a whole number, the first of several.

    Args:
        dataset: A `pydicom.Dataset`.
        name: The element's keyword.
        default: What it is if it is absent, empty or no whole number.
    """
    value = dataset.get(name)
    if isinstance(value, MutableSequence):
        value = value[0] if len(value) else None
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return whole if whole == float(value) else default


def read_spacing(path: pathlib.Path) -> tuple[float, float] | None:
    """Returns the spacing of a radiograph's pixels in mm, `(rows, columns)`.

    `PixelSpacing` where the file has it, else `ImagerPixelSpacing`, which holds
    at the detector: the chest before it is a few percent smaller than measured
    so. `None` if the file has neither.

    Args:
        path: A DICOM file; only its header is looked at.

    Raises:
        ValueError: If pydicom is not installed or the file cannot be read.
    """
    with dicom_errors():
        dataset = parse_dicom(read_file(path))
        for name in ("PixelSpacing", "ImagerPixelSpacing"):
            values = dataset.get(name)
            if values is not None and len(values) == 2:
                return float(values[0]), float(values[1])
    return None


def _tidy(dataset, pydicom):
    """Keeps what readers and writers ask for, converted, whatever comes later."""
    wanted = {pydicom.datadict.tag_for_keyword(name) for name in SEQUENCES}
    for tag in list(dataset.keys()):
        if tag.group == 0x7FE0:
            continue
        raw = dataset.get_item(tag)
        value = raw.value
        large = isinstance(value, (bytes, str)) and len(value) > MAX_VALUE
        # Pixel Representation is a number already where a sequence came before it.
        sequence = raw.VR == "SQ" or isinstance(value, pydicom.Sequence)
        if large or tag.is_private or (sequence and tag not in wanted):
            del dataset[tag]
            continue
        try:
            if dataset[tag].VR == "SQ" and tag not in wanted:
                del dataset[tag]
        except Exception:  # a value that means nothing is as good as absent
            del dataset[tag]


def _check_deflated(data):
    """A deflated file is unpacked by pydicom at once, however large it becomes."""
    place = data.find(_SYNTAX, 0, 2048)
    if place < 0:
        return
    length = int.from_bytes(data[place + 6 : place + 8], "little")
    if data[place + 8 : place + 8 + length].strip(b"\0 ") != _DEFLATED:
        return
    if data[132:136] != b"\x02\x00\x00\x00" or len(data) < 144:
        raise ValueError("cannot be read as DICOM (its first group is damaged).")
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    packed = data[start:]
    try:
        while packed and not unpacker.eof:
            size += len(unpacker.decompress(packed, 1 << 20))
            packed = unpacker.unconsumed_tail
            if size > min(MAX_FILE, 100 * len(data) + (1 << 20)):
                raise ValueError("unpacks to far more than it is; a bomb.")
    except zlib.error as error:
        raise ValueError(f"cannot be unpacked ({error}).") from None
