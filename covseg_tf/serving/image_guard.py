"""Looks at an image file before a decoder does, in the server's own errors."""

from covseg_tf.imaging import png_jpeg
from covseg_tf.serving.errors import InvalidRequest, TooLarge


def check_image(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Refuses what is no whole PNG or JPEG file of a bearable size.

    Args:
        data: The file.
        max_pixels: Largest rows times columns.

    Returns:
        `(rows, columns)` as the header states them.

    Raises:
        InvalidRequest: If it is empty, of another format, cut short, damaged,
            or of more than 10,000 parts.
        TooLarge: If its header states more pixels.
    """
    try:
        return png_jpeg.check_image(data, max_pixels)
    except png_jpeg.ImageTooLarge as error:
        raise TooLarge(str(error)) from None
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
