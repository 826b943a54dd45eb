"""Any form of a network behind one call."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from covseg_tf.edge.preprocessing import PreprocessingSpec


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A network that is ready to be scored, whatever file it came from.

    Attributes:
        name: The file's or folder's name without suffix, or the bundle's.
        spec: How pixels become its input; the size is read from the file.
        flows: The maps that it gives, `("lung", "infection")` or
            `("infection",)`.
        threshold: Foreground is above it: the bundle's, or 0.5.
        run: Prepared pixels to a dict of maps, see `__call__`.
    """

    name: str
    spec: PreprocessingSpec
    flows: tuple[str, ...]
    threshold: float
    run: Callable[[np.ndarray], Mapping[str, np.ndarray]] = dataclasses.field(
        repr=False
    )

    def __call__(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the probability maps of one image.

        Args:
            pixels: uint8 `(height, width)`, from `spec.apply`.

        Returns:
            Dict from flow to float32 `(height, width)` in `[0, 1]`.

        Raises:
            ValueError: If the pixels have another type or size.
        """
        shape = (self.spec.height, self.spec.width)
        if pixels.dtype != np.uint8 or pixels.shape != shape:
            raise ValueError(
                f"{self.name} takes uint8 pixels {shape}; use `spec.apply(image)`. "
                f"Received: {pixels.dtype} {pixels.shape}"
            )
        maps = self.run(pixels)
        return {flow: np.asarray(maps[flow], np.float32) for flow in self.flows}

    def mirrored(self) -> "Predictor":
        """Returns the mean of the maps of the image and of its mirror image.

        Twice the time. Source: Krizhevsky et al. 2012, "ImageNet Classification
        with Deep Convolutional Neural Networks", section 4.1.
        """

        def run(pixels):
            straight = self.run(pixels)
            mirrored = self.run(np.ascontiguousarray(pixels[:, ::-1]))
            return {
                k: (np.asarray(v) + np.asarray(mirrored[k])[:, ::-1]) / 2
                for k, v in straight.items()
            }

        return dataclasses.replace(self, name=f"{self.name}, mirrored", run=run)
