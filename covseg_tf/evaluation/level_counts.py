"""Pixels of a probability map, counted level by level."""

import dataclasses

import numpy as np

LEVELS = 256


@dataclasses.dataclass(frozen=True)
class LevelCounts:
    """How many pixels have which probability, and how many are foreground.

    A pixel of probability `p` has level `ceil(256 p)`, 0 to 256. So a pixel is
    above the threshold `t / 256`, `t` a whole number, exactly if its level is
    above `t`, for float maps as for the integer ones that hold a probability times
    256; and the counts of several images add up to those of all of them.

    Attributes:
        totals: int64 `(257,)`, pixels of each level.
        positives: int64 `(257,)`, those of them inside the mask.
        sums: float64 `(257,)`, sum of the probabilities of each level.

    Example:

    >>> counts = LevelCounts.of([1, 0], [0.5, 0.25]) + LevelCounts.of([1], [0.5])
    >>> counts.totals[[64, 128]].tolist(), counts.positives[[64, 128]].tolist()
    ([1, 2], [0, 2])
    """

    totals: np.ndarray = dataclasses.field(repr=False)
    positives: np.ndarray = dataclasses.field(repr=False)
    sums: np.ndarray = dataclasses.field(repr=False)

    @classmethod
    def none(cls) -> "LevelCounts":
        """Returns the counts of no pixel, to add to."""
        counts = np.zeros(LEVELS + 1, np.int64)
        return cls(counts, counts, np.zeros(LEVELS + 1))

    @classmethod
    def of(
        cls,
        mask: np.ndarray,
        probability: np.ndarray,
        inside: np.ndarray | None = None,
    ) -> "LevelCounts":
        """Counts the pixels of one map, or any other set of guesses.

        Args:
            mask: Array of any shape, non-zero is foreground.
            probability: Float array of the same shape, in `[0, 1]`.
            inside: Array of the same shape; pixels that are 0 in it do not count.
                `None` (default): all count.

        Raises:
            ValueError: If the shapes differ or a probability is outside `[0, 1]`.
        """
        mask, probability = np.asarray(mask) != 0, np.asarray(probability)
        inside = np.ones(mask.shape, bool) if inside is None else np.asarray(inside)
        if not mask.shape == probability.shape == inside.shape:
            raise ValueError(
                "`mask`, `probability` and `inside` must have one shape. Received: "
                f"{mask.shape}, {probability.shape} and {inside.shape}"
            )
        probability, mask = probability[inside != 0].astype(float), mask[inside != 0]
        if not ((probability >= 0) & (probability <= 1)).all():  # NaN is neither
            raise ValueError(
                "Probabilities must lie in [0, 1]. Received values in "
                f"[{probability.min()}, {probability.max()}]"
            )
        level = np.ceil(probability * LEVELS).astype(np.int64)
        return cls(
            np.bincount(level, minlength=LEVELS + 1),
            np.bincount(level[mask], minlength=LEVELS + 1),
            np.bincount(level, probability, minlength=LEVELS + 1),
        )

    def __add__(self, other: "LevelCounts") -> "LevelCounts":
        return LevelCounts(
            self.totals + other.totals,
            self.positives + other.positives,
            self.sums + other.sums,
        )

    def above(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns how many pixels are above each threshold `t / 256`.

        Returns:
            `(painted, hits)`, each int64 `(256,)`, element `t` for the threshold
            `t / 256`: all pixels above it, and those inside the mask.
        """
        painted, hits = (
            np.cumsum(counts[::-1])[::-1][1:]
            for counts in (self.totals, self.positives)
        )
        return painted, hits
