"""One frozen description of how pixels become network input.

Training, export and the edge runtime all read this class, and it travels as
JSON inside every bundle, so that a device cannot disagree with the trainer.
"""

import dataclasses
import pathlib

import cv2
import numpy as np

# Rows that are stretched at once.
_BLOCK = 256


@dataclasses.dataclass(frozen=True)
class PreprocessingSpec:
    """How an image becomes the network's input.

    The steps, in order: colour to grey (ITU-R BT.601 luma, OpenCV's
    `COLOR_BGR2GRAY`); other depths than 8 bit to 8 bit (linear, the image's
    minimum to 0 and its maximum to 255); stretch to `height` x `width` (area
    averaging when both sides shrink, bilinear otherwise); multiply by `scale`.

    Attributes:
        height: Int, rows of the network's input. Defaults to 256.
        width: Int, columns of the network's input. Defaults to 256.
        scale: Float, factor from a grey level in `[0, 255]` to the network's
            input. Defaults to 1 / 255.

    Raises:
        ValueError: If a size or the scale is not positive.
    """

    height: int = 256
    width: int = 256
    scale: float = 1.0 / 255.0

    def __post_init__(self):
        if self.height < 1 or self.width < 1 or not self.scale > 0:
            raise ValueError(
                "A preprocessing spec needs positive height, width and scale. "
                f"Received: height={self.height}, width={self.width}, "
                f"scale={self.scale}"
            )

    @classmethod
    def from_dict(cls, fields: dict) -> "PreprocessingSpec":
        """Returns the spec of a bundle's JSON object.

        Raises:
            ValueError: If a field is unknown or missing.
        """
        expected = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != expected:
            raise ValueError(
                f"A preprocessing spec has exactly the fields {sorted(expected)}. "
                f"Received: {sorted(fields)}"
            )
        return cls(**fields)

    def to_dict(self) -> dict:
        """Returns the spec as a JSON-ready dict."""
        return dataclasses.asdict(self)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Returns the grey 8-bit pixels that the network reads.

        Args:
            image: Array `(rows, columns)` or `(rows, columns, 1 | 3 | 4)`,
                uint8, uint16, any other integer, or float; colour in BGR
                order as `cv2.imread` gives it.

        Returns:
            uint8 array `(height, width)`. Multiply by `scale` for a float
            network; a uint8 network takes it as it is.

        Raises:
            ValueError: If the array is no image, is empty or holds NaN or
                infinity.
        """
        return self.resize(to_grey(image))

    def resize(self, grey: np.ndarray) -> np.ndarray:
        """Stretches grey pixels `(rows, columns)` to `(height, width)`."""
        rows, columns = grey.shape
        if (rows, columns) == (self.height, self.width):
            return grey
        shrinks = rows >= self.height and columns >= self.width
        return cv2.resize(
            grey,
            (self.width, self.height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )

    def resize_mask(self, mask: np.ndarray) -> np.ndarray:
        """Stretches a mask `(rows, columns)` by nearest neighbour."""
        if mask.shape == (self.height, self.width):
            return mask
        return cv2.resize(
            mask, (self.width, self.height), interpolation=cv2.INTER_NEAREST_EXACT
        )


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


def to_grey(image: np.ndarray) -> np.ndarray:
    """Returns any grey or colour image as uint8 `(rows, columns)`.

    8-bit pixels keep their values. Every other depth is stretched linearly,
    minimum to 0 and maximum to 255; a constant image becomes 0.

    Raises:
        ValueError: If the array is no image, is empty or holds NaN or infinity.
    """
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    is_colour = image.ndim == 3 and image.shape[-1] in (3, 4)
    if image.size == 0 or not (image.ndim == 2 or is_colour):
        raise ValueError(
            "An image must be a non-empty array (rows, columns) or "
            f"(rows, columns, 1, 3 or 4). Received shape: {image.shape}"
        )
    if image.dtype.kind not in "uifb":
        raise ValueError(
            f"An image must hold integers or floats. Received: {image.dtype}"
        )
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ValueError(
            "The image holds NaN or infinity; replace them before the call."
        )
    if image.dtype != np.uint8:
        image = _stretch_to_uint8(image)
    if is_colour:
        code = cv2.COLOR_BGR2GRAY if image.shape[-1] == 3 else cv2.COLOR_BGRA2GRAY
        image = cv2.cvtColor(image, code)
    return np.ascontiguousarray(image)


def _stretch_to_uint8(image):
    low, high = float(image.min()), float(image.max())
    grey = np.zeros(image.shape, np.uint8)
    if high <= low:
        return grey
    if not np.isfinite(high - low):
        raise ValueError(f"The image's range, {low:g} to {high:g}, is too wide.")
    # In blocks: a float64 copy of a large film would take 8 times its memory.
    for start in range(0, len(image), _BLOCK):
        block = image[start : start + _BLOCK].astype(np.float64)
        grey[start : start + _BLOCK] = np.rint((block - low) * (255.0 / (high - low)))
    return grey
