"""Image files of many kinds, drawn here, for the browser to read as Python does."""

import io
import struct
import zlib

import cv2
import numpy as np
import pydicom
import pydicom.uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

_PASSES = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
    *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
)
_KINDS = {"grey": (0, 1), "colour": (2, 3), "palette": (3, 1), "grey_alpha": (4, 2)}
_KINDS["colour_alpha"] = (6, 4)

_DEFLATED = pydicom.uid.DeflatedExplicitVRLittleEndian


def png(kind, depth, size=(37, 53), interlaced=False, orientation=None) -> bytes:
    """A PNG file of noise, written from the standard and not by a library."""
    code, channels = _KINDS[kind]
    rng = np.random.default_rng(depth + 10 * code)
    high = 5 if kind == "palette" else 2**depth
    samples = rng.integers(0, high if depth > 2 else 2**depth, (*size, channels))
    body = bytearray()
    for top, left, down, across in _PASSES if interlaced else ((0, 0, 1, 1),):
        part = samples[top::down, left::across]
        for number, line in enumerate(part if part.size else ()):
            body += _filtered(number, _packed(line, depth), part, depth, channels)
    header = struct.pack(">IIBBBBB", *size[::-1], depth, code, 0, 0, interlaced)
    chunks = [(b"IHDR", header)]
    if orientation:
        tag = struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0)
        chunks.append((b"eXIf", b"MM\0*\0\0\0\x08\0\x01" + tag + b"\0\0\0\0"))
    if kind == "palette":
        chunks.append((b"PLTE", rng.integers(0, 256, 48).astype(np.uint8).tobytes()))
    chunks += [(b"IDAT", zlib.compress(bytes(body))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _packed(line, depth):
    values = line.ravel()
    if depth == 16:
        return values.astype(">u2").tobytes()
    if depth == 8:
        return values.astype(np.uint8).tobytes()
    bits = (values[:, None] >> np.arange(depth)[::-1]) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def _filtered(number, line, part, depth, channels):
    """A row behind one of the five filters, each in turn."""
    step, kind = max(1, channels * depth // 8), number % 5
    above = bytes(len(line)) if number == 0 else _packed(part[number - 1], depth)
    out = bytearray([kind])
    for i, value in enumerate(line):
        left, corner = (line[i - step], above[i - step]) if i >= step else (0, 0)
        guess = left + above[i] - corner
        near = [abs(guess - x) for x in (left, above[i], corner)]
        nearest = (left, above[i], corner)[near.index(min(near))]
        guesses = (0, left, above[i], (left + above[i]) // 2, nearest)
        out.append((value - guesses[kind]) & 255)
    return bytes(out)


def _chunk(name, body):
    return (
        struct.pack(">I", len(body))
        + name
        + body
        + struct.pack(">I", zlib.crc32(name + body))
    )


def jpeg(image: np.ndarray, orientation: int | None = None, quality=90) -> bytes:
    """A JPEG file, with an EXIF orientation if asked."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    if orientation is None:
        return data
    tag = struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + tag + b"\0\0\0\0"
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def dicom(
    pixels: np.ndarray,
    bits_stored: int | None = None,
    kind: str = "MONOCHROME2",
    syntax: str = pydicom.uid.ExplicitVRLittleEndian,
    modality: str = "DX",
    frames: list | None = None,
    **elements,
) -> bytes:
    """A DICOM radiograph of these pixels; `elements` are added by keyword."""
    dataset = Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.Modality = modality
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = kind
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = bits_stored or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.PixelData = encapsulate(frames) if frames else pixels.tobytes()
    dataset["PixelData"].VR = "OB" if frames or pixels.itemsize == 1 else "OW"
    if syntax == pydicom.uid.RLELossless and not frames:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        dataset.compress(pydicom.uid.RLELossless)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def table(first: int, bits: int, values) -> Dataset:
    """A lookup table's item."""
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item.LUTData = np.asarray(values, np.uint16).tobytes()
    item["LUTDescriptor"].VR = "US"
    item["LUTData"].VR = "OW"
    return item


PACKED = {
    "JPEG 2000": ("JPEG2000Lossless", np.uint16),
    "JPEG 2000, 8 bit": ("JPEG2000Lossless", np.uint8),
    "JPEG 2000, signed": ("JPEG2000Lossless", np.int16),
    "JPEG-LS": ("JPEGLSLossless", np.uint16),
    "JPEG-LS, 8 bit": ("JPEGLSLossless", np.uint8),
    "JPEG-LS, signed": ("JPEGLSLossless", np.int16),
}


def packed(name: str, image: np.ndarray, **elements) -> bytes:
    """A radiograph of `PACKED`, its pixels packed by pydicom's plug-ins."""
    syntax, kind = PACKED[name]
    deep = image.astype(np.int32) * 16 + 7 - (2048 if kind is np.int16 else 0)
    if kind is np.uint8:
        data = dicom(image, **elements)
    else:
        window = {"WindowCenter": 1800 - 2048 * (kind is np.int16), "WindowWidth": 3000}
        data = dicom(deep.astype(kind), 12, **window | elements)
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.compress(getattr(pydicom.uid, syntax), generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def dicom_files(image: np.ndarray) -> dict[str, bytes]:
    """Radiographs that say in different ways how they are looked at."""
    deep = image.astype(np.uint16) * 16 + 7
    signed = (deep.astype(np.int32) - 2048).astype(np.int16)
    curve = 65535 * np.linspace(0, 1, 4096) ** 1.5
    plain = {"RescaleSlope": 1, "RescaleIntercept": 0}
    window = {"WindowCenter": 2048, "WindowWidth": 3000}
    return {
        "8 bit": dicom(image),
        "deflated": dicom(image, syntax=_DEFLATED),
        "deflated, 12 bit": dicom(deep, 12, syntax=_DEFLATED, **window),
        "8 bit rescaled by 1": dicom(image, **plain),
        "8 bit window": dicom(image, WindowCenter=100.5, WindowWidth=133),
        "inverted": dicom(255 - image, kind="MONOCHROME1"),
        "12 bit": dicom(deep, 12),
        "12 bit window": dicom(deep, 12, **window),
        "12 bit two windows": dicom(
            deep, 12, WindowCenter=[1500, 2000], WindowWidth=[2500, 100]
        ),
        "12 bit inverted window": dicom(deep, 12, kind="MONOCHROME1", **window),
        "exact": dicom(deep, 12, VOILUTFunction="LINEAR_EXACT", **window),
        "sigmoid": dicom(deep, 12, VOILUTFunction="SIGMOID", **window),
        "rescaled": dicom(
            deep,
            12,
            RescaleSlope=0.37,
            RescaleIntercept=-11.5,
            WindowCenter=700,
            WindowWidth=801.3,
        ),
        "rescaled, no window": dicom(deep, 12, RescaleSlope=2.5, RescaleIntercept=-9),
        "signed": dicom(signed, 12, WindowCenter=100, WindowWidth=3100),
        "signed, no window": dicom(signed, 12),
        "16 bit": dicom(image.astype(np.uint16) * 257),
        "implicit": dicom(
            deep, 12, syntax=pydicom.uid.ImplicitVRLittleEndian, **window
        ),
        "run lengths": dicom(deep, 12, syntax=pydicom.uid.RLELossless, **window),
        "run lengths 8 bit": dicom(image, syntax=pydicom.uid.RLELossless),
        "table of interest": dicom(deep, 12, VOILUTSequence=[table(0, 16, curve)]),
        "modality's table": dicom(
            deep,
            12,
            ModalityLUTSequence=[table(0, 16, curve)],
            WindowCenter=20000,
            WindowWidth=45000,
        ),
        # What hospitals make besides: each means nothing, and the next rule is taken.
        "no width": dicom(image, WindowCenter=1, WindowWidth=0),
        "12 bit, no width": dicom(deep, 12, WindowCenter=2048, WindowWidth=0),
        "no width, then one": dicom(
            deep, 12, WindowCenter=[9, 2048], WindowWidth=[0, 3000]
        ),
        "empty window": dicom(deep, 12, WindowCenter=None, WindowWidth=None),
        "slope 0": dicom(deep, 12, RescaleSlope=0, RescaleIntercept=5, **window),
        "empty slope": dicom(deep, 12, RescaleSlope=None, RescaleIntercept=5),
        "a function of no name": dicom(deep, 12, VOILUTFunction="CURVE", **window),
        "short table": dicom(deep, 12, VOILUTSequence=[short_table(curve)], **window),
        "table of 12 bits that states 16": dicom(
            deep, 12, VOILUTSequence=[table(0, 16, curve / 16)]
        ),
        "hot pixel": dicom(with_hot_pixel(image.astype(np.uint16) * 16), 16),
        "padding": dicom(padded(deep), 16, PixelPaddingValue=65535),
        "padding and a window": dicom(
            padded(deep), 16, PixelPaddingValue=65535, **window
        ),
        "padding, inverted": dicom(
            padded(deep), 16, kind="MONOCHROME1", PixelPaddingValue=65535
        ),
        "a window too wide": dicom(deep, 12, WindowCenter=16000, WindowWidth=32000),
        "too wide, inverted": dicom(
            deep, 12, kind="MONOCHROME1", WindowCenter=16000, WindowWidth=32000
        ),
    }


def short_table(entries) -> Dataset:
    """A table that states more entries than it holds."""
    item = table(0, 16, entries)
    item.LUTDescriptor = [60000, 0, 16]
    return item


def with_hot_pixel(pixels: np.ndarray) -> np.ndarray:
    """One pixel far from all others."""
    pixels = pixels.copy()
    if pixels.size > 4:
        pixels[3, 5] = 65535
    return pixels


def padded(pixels: np.ndarray) -> np.ndarray:
    """A frame that is no film, of the highest value."""
    pixels = pixels.copy()
    pixels[: len(pixels) // 20] = 65535
    return pixels
