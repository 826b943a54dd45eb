"""Readers, augmentation and the tf.data pipeline."""

from covseg_tf.data.augmentation import chest_augmentation
from covseg_tf.data.covid_qu_ex import read_covid_qu_ex
from covseg_tf.data.phantom_data import write_phantom_data
from covseg_tf.data.pipeline import make_dataset
from covseg_tf.data.sample import Sample, load_sample, split_samples

__all__ = [
    "Sample",
    "chest_augmentation",
    "load_sample",
    "make_dataset",
    "read_covid_qu_ex",
    "split_samples",
    "write_phantom_data",
]
