"""CT volumes from NIfTI files of any origin."""

import contextlib
import math
import struct
import threading
import warnings
import zlib

import numpy as np

from covseg_tf.imaging.contrast import LUNG_LEVEL, LUNG_WIDTH, window_hounsfield
from covseg_tf.imaging.film import Volume
from covseg_tf.imaging.limits import MAX_VOLUME

# A volume with nothing below this has no air in it, hence no Hounsfield units.
AIR = -200.0
_GZIP = b"\x1f\x8b"
_LONGEST_HEADER = 544
# Header extensions lie between the header and the voxels.
_MOST_OFFSET = 16 << 20
_MOST_TRAILING = 1 << 16
_LOCK = threading.Lock()
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 256: 8, 512: 16, 768: 32}
_BITS |= {1024: 64, 1280: 64}


def is_nifti(head: bytes) -> bool:
    """Tells a NIfTI file, packed by gzip or not.

    Args:
        head: Its first 4096 bytes or more.
    """
    if head.startswith(_GZIP):
        try:
            head = zlib.decompressobj(31).decompress(head, _LONGEST_HEADER)
        except zlib.error:
            return False
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (
        b"n+2\0",
        b"ni2\0",
    )


def read_nifti_volume(
    data: bytes, level: float = LUNG_LEVEL, width: float = LUNG_WIDTH
) -> Volume:
    """Reads a CT volume through a window, turned as it is looked at.

    A volume without a value below -200 has no air in it, hence no Hounsfield
    units; it is taken as it is if it holds 0 to 255 (the Radiopaedia half of
    COVID-19-CT-Seg does), and refused otherwise.

    Args:
        data: The file, packed by gzip or not.
        level: As in `window_hounsfield`.
        width: Likewise.

    Raises:
        ValueError: If nibabel is not installed, or the volume is damaged, too
            large, of more than three dimensions, or holds NaN or infinity.
    """
    image = open_nifti(data)
    with _nibabel_errors():
        stored = image.dataobj.get_unscaled()
    slope, offset = float(image.dataobj.slope), float(image.dataobj.inter)
    values = turn_volume(stored, image.header)
    grey, notes = _grey(values, slope, offset, (level, width))
    spacing = size_and_spacing(image.header)[1]
    usable = all(math.isfinite(s) and s > 0 for s in spacing)
    return Volume(grey, spacing if usable else None, notes)


def open_nifti(data: bytes):
    """Opens a volume whose bytes are all there; its voxels are not decoded yet.

    The header is looked at before nibabel is: nibabel believes what sizes it states.

    Args:
        data: The file, packed by gzip or not.

    Returns:
        A nibabel image.

    Raises:
        ValueError: If nibabel is not installed, or the volume is damaged, too
            large, or of more than three dimensions.
    """
    nibabel = _nibabel()
    data = _unpacked(data)
    kind = nibabel.Nifti2Image if data[4:8] == b"n+2\0" else nibabel.Nifti1Image
    with _nibabel_errors():
        return kind.from_bytes(data)


def read_voxels(data: bytes) -> np.ndarray:
    """Returns the scaled values `(x, y, z)` of a volume, as they are stored.

    Raises:
        ValueError: As `open_nifti`.
    """
    image = open_nifti(data)
    with _nibabel_errors():
        return np.asanyarray(image.dataobj).reshape(image.shape[:3])


def read_nifti_header(head: bytes):
    """Returns the nibabel header of a volume.

    Args:
        head: Its first 4096 bytes or more, packed by gzip or not.

    Raises:
        ValueError: If nibabel is not installed, or there is no header of a volume.
    """
    nibabel = _nibabel()
    head = _inflate(head, _LONGEST_HEADER) if head.startswith(_GZIP) else head
    _stated_size(head)
    with _nibabel_errors():
        if head[4:8] == b"n+2\0":
            return nibabel.Nifti2Header(head[:540])
        return nibabel.Nifti1Header(head[:348])


def turn_volume(values: np.ndarray, header) -> np.ndarray:
    """Turns voxels as they are looked at.

    Args:
        values: Array `(x, y, z)`, the axes in any order and direction.
        header: The nibabel header that says how they lie.

    Returns:
        A view `(slices, rows, columns)`: slices from the feet to the head, rows
        from front to back, columns from the patient's right to the left.

    Raises:
        ValueError: If the header does not say how the volume lies.
    """
    from nibabel.orientations import apply_orientation

    values = apply_orientation(values.reshape(values.shape[:3]), _orientation(header))
    # Now x grows to the patient's right, y to the front, z to the head.
    return values[::-1, ::-1].T


def size_and_spacing(header) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Returns both as `(slices, rows, columns)` of the turned volume, in mm.

    Args:
        header: As in `turn_volume`.

    Raises:
        ValueError: If the header does not say how the volume lies.
    """
    order = np.argsort(_orientation(header)[:, 0])[::-1]
    shape, zooms = header.get_data_shape(), header.get_zooms()
    return tuple(int(shape[a]) for a in order), tuple(float(zooms[a]) for a in order)


def _orientation(header):
    from nibabel.orientations import io_orientation

    with _nibabel_errors():
        affine = np.asarray(header.get_best_affine(), np.float64)
        if np.isfinite(affine).all():
            orientation = io_orientation(affine)
            if not np.isnan(orientation).any():
                return orientation
    raise ValueError("its header does not say how the volume lies.")


def _nibabel():
    try:
        import nibabel
    except ImportError:
        raise ValueError(
            "reading NIfTI needs nibabel: pip install 'covseg-tf[medical]'"
        ) from None
    return nibabel


@contextlib.contextmanager
def _nibabel_errors():
    """nibabel tells what it mends in a header; loggers and filters are shared."""
    logger = _nibabel().imageglobals.logger
    with _LOCK, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        before, logger.disabled = logger.disabled, True
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # nibabel raises what NumPy raises
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"cannot be read as NIfTI ({reason}).") from None
        finally:
            logger.disabled = before


def _grey(values, slope, offset, window):
    planes = (plane.astype(np.float32) * slope + offset for plane in values)
    with np.errstate(all="ignore"):
        ends = [(plane.min(), plane.max()) for plane in planes]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if not np.isfinite(ends).all():
        raise ValueError("holds NaN or infinity; replace them.")
    grey = np.empty(values.shape, np.uint8)
    if low < AIR:
        for index, plane in enumerate(values):
            hounsfield = plane.astype(np.float32) * slope + offset
            grey[index] = window_hounsfield(hounsfield, *window)
        return grey, ()
    if low < 0 or high > 255:
        raise ValueError(
            f"holds {low:g} to {high:g}. Expected a CT in HU, with air below "
            f"{AIR:g}, or grey levels 0 to 255."
        )
    for index, plane in enumerate(values):
        grey[index] = np.rint(plane.astype(np.float32) * slope + offset)
    return grey, ("grey_volume",)


def _unpacked(data):
    """Exactly the bytes that the header asks for, checked to be there."""
    packed = data.startswith(_GZIP)
    head = _inflate(data, _LONGEST_HEADER) if packed else data[:_LONGEST_HEADER]
    need = _stated_size(head)
    data = _inflate(data, need, to_end=True) if packed else data
    if len(data) < need:
        raise ValueError("the NIfTI file is cut short.")
    return data[:need]


def _stated_size(head):
    order = next((o for o in "<>" if head[:4] in (_int(o, 348), _int(o, 540))), None)
    try:
        if order is None:
            raise ValueError("the NIfTI file is damaged (its header's size).")
        if head[:4] == _int(order, 348):
            mark, shape = head[344:348], struct.unpack_from(order + "8h", head, 40)
            kind, bits = struct.unpack_from(order + "hh", head, 70)
            start = struct.unpack_from(order + "f", head, 108)[0]
        else:
            mark, shape = head[4:8], struct.unpack_from(order + "8q", head, 16)
            kind, bits = struct.unpack_from(order + "hh", head, 12)
            start = struct.unpack_from(order + "q", head, 168)[0]
    except struct.error:
        raise ValueError("the NIfTI file is cut short.") from None
    if mark[:2] != b"n+":
        raise ValueError("a NIfTI header without voxels; save it as one .nii file.")
    return _checked_size(shape, kind, bits, start)


def _checked_size(shape, kind, bits, start):
    dimensions, *sides = shape
    sides = sides[: max(0, dimensions)]
    if not 3 <= dimensions <= 7 or any(n != 1 for n in sides[3:]) or min(sides) < 1:
        raise ValueError(f"expected a volume (x, y, z). Received shape: {tuple(sides)}")
    if _BITS.get(kind) != bits:
        raise ValueError(f"voxels of type {kind} and {bits} bits are not read.")
    if not 0 <= start <= _MOST_OFFSET:
        raise ValueError("the NIfTI file is damaged (where its voxels begin).")
    size = math.prod(sides) * bits // 8
    if size > MAX_VOLUME:
        raise ValueError(f"holds {size} bytes of voxels; at most {MAX_VOLUME}.")
    return int(start) + size


def _int(order, number):
    return struct.pack(order + "i", number)


def _inflate(data, size, to_end=False):
    """At most `size` bytes of a gzip file of one or several members.

    With `to_end` the last member's checksum, too, must be there and right,
    unless more than 64 KB follow what is asked for.
    """
    parts, have, member = [], 0, None
    try:
        while data.startswith(_GZIP) and have < size:
            member = zlib.decompressobj(31)
            parts.append(member.decompress(data, size - have))
            have += len(parts[-1])
            if not member.eof:
                break
            data = member.unused_data
        if to_end and member is not None and not member.eof:
            member.decompress(member.unconsumed_tail, _MOST_TRAILING)
            if not member.eof and not member.unconsumed_tail:
                raise ValueError("the NIfTI file is cut short.")
    except zlib.error as error:
        raise ValueError(f"the gzip file is damaged ({error}).") from None
    return b"".join(parts)
