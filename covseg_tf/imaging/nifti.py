"""CT volumes from NIfTI files of any origin."""

import contextlib
import math
import threading
import warnings
import zlib

import numpy as np

from covseg_tf.imaging.contrast import LUNG_LEVEL, LUNG_WIDTH, window_hounsfield
from covseg_tf.imaging.film import Volume
from covseg_tf.imaging.hounsfield import air_share, has_air
from covseg_tf.imaging.limits import MAX_MEMBERS, MAX_SLICES, MAX_VOLUME
from covseg_tf.imaging.nifti_placing import is_placed_twice, mend_header, turns_of
from covseg_tf.imaging.passing_error import PassingError

_GZIP = b"\x1f\x8b"
_LONGEST_HEADER = 544
# Header extensions lie between the header and the voxels.
_MOST_OFFSET = 16 << 20
_MOST_TRAILING = 1 << 16
_PIECE = 1 << 10
_LOCK = threading.Lock()
_SECOND = b"n+2\0"
# Of units to mm; and the least and most of a CT's voxel, for headers that lie of units.
_UNITS = {"meter": 1000.0, "micron": 0.001}
_LEAST_MM, _MOST_MM = 0.01, 100.0


def is_nifti(head: bytes) -> bool:
    """Tells a NIfTI file, packed by gzip or not."""
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

    A volume with hardly a value between -1400 and -300 has no air in it, hence no
    Hounsfield units; it is taken as it is if it holds 0 to 255 (the Radiopaedia half
    of COVID-19-CT-Seg does), and refused otherwise. One without a usable qform or
    sform says nothing of how it lies: it is taken as most are stored, and has no
    spacing. Nor has one whose qform, sform and voxel sizes differ; its sform is taken.

    Args:
        data: The file, packed by gzip or not.
        level: As in `window_hounsfield`.
        width: Likewise.

    Raises:
        ValueError: If nibabel is not installed, or the volume is damaged, too
            large, of more than three dimensions, or holds infinity. NaN is read as
            the darkest value.
    """
    image = open_nifti(data)
    with _nibabel_errors():
        stored = image.dataobj.get_unscaled()
    slope, offset = float(image.dataobj.slope), float(image.dataobj.inter)
    values = turn_volume(stored, image.header)
    grey, notes = _grey(values, slope, offset, (level, width))
    spacing = size_and_spacing(image.header)[1]
    if not (image.header["qform_code"] > 0 or image.header["sform_code"] > 0):
        return Volume(grey, None, (*notes, "unplaced"))
    if is_placed_twice(image.header):
        return Volume(grey, None, (*notes, "placed_twice"))
    usable = all(math.isfinite(s) and s > 0 for s in spacing)
    return Volume(grey, spacing if usable else None, notes)


def open_nifti(data: bytes):
    """Returns a nibabel image whose bytes are all there, its voxels not yet decoded.

    nibabel allocates what a header states and inflates a file without end, so both
    are bounded here first.

    Raises:
        ValueError: If nibabel is not installed, or the volume is damaged, too
            large, or of more than three dimensions.
    """
    header = read_nifti_header(data)
    size = _size_of(header)
    data = _inflate(data, size, to_end=True) if data.startswith(_GZIP) else data
    if len(data) < size:
        raise ValueError("the NIfTI file is cut short.")
    with _nibabel_errors() as nibabel:
        kind = nibabel.Nifti2Image if data[4:8] == _SECOND else nibabel.Nifti1Image
        block = header.binaryblock
        if data.startswith(block):
            return kind.from_bytes(data[:size])
        return kind.from_bytes(block + data[len(block) : size])


def read_voxels(data: bytes) -> np.ndarray:
    """Returns the scaled values `(x, y, z)` of a volume, as they are stored.

    Args:
        data: The file, packed by gzip or not.

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
    head = _inflate(head, _LONGEST_HEADER) if head.startswith(_GZIP) else head
    if b"ni1\0" in head[344:348] or b"ni2\0" in head[4:8]:
        raise ValueError("a NIfTI header without voxels; save it as one .nii file.")
    with _nibabel_errors() as nibabel:
        second = head[4:8] == _SECOND
        kind = nibabel.Nifti2Header if second else nibabel.Nifti1Header
        header = kind(head[: kind.sizeof_hdr])
        mend_header(header)
        shape = header.get_data_shape()
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or min(shape) < 1:
        raise ValueError(f"expected a volume (x, y, z). Received shape: {shape}")
    return header


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


def size_and_spacing(
    header,
) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    """Returns both as `(slices, rows, columns)` of the turned volume, in mm.

    Args:
        header: As in `turn_volume`.

    Raises:
        ValueError: If the header does not say how the volume lies.
    """
    z, y, x = np.argsort(_orientation(header)[:, 0])[::-1].tolist()
    shape, zooms = header.get_data_shape(), list(map(float, header.get_zooms()))
    factor = _UNITS.get(header.get_xyzt_units()[0], 1.0)
    if all(_LEAST_MM <= factor * zoom <= _MOST_MM for zoom in zooms[:3]):
        zooms = [factor * zoom for zoom in zooms]
    return (shape[z], shape[y], shape[x]), (zooms[z], zooms[y], zooms[x])


def _orientation(header):
    with _nibabel_errors():
        turns = turns_of(header.get_best_affine)
    if turns is None:
        raise ValueError("its header does not say how the volume lies.")
    return turns


@contextlib.contextmanager
def _nibabel_errors():
    """Gives nibabel, silent: its loggers, which tell of mended headers, are shared."""
    try:
        import nibabel
    except ImportError:
        raise PassingError(
            "reading NIfTI needs nibabel: pip install 'covseg-tf[medical]'"
        ) from None
    logger = nibabel.imageglobals.logger
    with _LOCK, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        before, logger.disabled = logger.disabled, True
        try:
            yield nibabel
        except MemoryError:
            raise
        except Exception as error:  # nibabel raises what NumPy raises
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"cannot be read as NIfTI ({reason}).") from None
        finally:
            logger.disabled = before


def _grey(values, slope, offset, window):
    def scaled():  # plane by plane: a float copy of a large CT takes gigabytes
        return (plane.astype(np.float32) * slope + offset for plane in values)

    def filled():  # NaN is what no ray has met, the corners of a round field
        return (np.where(np.isnan(p), np.float32(low), p) for p in scaled())

    with np.errstate(all="ignore"):
        facts = [
            (np.fmin.reduce(p, None), np.fmax.reduce(p, None), air_share(p))
            for p in scaled()
        ]
    low = np.fmin.reduce([darkest for darkest, _, _ in facts])
    high = np.fmax.reduce([brightest for _, brightest, _ in facts])
    if not np.isfinite([low, high]).all():
        raise ValueError("holds infinity, or NaN alone; replace them.")
    if has_air([share for _, _, share in facts]):
        return np.stack([window_hounsfield(p, *window) for p in filled()]), ()
    if low >= 0 and high <= 255:
        return np.stack([np.rint(p).astype(np.uint8) for p in filled()]), (
            "grey_volume",
        )
    raise ValueError(
        f"holds {low:g} to {high:g}, hardly any of it between -1400 and -300. Expected "
        "a CT in HU, which has air and lung there, or grey levels 0 to 255; mend the "
        "slope and intercept of its header."
    )


def _size_of(header):
    """Bytes of the file up to its last voxel."""
    with _nibabel_errors():
        kind, start = header.get_data_dtype(), int(header["vox_offset"])
    if kind.kind not in "iuf" or kind.itemsize > 8:
        raise ValueError(f"voxels of type {kind} are not read.")
    if not 0 <= start <= _MOST_OFFSET:
        raise ValueError("the NIfTI file is damaged (where its voxels begin).")
    longest = max(map(int, header.get_data_shape()))
    if longest > MAX_SLICES:
        raise ValueError(f"holds {longest} planes; at most {MAX_SLICES} are read.")
    size = math.prod(map(int, header.get_data_shape())) * kind.itemsize
    if size > MAX_VOLUME:
        raise ValueError(f"holds {size} bytes of voxels; at most {MAX_VOLUME}.")
    return start + size


def _inflate(data, size, to_end=False):
    """At most `size` bytes of a gzip file of one or several members.

    With `to_end` the last member's checksum, too, must be there and right,
    unless more than 64 KB follow what is asked for.
    """
    parts, have, place, member = [], 0, 0, None
    try:
        for _ in range(MAX_MEMBERS):
            if data[place : place + 2] != _GZIP or have >= size:
                break
            member = zlib.decompressobj(31)
            # In pieces that grow: what a member leaves over is copied each time.
            piece = _PIECE
            while not member.eof and have < size and place < len(data):
                packed = data[place : place + piece]
                place, piece = place + piece, 4 * piece
                parts.append(member.decompress(packed, size - have))
                have += len(parts[-1])
            place = min(place, len(data)) - len(member.unused_data)
            if not member.eof:
                break
        else:
            raise ValueError(f"the gzip file has more than {MAX_MEMBERS} members.")
        if to_end and member is not None and not member.eof:
            left = member.unconsumed_tail + data[place : place + 2 * _MOST_TRAILING]
            member.decompress(left, _MOST_TRAILING)
            if not member.eof and not member.unconsumed_tail:
                raise ValueError("the NIfTI file is cut short.")
    except zlib.error as error:
        raise ValueError(f"the gzip file is damaged ({error}).") from None
    return b"".join(parts)
