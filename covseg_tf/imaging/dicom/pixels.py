"""One frame of a DICOM file, decoded once it is known to fit its header."""

import itertools
import operator
import struct

import cv2
import numpy as np

from covseg_tf.imaging.decode import JPEG_END, check_jpeg, decode
from covseg_tf.imaging.dicom.header import number_of, text_of
from covseg_tf.imaging.limits import MAX_DECODED, MAX_FRAMES, MAX_PIXELS
from covseg_tf.imaging.passing_error import PassingError
from covseg_tf.imaging.png_jpeg import check_size, walk_jpeg

_RLE = "1.2.840.10008.1.2.5"
_BASELINE = "1.2.840.10008.1.2.4.50"
_JPEG = {
    *(_BASELINE, "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57"),
    *("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),
}
_JPEG_2000 = {
    *("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
    *(f"1.2.840.10008.1.2.4.20{n}" for n in (1, 2, 3)),
}
# Fragments of one file, and fragments times frames.
_MOST_FRAGMENTS, _MOST_STEPS = 100_000, 2_000_000
_SIZE_2000 = b"\xff\x4f\xff\x51"


def frame_count(dataset) -> int:
    """Returns the number of frames, 1 where the header is silent or says 0.

    Raises:
        ValueError: If it is negative or above 1,000.
    """
    count = number_of(dataset, "NumberOfFrames", 1) or 1
    if not 1 <= count <= MAX_FRAMES:
        raise ValueError(f"states {count} frames; 1 to {MAX_FRAMES} are read.")
    return count


def check_pixels(dataset) -> tuple[int, int]:
    """Returns `(rows, columns)` if a frame may be decoded.

    Raises:
        ValueError: If it holds no pixels, or frames too large.
    """
    if "PixelData" not in dataset:
        raise ValueError("holds no pixels.")
    rows, columns = (number_of(dataset, name) for name in ("Rows", "Columns"))
    check_size(rows, columns, MAX_PIXELS)
    samples = number_of(dataset, "SamplesPerPixel", 1)
    size = rows * columns * samples * number_of(dataset, "BitsAllocated", 8) // 8
    if samples not in (1, 3) or not 0 < size <= MAX_DECODED:
        raise ValueError(f"states {samples} channels and {size} bytes a frame.")
    frame_count(dataset)
    return rows, columns


def read_frame(dataset, index: int = 0) -> np.ndarray:
    """Decodes one frame.

    Returns:
        Array `(rows, columns)` of stored values, or uint8 or uint16
        `(rows, columns, 3)`, RGB.

    Raises:
        ValueError: If it cannot be decoded, or nothing that is installed can.
    """
    size = check_pixels(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax:
        raise ValueError(f"its pixels are packed in an unknown way ({syntax}).")
    spare = _mend_layout(dataset)
    plugins = [""]
    if syntax.is_compressed and not syntax.is_deflated:
        plugins = _plugins(syntax)
        code = _check_code(dataset, str(syntax), index, size)
        if syntax == _BASELINE:
            return _decode_baseline(code, size)
    frame = _first_that_decodes(dataset, index, plugins)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        frame = apply_color_lut(frame, dataset)
    if frame.shape[:2] != size or frame.ndim not in (2, 3):
        raise ValueError(f"its pixels cannot be decoded (shape {frame.shape}).")
    return frame >> spare if spare else frame


def _mend_layout(dataset):
    """Fills in what a header leaves out or says wrongly; returns unused low bits.

    Old detectors put 12 bits into the upper ones of 16; decoders mask the lower ones.
    """
    dataset.NumberOfFrames = frame_count(dataset)
    dataset.SamplesPerPixel = number_of(dataset, "SamplesPerPixel") or 1
    if dataset.SamplesPerPixel == 1:
        kind = "".join(text_of(dataset, "PhotometricInterpretation").upper().split())
        if kind == "PALETTECOLOR":
            kind = "PALETTE COLOR"
        elif kind != "MONOCHROME1":  # colour has three samples
            kind = "MONOCHROME2"
        dataset.PhotometricInterpretation = kind
    if number_of(dataset, "PixelRepresentation", -1) not in (0, 1):
        dataset.PixelRepresentation = 0
    allocated = number_of(dataset, "BitsAllocated", 8)
    stored = number_of(dataset, "BitsStored")
    stored = stored if 0 < stored <= allocated else allocated
    high = number_of(dataset, "HighBit", stored - 1)
    syntax = dataset.file_meta.TransferSyntaxUID
    coded = syntax.is_compressed and not syntax.is_deflated and syntax != _RLE
    spare = high + 1 - stored if stored <= high < allocated and not coded else 0
    dataset.BitsStored, dataset.HighBit = stored + spare, stored + spare - 1
    return spare


def _first_that_decodes(dataset, index, plugins):
    from pydicom.pixels import pixel_array

    *others, last = plugins
    for plugin in others:
        try:
            return pixel_array(dataset, index=index, decoding_plugin=plugin)
        except MemoryError:
            raise
        except Exception:  # what one decoder cannot another may: 12 bits, odd colours
            continue
    try:
        return pixel_array(dataset, index=index, decoding_plugin=last)
    except (RuntimeError, NotImplementedError) as error:
        syntax = dataset.file_meta.TransferSyntaxUID
        if str(syntax) not in _JPEG or {"gdcm", "pylibjpeg"} & set(plugins):
            raise
        reason = " ".join(str(error).split())
        raise PassingError(f"{_needs(syntax)} ({last}: {reason})") from None


def _plugins(syntax):
    """Names of pydicom's plug-ins that may decode, one empty where OpenCV does.

    GDCM comes last, and never for JPEG 2000: there a damaged file makes it abort
    the whole process.
    """
    if syntax == _BASELINE:
        return [""]
    from pydicom.pixels import get_decoder

    try:
        plugins = get_decoder(syntax).available_plugins
    except NotImplementedError:
        raise ValueError(f"its pixels are packed as {syntax.name}.") from None
    # Pillow fails where pylibjpeg, if it is there, reads most.
    may = sorted(set(plugins) - {"gdcm"}, key=lambda name: name == "pillow")
    if "gdcm" in plugins and str(syntax) not in _JPEG_2000:
        may.append("gdcm")
    if may:
        return may
    raise PassingError(_needs(syntax))


def _needs(syntax):
    package = "pylibjpeg-libjpeg" if str(syntax) in _JPEG else "pylibjpeg-openjpeg"
    return (
        f"its pixels are packed as {syntax.name}; reading them needs a plug-in: "
        f"pip install pylibjpeg {package}"
        + (" or python-gdcm." if str(syntax) in _JPEG else ".")
    )


def _check_code(dataset, syntax, index, size):
    """Bytes of a packed frame whose own header agrees with the file's."""
    from pydicom.encaps import get_frame

    count = frame_count(dataset)
    extended = None
    if "ExtendedOffsetTable" in dataset:  # the decoder takes it, too
        extended = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    _check_fragments(dataset.PixelData, count, extended)
    code = get_frame(
        dataset.PixelData, index, number_of_frames=count, extended_offsets=extended
    )
    stated = size
    if syntax in _JPEG:
        walk = walk_jpeg(code, MAX_PIXELS)
        stated = walk.rows, walk.columns
    elif syntax in _JPEG_2000:
        place = code.find(_SIZE_2000, 0, 4096)
        if place < 0 or place + 24 > len(code):
            raise ValueError("its pixels cannot be decoded (no JPEG 2000 header).")
        right, bottom, left, top = struct.unpack_from(">IIII", code, place + 8)
        stated = bottom - top, right - left
    elif syntax == _RLE:
        _check_rle(code, size[0] * size[1])
    if stated != size:
        raise ValueError(
            f"its header states {size[0]} x {size[1]} pixels, its packed pixels "
            f"{stated[0]} x {stated[1]}."
        )
    return code


def _check_fragments(packed, frames, extended):
    """Refuses fragments so many that finding each frame among them takes long.

    Each frame is looked for from the first on, and frames that the table of offsets
    lays over one another would be the same bytes decoded again and again.
    """
    first = int.from_bytes(packed[4:8], "little")
    offsets = struct.unpack_from(f"<{first // 4}I", packed, 8) if first else ()
    sizes = [1] * len(offsets)
    if extended is not None:
        offsets, sizes = (struct.unpack(f"<{len(x) // 8}Q", x) for x in extended)
    ends = itertools.chain([0], map(operator.add, offsets, sizes))
    if any(start < end for start, end in zip(offsets, ends, strict=False)):
        raise ValueError("its frames lie over one another.")
    place, left = 8 + first, min(_MOST_FRAGMENTS, _MOST_STEPS // frames)
    while packed[place : place + 4] == b"\xfe\xff\x00\xe0":
        place += 8 + int.from_bytes(packed[place + 4 : place + 8], "little")
        left -= 1
        if left < 0:
            raise ValueError("its pixels lie in too many fragments.")


def _check_rle(code, pixels):
    """Refuses run lengths that unpack to more than the frame, or to nothing."""
    if len(code) < 64:
        raise ValueError("its pixels cannot be decoded (cut short).")
    count, *starts = struct.unpack_from("<16L", code)
    if not 1 <= count <= 15:
        raise ValueError(f"its pixels cannot be decoded ({count} RLE segments).")
    ends = [*starts[1:count], len(code)]
    for place, end in zip(starts[:count], ends, strict=True):
        size = 0
        while place < min(end, len(code)):
            step = code[place]
            # One that does nothing counts as a byte: no writer needs many.
            size += step + 1 if step < 128 else 257 - step if step > 128 else 1
            place += step + 2 if step < 128 else 2 if step > 128 else 1
            if size > pixels + 256:
                raise ValueError("its pixels unpack to more than its frame.")


def _decode_baseline(code, size):
    code = code if check_jpeg(code) else code + JPEG_END
    image = decode(code, 0, cv2.IMREAD_UNCHANGED)
    if image.shape[:2] != size:
        raise ValueError("its pixels cannot be decoded; the JPEG frame is damaged.")
    return image if image.ndim == 2 else image[..., ::-1]
