"""Readers, checks of data, augmentation and the tf.data pipeline."""

import importlib

from covseg_tf.data.check import check_data
from covseg_tf.data.contact_sheet import draw_contact_sheet
from covseg_tf.data.covid_qu_ex import read_covid_qu_ex
from covseg_tf.data.ct_volumes import read_ct_volumes
from covseg_tf.data.data_report import DataReport
from covseg_tf.data.hospitals import read_hospital_films
from covseg_tf.data.load_sample import load_sample
from covseg_tf.data.manifest import read_manifest
from covseg_tf.data.packed import PackedImages, read_packed, write_packed
from covseg_tf.data.phantom_data import write_phantom_data
from covseg_tf.data.photograph import photograph_augmentation
from covseg_tf.data.read_samples import list_splits, read_parts, read_samples
from covseg_tf.data.sample import Sample, split_samples
from covseg_tf.data.source_blind import source_blind_augmentation
from covseg_tf.imaging import window_hounsfield

# Read on demand, so that `covseg data check` needs no TensorFlow.
_WITH_TENSORFLOW = {
    "chest_augmentation": "covseg_tf.data.augmentation",
    "film_augmentation": "covseg_tf.data.pipeline",
    "keras_cv_augmentation": "covseg_tf.data.keras_cv_layers",
    "make_dataset": "covseg_tf.data.pipeline",
    "strong_chest_augmentation": "covseg_tf.data.augmentation",
}

__all__ = [
    "DataReport",
    "PackedImages",
    "Sample",
    "check_data",
    "chest_augmentation",
    "draw_contact_sheet",
    "film_augmentation",
    "keras_cv_augmentation",
    "list_splits",
    "load_sample",
    "make_dataset",
    "photograph_augmentation",
    "read_covid_qu_ex",
    "read_ct_volumes",
    "read_hospital_films",
    "read_manifest",
    "read_packed",
    "read_parts",
    "read_samples",
    "source_blind_augmentation",
    "split_samples",
    "strong_chest_augmentation",
    "window_hounsfield",
    "write_packed",
    "write_phantom_data",
]


def __getattr__(name):
    if name in _WITH_TENSORFLOW:
        return getattr(importlib.import_module(_WITH_TENSORFLOW[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
