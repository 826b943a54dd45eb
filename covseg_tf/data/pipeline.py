"""The tf.data pipeline from samples to training batches."""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from covseg_tf.data.augmentation import SeededPipeline, chest_augmentation
from covseg_tf.data.sample import Sample, load_sample
from covseg_tf.edge.preprocessing import PreprocessingSpec


def make_dataset(
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    batch_size: int = 16,
    training: bool = False,
    seed: int = 0,
    cache: bool = True,
    finding_weights: Mapping[str, float] | None = None,
    first_epoch: int = 0,
    augmentation: keras.layers.Pipeline | Callable[[dict], dict] | None = None,
) -> tf.data.Dataset:
    """Returns batches for `DualFlowSegmenter.fit` or `.evaluate`.

    Args:
        samples: What to read, through `load_sample`.
        spec: The preprocessing that the bundle will carry.
        batch_size: Images per batch. Defaults to 16.
        training: If `True`: shuffled anew every epoch, augmented, the last
            partial batch dropped. Defaults to `False`.
        seed: Seed of the shuffling and the augmentation. A training batch is a
            function of the seed, the epoch and its number within the epoch.
        cache: Keep the decoded pixels in memory (192 KB an image at 256x256).
        finding_weights: If given, sample weights come third: what an image of
            each finding counts in the infection loss; findings that are not
            named count 1. Defaults to `None`.
        first_epoch: Number of the epoch that the first iteration over the
            dataset gives, from 0; each iteration is the next epoch. A resumed
            training passes `resume_epoch(run_dir)`.
        augmentation: What a training batch goes through; defaults to
            `chest_augmentation()`. A Keras pipeline is seeded batch by batch; any
            other function from and to a dict `{"images", "segmentation_masks"}`
            (see `keras_cv_augmentation`) keeps its own state.

    Returns:
        Dataset of `(image, {"lung": mask, "infection": mask})`; image float32
        `(batch, height, width, 1)`, grey levels times `spec.scale`; masks
        float32 of the same shape, 0 or 1. With `finding_weights`, a third dict
        of weights `(batch,)`.

    Raises:
        ValueError: If there is no sample, fewer than one training batch, or a
            weight is negative; and while iterating, what `load_sample` raises.
    """
    weights = dict(finding_weights or {})
    if any(weight < 0 for weight in weights.values()):
        raise ValueError(f"`finding_weights` must be at least 0. Received: {weights}")
    if not samples or (training and len(samples) < batch_size):
        raise ValueError(
            f"A dataset needs at least one batch of {batch_size} samples; lower "
            f"the batch size. Received: {len(samples)} samples"
        )
    weight_of = np.array([weights.get(s.finding, 1.0) for s in samples], np.float32)
    load = _Loader(samples, spec, cache)
    shape = (None, spec.height, spec.width, 3)

    def read(index, batch_seed):
        stacked = tf.numpy_function(load, [index], tf.uint8, stateful=False)
        return tf.ensure_shape(stacked, shape), tf.gather(weight_of, index), batch_seed

    def unpack(stacked, weight, batch_seed):
        stacked = tf.cast(stacked, tf.float32)
        images, masks = stacked[..., :1] * spec.scale, stacked[..., 1:]
        if augment is not None:
            # The layers speak of [0, 1] whatever the network's scale is.
            unit = 255.0 * spec.scale
            data = {"images": images / unit, "segmentation_masks": masks}
            moved = augment(data, batch_seed) if seeded else augment(data)
            images, masks = moved["images"] * unit, moved["segmentation_masks"]
        targets = {"lung": masks[..., :1], "infection": masks[..., 1:]}
        if finding_weights is None:
            return images, targets
        return images, targets, {"lung": tf.ones_like(weight), "infection": weight}

    augment = (augmentation or chest_augmentation()) if training else None
    seeded = isinstance(augment, keras.layers.Pipeline)
    augment = SeededPipeline(augment) if seeded else augment
    dataset = _batches(len(samples), batch_size, training, seed, first_epoch)
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.map(unpack, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.prefetch(2)


class _Loader:
    """Stacks samples to `(batch, height, width, 3)`, each decoded once.

    Slices of a volume are read when the first of them is asked for, one after the
    other: opening a volume costs seconds, and a shuffled order opens it often.
    """

    def __init__(self, samples, spec, cache):
        self._samples, self._spec = samples, spec
        self._kept = {} if cache else None
        self._lock = threading.Lock()

    def __call__(self, indices):
        return np.stack([self._one(int(index)) for index in indices])

    def _one(self, index):
        if self._kept is None:
            return self._load(index)
        if index not in self._kept:
            sample = self._samples[index]
            if sample.slice_index is None:
                self._kept[index] = self._load(index)
            else:
                self._keep_volume(sample.image)
        return self._kept[index]

    def _keep_volume(self, image):
        with self._lock:
            for index, sample in enumerate(self._samples):
                if sample.image == image and index not in self._kept:
                    self._kept[index] = self._load(index)

    def _load(self, index):
        return np.stack(load_sample(self._samples[index], self._spec), axis=-1)


def _batches(count, batch_size, training, seed, first_epoch):
    """Indices and a seed per batch; each iteration of the dataset is an epoch."""
    epochs = itertools.count(first_epoch)

    def generate():
        order = np.arange(count)
        rng = np.random.default_rng([seed, next(epochs)])
        if training:
            rng.shuffle(order)
        for start in range(0, steps * batch_size, batch_size):
            batch_seed = rng.integers(2**31 - 1, size=2, dtype=np.int32)
            yield order[start : start + batch_size], batch_seed

    steps = count // batch_size if training else -(-count // batch_size)
    signature = (tf.TensorSpec((None,), tf.int64), tf.TensorSpec((2,), tf.int32))
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(steps))
