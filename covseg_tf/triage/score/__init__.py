"""What a film or a volume is scored as: the numbers of its row."""

from covseg_tf.triage.score.film import describe, predict_film, with_numbers
from covseg_tf.triage.score.source import ScoredSource, score_source
from covseg_tf.triage.score.volume import FoundVolume, score_volume

__all__ = [
    "FoundVolume",
    "ScoredSource",
    "describe",
    "predict_film",
    "score_source",
    "score_volume",
    "with_numbers",
]
