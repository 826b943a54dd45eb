"""Any image that a client is given, as the bytes to send."""

import pathlib

import cv2
import numpy as np

from covseg_tf.edge import read_image
from covseg_tf.imaging import to_grey

_AS_THEY_ARE = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


def image_to_bytes(image: bytes | str | pathlib.Path | np.ndarray) -> bytes:
    """Returns a PNG or JPEG file.

    Args:
        image: Bytes of a PNG or JPEG file, sent as they are; the path of an
            image file, sent as it is if PNG or JPEG and as grey PNG otherwise;
            or an array as for `PreprocessingSpec.apply`, sent as grey PNG.

    Raises:
        ValueError: If the file cannot be read or the array is no image.
    """
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, (str, pathlib.Path)):
        path = pathlib.Path(image)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror or error}.") from None
        if data.startswith(_AS_THEY_ARE):
            return data
        image = read_image(path)
    return cv2.imencode(".png", to_grey(np.asarray(image)))[1].tobytes()
