"""From what can be read to the numbers of its row: the way of every film."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from covseg_tf.edge.prediction import Prediction
from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.imaging.film import Film, Volume
from covseg_tf.imaging.passing_error import PassingError
from covseg_tf.triage.deadline import within
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.score.film import describe, predict_film, with_numbers
from covseg_tf.triage.score.volume import FoundVolume, score_volume

# Far above any film or volume; what takes longer is not waited for.
SECONDS_TO_READ = 300.0


class ScoredSource(NamedTuple):
    """What comes of a source, before anything of it is written.

    Attributes:
        row: The row, with its `error` if it cannot be read or scored.
        image: What was read, or `None` if there is an error.
        found: What was found in it, or `None` if it was not looked at.
        lasts: Whether the same bytes always give it. What an error that passes
            has kept from being read is worth another try.
    """

    row: TriageRow
    image: Film | Volume | None = None
    found: Prediction | FoundVolume | None = None
    lasts: bool = True


def score_source(
    name: str, read: Callable[[], Film | Volume], segmenter: Segmenter
) -> ScoredSource:
    """Reads and scores a source, which has `SECONDS_TO_READ` to be read.

    Args:
        name: What the worklist calls it.
        read: As `Source.read`.
        segmenter: What scores.

    Returns:
        The row with its numbers, and what they were taken from.
    """
    try:
        image = within(SECONDS_TO_READ, read)
        row = describe(name, image, segmenter.bundle.modality)
        if row.flags:  # not to be scored
            return ScoredSource(row, image)
        if isinstance(image, Volume):
            volume = score_volume(image, segmenter)
            return ScoredSource(_with_volume(row, volume), image, volume)
        film = predict_film(image, segmenter)
        return ScoredSource(with_numbers(row, film), image, film)
    except Exception as error:  # one file, whatever is wrong with it, is one row
        row = TriageRow(name, error=_reason(error, name))
        passes = isinstance(error, (PassingError, OSError, MemoryError))
        return ScoredSource(row, lasts=not passes)


def _with_volume(row, found):
    return dataclasses.replace(
        row,
        involved_percent=found.involved_percent,
        lung_ml=found.lung_ml,
        infection_ml=found.infection_ml,
        shown_slice=found.shown + 1,
        flags=row.flags + found.flags,
    )


def _reason(error, name):
    text = str(error).removeprefix(f"{name}: ")
    if isinstance(error, (ValueError, OSError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
