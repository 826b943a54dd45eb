"""Radiographs whose headers are odd, one fault each, for both readers."""

import io
import struct

import image_files
import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

_UID = pydicom.uid
WINDOW = {"WindowCenter": 2048, "WindowWidth": 3000}
_NUMBERS = ("", "2048,5", "2048.5", " 1e3 ", "2048\\", "\\2048", "inf", "nan", "1E400")
_NUMBERS += ("abc", "0x800", "+2048", "2048\\1000", "- 2048", "1e3f", "0", "-1", "1")
_NUMBERS += ("1e-9", "1e300", "1e308", "16383", "2")
_LAYOUTS = ((12, 15), (10, 9), (14, 13), (0, 0), (20, 19), (None, None), (8, 7))
_LAYOUTS += ((12, 3), (16, 11), (12, 13), (255, 254), (1, 0), (16, 99))
_VIEWS = ("", "PA", "LL", "LAT", "L", "LLD", "lateral", "LLO", "LT LAT", "XYLATX")
_SERIES = ("CHEST LAT", "Thorax seitlich", "CHEST PA AND LAT", "CHEST LAT DECUBITUS")
_SERIES += ("PLATE LATERALITY", "chest_lat")
_ORIENTATIONS = (
    "L\\F",
    "R\\F",
    "L\\H",
    "R\\H",
    "A\\F",
    "P\\H",
    "L",
    "",
    "F\\L",
    " R\\ F",
)


def files(image: np.ndarray) -> dict[str, bytes]:
    """DICOM files by name; `image` is uint8 `(rows, columns)`."""
    deep = image.astype(np.uint16) * 16 + 7
    plain = image_files.dicom(deep, 12, **WINDOW)
    rescaled = image_files.dicom(deep, 12, RescaleSlope=1, RescaleIntercept=0, **WINDOW)
    found = {"as it should be": plain}
    for value in _NUMBERS:
        found |= {
            f"center {value}": _raw(plain, WindowCenter=value),
            f"width {value}": _raw(plain, WindowWidth=value),
            f"width {value}, exact": _raw(
                plain, WindowWidth=value, VOILUTFunction="LINEAR_EXACT"
            ),
            f"width {value}, sigmoid": _raw(
                plain, WindowWidth=value, VOILUTFunction="Sigmoid "
            ),
            f"intercept {value}": _raw(rescaled, RescaleIntercept=value),
            f"slope {value}": _raw(rescaled, RescaleSlope=value),
            f"frames {value}": _raw(plain, NumberOfFrames=value),
        }
    found |= _tables(deep) | _layouts(deep, plain) | _paddings(deep)
    for keyword, values in {
        "ViewPosition": _VIEWS,
        "SeriesDescription": _SERIES,
        "PatientOrientation": _ORIENTATIONS,
        "Modality": ("cr", "SC", "MG", "CT", ""),
        "PhotometricInterpretation": ("monochrome1", "", "MONOCHROME 1", "RGB"),
        "PresentationLUTShape": ("INVERSE", "IDENTITY"),
    }.items():
        found |= {f"{keyword} {v}": _raw(plain, **{keyword: v}) for v in values}
    for code, meaning in (("399067008", ""), ("R-10206", ""), ("", "right lateral")):
        item = Dataset()
        item.CodeValue, item.CodeMeaning = code, meaning
        data = image_files.dicom(deep, 12, ViewCodeSequence=[item], **WINDOW)
        found[f"view code {code} {meaning}"] = data
    implicit = _UID.ImplicitVRLittleEndian
    start = 132 + 12 + struct.unpack_from("<I", plain, 140)[0]
    found |= {
        "no preamble": plain[132:],
        "no first group": plain[start:],
        "zeros behind it": plain + bytes(9),
        "cut": plain[:-10],
        "big-endian": _big_endian(plain),
        "a sequence before the pixels": image_files.dicom(
            deep, 12, syntax=implicit, ReferencedStudySequence=[Dataset()], **WINDOW
        ),
    }
    return found | _colours(image)


def _raw(data, **values):
    """The file with the bytes of some elements; without those that are `None`."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in values.items():
        tag = Tag(pydicom.datadict.tag_for_keyword(keyword))
        if value is None:
            del dataset[tag]
            continue
        kind = pydicom.datadict.dictionary_VR(tag)[:2]  # of "US or SS"
        if isinstance(value, int):
            value = struct.pack("<H", value & 0xFFFF)
        elif isinstance(value, str):
            value = value.encode() + b" " * (len(value) % 2)
        implicit, little = dataset.original_encoding
        dataset._dict[tag] = RawDataElement(
            *(tag, kind, len(value), value, 0, implicit, little)
        )
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def table(count, first, bits, entries, kind="OW", dtype="<u2"):
    """An item of a table, as odd as it is asked for."""
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [count, first, bits])
    entries = np.asarray(entries).astype(dtype)
    value = entries.tobytes() if kind in ("OW", "OB") else entries.tolist()
    item.add_new(0x00283006, kind, value)
    return item


def _tables(deep):
    curve = 4095 * np.linspace(0, 1, 4096) ** 1.5
    whole = 65535 * np.linspace(0, 1, 65536) ** 1.5
    only = Dataset()
    only.add_new(0x00283002, "US", [4096, 0, 12])
    bare = Dataset()
    bare.add_new(0x00283006, "OW", curve.astype("<u2").tobytes())
    tables = {
        "of 12 bits": table(4096, 0, 12, curve),
        "of 0, meaning all, entries": table(0, 0, 16, whole),
        "of 0 entries, short": table(0, 0, 16, curve),
        "that says 16 bits": table(4096, 0, 16, curve),
        "that says 8 bits": table(4096, 0, 8, curve),
        "that says 10 bits": table(4096, 0, 10, curve),
        "that says 0 bits": table(4096, 0, 0, curve),
        "that says 99 bits": table(4096, 0, 99, curve),
        "of 8 bits in bytes": table(4096, 0, 8, curve / 16, "OB", "u1"),
        "of 8 bits in words": table(4096, 0, 8, curve / 16),
        "of numbers": table(4096, 0, 12, curve, "US"),
        "from 200": table(3896, 200, 12, curve[200:]),
        "from 65535, which is -1": table(4096, 65535, 12, curve),
        "cut short": table(4096, 0, 12, curve[:4000]),
        "with more than it says": table(4096, 0, 12, [*curve, 9, 9]),
        "of one entry": table(1, 0, 12, [5]),
        "of nothing but 0": table(4096, 0, 12, curve * 0),
        "that falls": table(4096, 0, 12, curve[::-1]),
        "of two numbers": table(4096, 0, 12, curve),
        "of no entries": only,
        "of no description": bare,
        "of nothing": Dataset(),
    }
    tables["of two numbers"].LUTDescriptor = [4096, 0]
    found, implicit = {}, _UID.ImplicitVRLittleEndian
    for name, item in tables.items():
        for where in ("VOI", "Modality"):
            words = {f"{where}LUTSequence": [item]}
            make = image_files.dicom
            found[f"{where} table {name}"] = make(deep, 12, **words)
            found[f"{where} table {name}, and a window"] = make(
                deep, 12, **words, **WINDOW
            )
        found[f"table {name}, implicit"] = make(
            deep, 12, syntax=implicit, VOILUTSequence=[item], **WINDOW
        )
    signed = (deep.astype(np.int32) - 2048).astype(np.int16)
    below = {"RescaleSlope": 1, "RescaleIntercept": -2048}
    for first in (-2048, 63488):
        words = {"VOILUTSequence": [table(4096, first, 12, curve)]}
        found[f"signed, table from {first}"] = make(signed, 12, **words)
        found[f"rescaled, table from {first}"] = make(deep, 12, **words, **below)
    return found


def _layouts(deep, plain):
    found, make = {}, image_files.dicom
    for stored, high in _LAYOUTS:
        for name, data in (("", make(deep, 12)), (", a window", plain)):
            found[f"{stored} bits to {high}{name}"] = _raw(
                data, BitsStored=stored, HighBit=high
            )
    marks = (np.indices(deep.shape).sum(0) % 7 == 0).astype(np.uint16) * 0xF000
    signed = (deep.astype(np.int32) - 2048).astype(np.int16)
    upper = {"HighBit": 15, **WINDOW}
    found |= {
        "overlay": make(deep | marks, 12),
        "overlay, a window": make(deep | marks, 12, **WINDOW),
        "overlay, signed": make(signed & 0x0FFF, 12, **WINDOW),
        "upper bits": make(deep * 16 + 9, 12, HighBit=15),
        "upper bits, a window": make(deep * 16 + 9, 12, **upper),
        "upper bits, signed": make((deep * 16 + 9).view(np.int16), 12, **upper),
        "upper bits, run lengths": make(
            deep * 16 + 9, 12, syntax=_UID.RLELossless, **upper
        ),
        "upper bits, deflated": make(
            deep * 16 + 9, 12, syntax=_UID.DeflatedExplicitVRLittleEndian, **upper
        ),
        "8 bits, signed": make((deep // 16 - 128).astype(np.int8), 8),
        "32 bits": make(deep.astype(np.uint32) * 1000, 32),
        "32 bits, signed": make(
            signed.astype(np.int32), 32, WindowCenter=0, WindowWidth=9e3
        ),
        "no bits allocated": _raw(plain, BitsAllocated=None),
        "no rows": _raw(plain, Rows=None),
    }
    for keyword in ("PixelRepresentation", "SamplesPerPixel", "BitsStored"):
        found[f"no {keyword}"] = _raw(plain, **{keyword: None})
        found[f"empty {keyword}"] = _raw(plain, **{keyword: b""})
    found["a sign of 2"] = _raw(plain, PixelRepresentation=2)
    return found


def _paddings(deep):
    high, low = image_files.padded(deep), image_files.padded(deep).view(np.int16)
    low[low == -1] = -32768
    make = image_files.dicom
    ends = {"PixelPaddingValue": 65535, "PixelPaddingRangeLimit": 63000}
    below = make(low, 16, PixelPaddingValue=-32768)
    return {
        "padding, its ends the other way": make(high, 16, **ends),
        "padding, signed": below,
        "padding, signed and inverted": make(
            low, 16, kind="MONOCHROME1", PixelPaddingValue=-32768
        ),
        "padding, its sign lost": _raw(below, PixelPaddingValue=32768),
        "padding, a sign too many": _raw(make(high, 16), PixelPaddingValue=-1),
        "padding of two values": make(high, 16, PixelPaddingValue=[65535, 3]),
        "padding, only its limit": make(high, 16, PixelPaddingRangeLimit=65535),
        "padding, empty": _raw(make(high, 16, **WINDOW), PixelPaddingValue=b""),
        "padding and nothing else": make(high * 0 + 9, 16, PixelPaddingValue=9),
        "a bar without a name": make(high, 16),
        "a bar without a name, far below": make(low, 16),
        "padding in 8 bits": make(deep.astype(np.uint8), PixelPaddingValue=0),
    }


def _big_endian(data):
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.PixelData = dataset.pixel_array.byteswap().tobytes()
    dataset.file_meta.TransferSyntaxUID = _UID.ExplicitVRBigEndian
    stream = io.BytesIO()
    pydicom.dcmwrite(
        stream,
        dataset,
        little_endian=False,
        implicit_vr=False,
        enforce_file_format=True,
    )
    return stream.getvalue()


def _colours(image):
    found = {}
    planes = np.dstack([image, image // 2, 255 - image])
    for planar, pixels in enumerate((planes, planes.transpose(2, 0, 1))):
        dataset = pydicom.dcmread(io.BytesIO(image_files.dicom(image)))
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, planar
        dataset.PhotometricInterpretation = "RGB"
        dataset.PixelData = pixels.tobytes()
        stream = io.BytesIO()
        dataset.save_as(stream)
        found[f"colour, planar {planar}"] = stream.getvalue()
    return found
