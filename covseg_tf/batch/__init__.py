"""Batch: a million images, one row for each, by Apache Beam or Apache Spark.

Needs `pip install 'covseg-tf[beam]'` or `'covseg-tf[spark]'`; no other part imports
this one.
"""

import importlib

from covseg_tf.batch.images import ImageSource

# Read on demand: who has one engine need not have the other.
_BY_ENGINE = {
    "BatchReport": "covseg_tf.batch.run",
    "BeamFiles": "covseg_tf.batch.parts",
    "FindImages": "covseg_tf.batch.beam",
    "SparkFiles": "covseg_tf.batch.spark",
    "TriageImages": "covseg_tf.batch.beam",
    "run_batch": "covseg_tf.batch.run",
    "run_spark": "covseg_tf.batch.spark",
}

__all__ = [
    "BatchReport",
    "BeamFiles",
    "FindImages",
    "ImageSource",
    "SparkFiles",
    "TriageImages",
    "run_batch",
    "run_spark",
]


def __getattr__(name):
    if name in _BY_ENGINE:
        return getattr(importlib.import_module(_BY_ENGINE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
