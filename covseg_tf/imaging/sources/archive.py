"""Members of a zip archive, read one at a time and never unpacked to disk."""

import io
import struct
import zipfile
import zlib
from collections import Counter

from covseg_tf.imaging.limits import MAX_DIRECTORY, MAX_FILE, MAX_RATIO
from covseg_tf.imaging.regular_file import open_file
from covseg_tf.imaging.sources.entry import Entry, failed_entry
from covseg_tf.imaging.sources.folder import reason_to_skip

_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FROM_ARCHIVE, _FROM_MEMBER = 2 << 30, 100 << 20
# What zipfile raises on damaged archives.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, struct.error, OverflowError),
    *(NotImplementedError, RuntimeError, UnicodeError, IndexError),
)


def archive_entries(entry: Entry, left_out: Counter[str]) -> list[Entry]:
    """Lists the members that may be films.

    Member names are shown, never used as paths.

    Args:
        entry: The archive.
        left_out: Counts by reason what is no film; added to.

    Returns:
        Entries named `ARCHIVE!MEMBER`; encrypted or bomb-like members fail on
        reading.

    Raises:
        ValueError: If the archive is damaged, is a bomb or holds no film.
        OSError: If it cannot be read.
    """
    members = _members(entry)
    _check_bomb(entry, members)
    entries = []
    taken: set[str] = set()
    for info in members:
        if info.is_dir():
            continue
        member = _member_entry(entry, info)
        reason = reason_to_skip(info.filename, member.head)
        if reason:
            left_out[reason] += 1
        elif member.name not in taken:
            taken.add(member.name)
            entries.append(member)
    if not entries:
        raise ValueError("the archive holds no image.")
    return entries


def _member_entry(entry, info):
    name = f"{entry.name}!{info.filename}"
    reason = _refusal(info)
    if reason:
        return failed_entry(name, reason, entry.path)
    return Entry(
        name,
        f"{info.CRC:08x}-{info.file_size}",
        lambda size: _read(entry, info, size),
        lambda: _read(entry, info, None),
        entry.path,
        True,
    )


def _refusal(info):
    if info.flag_bits & 1:
        return "is encrypted; unpack the archive with its password first."
    if info.compress_type not in _READABLE:
        return f"is packed in a way that is not read (method {info.compress_type})."
    if info.file_size > MAX_FILE:
        return f"unpacks to {info.file_size} bytes; at most {MAX_FILE} are read."
    packed = max(info.compress_size, 1)
    if info.file_size > _FROM_MEMBER and info.file_size > MAX_RATIO * packed:
        return "unpacks to more than 100 times its size; this looks like a bomb."
    return ""


def _check_bomb(entry, members):
    total = sum(info.file_size for info in members)
    packed = sum(info.compress_size for info in members)
    size = max(1, entry.path.stat().st_size if entry.path else len(entry.load()))
    # Members may overlap, each counting the same packed bytes again.
    bomb = total > _FROM_ARCHIVE and total > MAX_RATIO * size
    if bomb or packed > 2 * size + (1 << 20):
        raise ValueError("the archive unpacks to far more than it is; a bomb.")


def _open(entry):
    if entry.path is None:
        return io.BytesIO(entry.load())
    return open_file(entry.path)


class _Bounded:
    """A stream that never gives a list of members so long that it fills memory.

    Whichever of an archive's several records of that length is believed.
    """

    def __init__(self, stream):
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell
        self.seekable, self.close = stream.seekable, stream.close

    def read(self, size=-1):
        data = self._stream.read(size if 0 <= size <= MAX_DIRECTORY else MAX_DIRECTORY)
        if len(data) == MAX_DIRECTORY:
            raise ValueError("the archive lists too many members; split it.")
        return data


def _members(entry):
    with _open(entry) as stream:
        try:
            with zipfile.ZipFile(_Bounded(stream)) as archive:
                return archive.infolist()
        except _DAMAGE as error:
            raise ValueError(
                f"the archive is cut short or damaged ({error})."
            ) from None


def _read(entry, info, size):
    """A member's first bytes, or all of them, checked.

    `zipfile` would parse the whole list of members again for each of them.
    """
    with _open(entry) as stream:
        stream.seek(info.header_offset)
        header = stream.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise ValueError("cannot be unpacked (its header is damaged).")
        name, extra = struct.unpack_from("<HH", header, 26)
        stream.seek(name + extra, io.SEEK_CUR)
        if size is not None:
            packed = stream.read(min(info.compress_size, size + 1024))
            return _unpack(packed, info, min(size, info.file_size))
        packed = stream.read(info.compress_size)
    data = _unpack(packed, info, info.file_size)
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise ValueError("cannot be unpacked (its checksum or size is wrong).")
    return data


def _unpack(packed, info, size):
    if info.compress_type == zipfile.ZIP_STORED:
        return packed[:size]
    if size == 0:
        return b""  # 0 would mean without end to zlib
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size)
    except zlib.error as error:
        raise ValueError(f"cannot be unpacked ({error}).") from None
