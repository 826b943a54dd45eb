"""What a film or a volume is scored as: the numbers of its row."""

from covseg_tf.triage.score.film import (
    describe,
    fits,
    is_lateral,
    predict_film,
    with_numbers,
)
from covseg_tf.triage.score.volume import FoundVolume, score_volume

__all__ = [
    "FoundVolume",
    "describe",
    "fits",
    "is_lateral",
    "predict_film",
    "score_volume",
    "with_numbers",
]
