"""What a server says of one image."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ServedPrediction:
    """Maps and numbers of one image, on the network's grid.

    Attributes:
        lung: Lung probability, float32 `(height, width)` in `[0, 1]`, in
            steps of 1/255.
        infection: Likewise for infection.
        involved_percent: Percent of the lung that is infected, `None` where
            there is no lung. Pixels are counted as they are: the specks that
            `covseg_tf.edge.Prediction` drops are in it.
        lung_percent: Percent of the image that is lung.
    """

    lung: np.ndarray = dataclasses.field(repr=False)
    infection: np.ndarray = dataclasses.field(repr=False)
    involved_percent: float | None
    lung_percent: float
