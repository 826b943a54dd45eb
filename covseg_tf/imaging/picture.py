"""Films from image files: PNG, JPEG, TIFF, BMP, WebP."""

import pathlib

import cv2
import numpy as np

from covseg_tf.imaging.contrast import as_grey
from covseg_tf.imaging.correct.photograph import is_camera_picture
from covseg_tf.imaging.decode import FLAGS, JPEG_END, check_jpeg, decode
from covseg_tf.imaging.film import Film
from covseg_tf.imaging.grey_alpha import read_grey_alpha, turn
from covseg_tf.imaging.headers import check_header
from covseg_tf.imaging.png_jpeg import JPEG
from covseg_tf.imaging.regular_file import read_file
from covseg_tf.imaging.tiff import is_tiff, tiff_page, unturned


def read_picture(data: bytes, page: int | None = None) -> Film:
    """Reads an image file, turned as its EXIF tag says, as grey.

    A JPEG without its end mark is a common fault of archives. It is taken if
    nothing else is missing: what follows its data must not change a pixel.

    Args:
        data: The file.
        page: Page of a TIFF file from 0; `None` (default) for its first.

    Returns:
        The film, with `frame` set if a page was asked for.

    Raises:
        ValueError: If the file is of another format, damaged, cut short, too
            large, or holds NaN or infinity.
    """
    image, notes = read_pixels(data, page or 0)
    grey, done = as_grey(image)
    frame = None if page is None else page + 1
    camera = is_camera_picture(image)
    return Film(grey, grey.shape, notes=notes + done, frame=frame, camera=camera)


def read_pixels(data: bytes, page: int = 0) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decodes a whole picture at its own depth, turned as its EXIF tag says.

    Args:
        data: As in `read_picture`.
        page: Page of a TIFF file, from 0.

    Returns:
        Array `(rows, columns)` or `(rows, columns, 3)` in BGR order, and keys of
        `NOTE_TEXTS`.

    Raises:
        ValueError: As `read_picture`.
    """
    try:
        size = check_header(data, page)
    except ValueError as error:
        raise ValueError(f"cannot be decoded: {error}") from None
    notes: tuple[str, ...] = ()
    if data.startswith(JPEG) and not check_jpeg(data):
        notes, data = ("no_end_mark",), data + JPEG_END
    image = _decode_tiff(data, page) if is_tiff(data) else decode(data)
    if sorted(image.shape[:2]) != sorted(size):
        raise ValueError(
            f"its header states {size[0]} x {size[1]} pixels, it holds "
            f"{image.shape[0]} x {image.shape[1]}."
        )
    if _was_turned(data, page, image):
        notes += ("turned",)
    return image, notes


def read_image(path: str | pathlib.Path) -> np.ndarray:
    """Decodes an image file at its own depth, turned as its EXIF tag says.

    Args:
        path: A PNG, JPEG, TIFF, BMP or WebP file.

    Returns:
        Array `(rows, columns)` or `(rows, columns, 3)` in BGR order, uint8 or
        uint16 (or float for such TIFFs); transparency is dropped.

    Raises:
        ValueError: If the file does not exist, is empty, of another format,
            damaged or cut short.
    """
    path = pathlib.Path(path)
    try:
        return read_pixels(read_file(path))[0]
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}.") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _decode_tiff(data, index):
    page = tiff_page(data, index)
    data = unturned(data, page)
    image = None if index else read_grey_alpha(data)
    return turn(decode(data, index) if image is None else image, page.orientation)


def _was_turned(data, page, image):
    if is_tiff(data):
        return tiff_page(data, page).orientation in range(2, 9)
    # Rather than trusting one more parser of EXIF than OpenCV's.
    if b"Exif\0\0" not in data and b"eXIf" not in data and b"EXIF" not in data:
        return False
    plain = decode(data, 0, FLAGS | cv2.IMREAD_IGNORE_ORIENTATION)
    return not np.array_equal(plain, image)
