"""OpenCV's decoders, held to whole pictures and silent."""

import contextlib
import threading

import cv2
import numpy as np

from covseg_tf.imaging.limits import MAX_DECODED, MAX_PIXELS
from covseg_tf.imaging.png_jpeg import walk_jpeg

FLAGS = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
_LOCK = threading.Lock()
_silenced: list[int] = []
# SOF0 and SOF1: one scan holds the whole picture.
_SEQUENTIAL = (0xC0, 0xC1)
JPEG_END = b"\xff\xd9"
# No byte FF, which would be a marker, and the others in no order; and every bit of
# it turned, should the first bits happen to be what is missing.
_JUNK = [bytes((pow(3, n, 257) ^ x) % 255 for n in range(2048)) for x in (0, 255)]


def decode(data: bytes, page: int = 0, flags: int = FLAGS) -> np.ndarray:
    """Decodes an image with OpenCV, and without its warnings.

    Args:
        data: The file, see `check_header`.
        page: Page of a TIFF file, from 0.
        flags: OpenCV's `IMREAD_` flags; own depth and colours by default.

    Raises:
        ValueError: If it cannot be decoded.
    """
    buffer = np.frombuffer(data, np.uint8)
    with _silence():
        try:
            if page:
                _, pages = cv2.imdecodemulti(buffer, flags, range=(page, page + 1))
                image = pages[0] if pages else None
            else:
                image = cv2.imdecode(buffer, flags)
        except cv2.error as error:
            reason = " ".join(str(error.err).split())
            raise ValueError(f"cannot be decoded ({reason}).") from None
    if image is None or image.size == 0:
        raise ValueError("cannot be decoded; it is damaged. Save it as PNG.")
    if image.nbytes > MAX_DECODED:
        raise ValueError(f"cannot be decoded; it holds {image.nbytes} bytes.")
    return image


def check_jpeg(data: bytes) -> bool:
    """Refuses a JPEG that was cut off, but for one that lacks its end mark alone.

    OpenCV fills the rest of a cut picture with grey, and says nothing. A decoder
    that still waits for pixels takes whatever follows for them: if junk in place
    of the end mark changes the picture, it is not whole. Of several scans the
    mark is the only sign that all are there.

    Returns:
        Whether the end mark is there.

    Raises:
        ValueError: If pixels are missing.
    """
    walk = walk_jpeg(data, MAX_PIXELS)
    if walk.ended:
        return True
    if walk.frame in _SEQUENTIAL and walk.scans == 1:
        data = data.rstrip(b"\xff")  # half a mark would swallow the junk
        plain, *others = (decode(data + junk + JPEG_END) for junk in (b"", *_JUNK))
        if all(np.array_equal(plain, other) for other in others):
            return False
    raise ValueError("cannot be decoded: the JPEG file is cut short.")


# cv2.utils.logging.LOG_LEVEL_SILENT.
_SILENT = 0


@contextlib.contextmanager
def _silence():
    """OpenCV's own warnings of damaged files tell a user nothing."""
    # The level belongs to the process, and films are read in threads: the first
    # in turns it down, the last out turns it up again.
    # OpenCV 4.10 has the two functions at its top, a later one here.
    log = getattr(cv2.utils, "logging", cv2)
    with _LOCK:
        if not _silenced:
            _silenced.append(log.getLogLevel())
            log.setLogLevel(_SILENT)
        else:
            _silenced.append(_silenced[0])
    try:
        yield
    finally:
        with _LOCK:
            level = _silenced.pop()
            if not _silenced:
                log.setLogLevel(level)
