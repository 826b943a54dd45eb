"""One frozen description of how pixels become network input.

Training, export and the edge runtime all read this class, and it travels as
JSON inside every bundle, so that a device cannot disagree with the trainer.
"""

import dataclasses

import cv2
import numpy as np

from covseg_tf.imaging import to_grey


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
