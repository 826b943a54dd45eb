"""Small files whose reading would take long: far more work than bytes."""

import gzip
import io
import struct
import zlib

import cv2
import numpy as np

RLE, BASELINE = b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.4.50"


def tiff_of_pages(pages, strips):
    """Pages that share one long table of strips, all but the first of them empty."""
    counts = 8 + 256
    offsets = counts + 4 * strips
    out = bytearray(b"II*\0" + struct.pack("<I", offsets + 4 * strips) + bytes(256))
    out += struct.pack("<I", 256) + bytes(4 * (strips - 1))
    out += struct.pack("<I", 8) + bytes(4 * (strips - 1))
    for page in range(pages):
        tags = [(256, 3, 1, 16), (257, 3, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1)]
        tags += [(262, 3, 1, 1), (273, 4, strips, offsets), (277, 3, 1, 1)]
        tags += [(278, 3, 1, 16), (279, 4, strips, counts)]
        out += struct.pack("<H", len(tags))
        out += b"".join(struct.pack("<HHII", *tag) for tag in tags)
        out += struct.pack("<I", len(out) + 4 if page + 1 < pages else 0)
    return bytes(out)


def nifti_of_members(members):
    """A volume of 64 x 64 x 4 voxels with empty members before its voxels."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, 64, 64, 4, 1, 1, 1, 1)
    struct.pack_into("<hh", head, 70, 4, 16)
    struct.pack_into("<f", head, 108, 352.0)
    struct.pack_into("<12f", head, 280, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    struct.pack_into("<h", head, 254, 1)  # sform
    head[344:348] = b"n+1\0"
    voxels = np.full(64 * 64 * 4, -500, "<i2").tobytes()
    empty = gzip.compress(b"", mtime=0) * members
    return gzip.compress(bytes(head), mtime=0) + empty + gzip.compress(voxels, mtime=0)


def element(group, number, kind, value):
    """A DICOM element of explicit VR, little endian."""
    tag = struct.pack("<HH", group, number) + kind
    if kind in (b"OB", b"OV", b"UN"):
        return tag + b"\0\0" + struct.pack("<I", len(value)) + value
    value += (b"\0" if kind == b"UI" else b" ") * (len(value) % 2)
    return tag + struct.pack("<H", len(value)) + value


def item(data):
    """A fragment."""
    return b"\xfe\xff\0\xe0" + struct.pack("<I", len(data)) + data


def dicom(syntax, packed, frames=1, extra=b""):
    """A radiograph of 16 x 16 pixels, encapsulated."""

    def short(number, value):
        return element(0x28, number, b"US", struct.pack("<H", value))

    meta = element(2, 2, b"UI", b"1.2.840.10008.5.1.4.1.1.1")
    meta += element(2, 3, b"UI", b"1.2.3") + element(2, 16, b"UI", syntax)
    body = element(8, 0x60, b"CS", b"DX") + short(2, 1)
    body += element(0x28, 4, b"CS", b"MONOCHROME2")
    if frames > 1:
        body += element(0x28, 8, b"IS", str(frames).encode())
    for number, value in ((16, 16), (17, 16), (256, 8), (257, 8), (258, 7), (259, 0)):
        body += short(number, value)
    body += extra + struct.pack("<HH", 0x7FE0, 0x10) + b"OB\0\0\xff\xff\xff\xff"
    size = element(2, 0, b"UL", struct.pack("<I", len(meta)))
    end = b"\xfe\xff\xdd\xe0" + bytes(4)
    return bytes(128) + b"DICM" + size + meta + body + packed + end


def rle_of_no_ops(size):
    """An RLE frame of so many bytes that do nothing before its 16 rows."""
    starts = [64, 64 + size] * 7 + [64]
    return struct.pack("<16I", 15, *starts) + b"\x80" * size + b"\xf1\0" * 16


def rle():
    """A plain RLE frame of 16 x 16 pixels."""
    return struct.pack("<16I", 1, 64, *[0] * 14) + b"\xf1\x05" * 16


def offsets(*values):
    """A table of offsets."""
    return item(struct.pack(f"<{len(values)}I", *values))


def jpeg_in_fragments(count, frames=1):
    """A JPEG frame, then fragments of nothing."""
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    code = cv2.imencode(".jpg", picture)[1].tobytes()
    code += b"\0" * (len(code) % 2)
    return dicom(BASELINE, item(b"") + item(code) + item(b"") * count, frames)


def zip_with_false_record(members):
    """A list of members whose locator names a record that calls it short."""
    local = b"PK\3\4" + struct.pack("<HHHHHIIIHH", 20, *[0] * 7, 1, 0) + b"a"
    one = struct.pack("<HHHHHHIIIHHHHHII", 20, 20, *[0] * 7, 1, *[0] * 6)
    one = b"PK\1\2" + one + b"a"
    stream = io.BytesIO()
    stream.write(local)
    false = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, 40, 0)
    place = stream.tell()
    stream.write(false)
    start = stream.tell()
    stream.write(one * members)
    numbers = (44, 45, 45, 0, 0, members, members, len(one) * members, start)
    stream.write(b"PK\6\6" + struct.pack("<QHHIIQQQQ", *numbers))
    stream.write(b"PK\6\7" + struct.pack("<IQI", 0, place, 1))
    full = (0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    stream.write(b"PK\5\6" + struct.pack("<HHHHIIH", *full))
    return stream.getvalue()


def scan_bomb(rows, columns, scans):
    """A progressive grey JPEG whose scans are a few bytes each and refine nothing."""

    def segment(kind, body):
        return bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body

    def bits(text):
        text += "1" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")

    blocks = -(-rows // 8) * -(-columns // 8)
    refine = bits("0" * 15 * -(-blocks // 2**14))  # runs of 2**14 empty blocks
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xDB, b"\0" + bytes([1] * 64)),
            segment(0xC2, struct.pack(">BHHB", 8, rows, columns, 1) + b"\1\x11\0"),
            segment(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\x00"),
            segment(0xC4, b"\x10" + bytes([1, 1] + [0] * 14) + b"\xe0\x00"),
            segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(-(-blocks // 8)),
            (segment(0xDA, bytes([1, 1, 0, 1, 63, 0x10])) + refine) * scans,
            b"\xff\xd9",
        )
    )


# What comes before the packed part of a chunk of text.
HEADS = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0en\0b\0", b"iCCP": b"a\0\0"}


def png_of(data, *chunks):
    """A PNG file with chunks behind its header."""
    parts = [
        struct.pack(">I", len(body))
        + (kind + body)
        + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return data[:33] + b"".join(parts) + data[33:]
