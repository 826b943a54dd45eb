"""From a map to the extent that readers would have given."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

MOST_KNOTS = 64
HIGHEST = 4.0  # of one lung


@dataclasses.dataclass(frozen=True)
class ReadersScale:
    """Readers' extent of a lung, 0 to 4, from its infection map.

    Outlines are drawn more generously than readers score, so one threshold cannot
    give both. Here the share of a lung is the mean over it of
    `sigmoid(scale * z + offset)`, z being the map's logit, and a line through knots,
    fitted on films with readers' scores (`covseg_tf.evaluation.fit_readers_scale`),
    turns the share into their score.

    Args:
        scale: Float > 0, of the logit.
        offset: Float, added to it.
        shares: Knots of the line, at least two, increasing, in `[0, 1]`.
        extents: Its values there, not decreasing, in `[0, 4]`; beyond the knots the
            line is flat.

    Raises:
        ValueError: If a number is out of range.

    Example:

    >>> import numpy as np
    >>> readers = ReadersScale(1.0, 0.0, (0.0, 1.0), (0.0, 4.0))
    >>> lung = np.ones((2, 2), bool)
    >>> readers.extent(np.full((2, 2), 64, np.uint8), lung)  # a probability of 1/4
    1.0
    """

    scale: float
    offset: float
    shares: tuple[float, ...]
    extents: tuple[float, ...]

    def __post_init__(self):
        shares, extents = map(list, (self.shares, self.extents))
        numbers = [self.scale, self.offset, *shares, *extents]
        good = (
            all(map(math.isfinite, numbers))
            and self.scale > 0
            and 2 <= len(shares) == len(extents) <= MOST_KNOTS
            and all(a < b for a, b in zip(shares, shares[1:], strict=False))
            and extents == sorted(extents)
            and shares[0] >= 0
            and shares[-1] <= 1
            and extents[0] >= 0
            and extents[-1] <= HIGHEST
        )
        if not good:
            raise ValueError(
                "A readers' scale needs a scale above 0 and 2 to 64 knots: increasing "
                f"shares in [0, 1], extents in [0, 4]. Received: {self}"
            )

    @classmethod
    def from_dict(cls, fields: Mapping) -> "ReadersScale":
        """Returns the scale that a bundle's manifest holds.

        Args:
            fields: `"scale"`, `"offset"`, `"shares"` and `"extents"`.

        Raises:
            KeyError, TypeError, ValueError: If one is missing or no number.
        """
        knots = (tuple(map(float, fields[key])) for key in ("shares", "extents"))
        return cls(float(fields["scale"]), float(fields["offset"]), *knots)

    def to_dict(self) -> dict[str, float | Sequence[float]]:
        """Returns what `from_dict` reads."""
        return dataclasses.asdict(self)

    def share(self, levels: np.ndarray, lung: np.ndarray) -> float:
        """Returns the share of a lung that readers would call involved, `[0, 1]`.

        Args:
            levels: uint8 `(height, width)`, infection probability times 256.
            lung: bool `(height, width)`, not empty.
        """
        counts = np.bincount(levels[lung], minlength=256)
        return float(counts @ self._probabilities / counts.sum())

    def extent(self, levels: np.ndarray, lung: np.ndarray) -> float:
        """Returns the extent of a lung, 0 to 4, with one decimal.

        Args:
            levels: As in `share`.
            lung: Likewise.
        """
        score = np.interp(self.share(levels, lung), self.shares, self.extents)
        return math.floor(10 * float(score) + 0.5) / 10

    @functools.cached_property
    def _probabilities(self):
        """What each level is to a reader; 0 stands for half a step."""
        level = np.arange(256, dtype=np.float64)
        level[0] = 0.5
        logit = np.log(level / (256 - level))
        return 1 / (1 + np.exp(-(self.scale * logit + self.offset)))
