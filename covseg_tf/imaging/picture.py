"""Films from image files: PNG, JPEG, TIFF, BMP, WebP."""

import pathlib

import cv2
import numpy as np

from covseg_tf.imaging.contrast import to_grey
from covseg_tf.imaging.decode import FLAGS, JPEG_END, check_jpeg, decode
from covseg_tf.imaging.film import Film
from covseg_tf.imaging.headers import check_header
from covseg_tf.imaging.png_jpeg import JPEG
from covseg_tf.imaging.tiff import is_tiff, tiff_pages

# Colours so far apart are no noise of JPEG, in more than one pixel of 1,000.
_COLOUR, _COLOURED = 12, 0.001


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
    try:
        size = check_header(data, page or 0)
    except ValueError as error:
        raise ValueError(f"cannot be decoded: {error}") from None
    notes: tuple[str, ...] = ()
    if data.startswith(JPEG) and not check_jpeg(data):
        notes, data = ("no_end_mark",), data + JPEG_END
    image = decode(data, page or 0)
    if sorted(image.shape[:2]) != sorted(size):
        raise ValueError(
            f"its header states {size[0]} x {size[1]} pixels, it holds "
            f"{image.shape[0]} x {image.shape[1]}."
        )
    if _was_turned(data, page or 0, image):
        notes += ("turned",)
    if _is_coloured(image):
        notes += ("colour",)
    if image.dtype != np.uint8:
        notes += ("stretched",)
    grey = to_grey(image)
    return Film(grey, grey.shape, notes=notes, frame=None if page is None else page + 1)


def _was_turned(data, page, image):
    if is_tiff(data):
        return tiff_pages(data)[page].orientation in range(2, 9)
    # Rather than trusting one more parser of EXIF than OpenCV's.
    if b"Exif\0\0" not in data and b"eXIf" not in data and b"EXIF" not in data:
        return False
    plain = decode(data, 0, FLAGS | cv2.IMREAD_IGNORE_ORIENTATION)
    return not np.array_equal(plain, image)


def _is_coloured(image):
    if image.ndim == 2 or image.shape[2] < 3:
        return False
    blue, green, red = (image[..., channel] for channel in range(3))
    apart = np.maximum(cv2.absdiff(blue, green), cv2.absdiff(green, red))
    limit = _COLOUR
    if image.dtype != np.uint8:
        limit *= float(np.abs(image).max()) / 255
    return bool((apart > limit).mean() > _COLOURED)


def read_image(path: str | pathlib.Path) -> np.ndarray:
    """Decodes an image file at its own depth, turned as its EXIF tag says.

    Args:
        path: A file in a format that OpenCV reads (PNG, JPEG, TIFF, BMP, ...).

    Returns:
        Array `(rows, columns)` or `(rows, columns, 3)` in BGR order, uint8 or
        uint16 (or float for such TIFFs); transparency is dropped.

    Raises:
        ValueError: If the file does not exist, is empty or cannot be decoded.
    """
    path = pathlib.Path(path)
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}.") from None
    if data.size == 0:
        raise ValueError(f"{path}: the file is empty.")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    except cv2.error as error:
        raise ValueError(f"{path}: cannot be decoded ({error.err}).") from None
    if image is None:
        raise ValueError(
            f"{path}: cannot be decoded; it is damaged or no image. Save it as "
            "PNG or JPEG."
        )
    return image
