"""The tf.data pipeline from samples to training batches."""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from covseg_tf.data.augmentation import SeededPipeline, chest_augmentation
from covseg_tf.data.load_sample import load_sample
from covseg_tf.data.photograph import photograph_augmentation
from covseg_tf.data.sample import Sample
from covseg_tf.data.source_blind import source_blind_augmentation
from covseg_tf.edge.lung_shape import split_lungs
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.losses.extent import extent_bounds

FilmAugmentation = Callable[
    [np.ndarray, np.ndarray, np.ndarray | None, np.random.Generator],
    tuple[np.ndarray, np.ndarray],
]


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
    film_augmentation: FilmAugmentation | None = None,
    readers: bool = False,
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
        film_augmentation: A function of one film, `(image, masks, other, rng)` to
            `(image, masks)`, that training films go through before that: uint8
            `(rows, columns)` and `(rows, columns, n)`, `other` a film of another
            source or `None`; see `film_augmentation`. Defaults to `None`.
        readers: If `True`, a target `"infection_readers"` for `ExtentLoss` comes
            too, from the samples' extents; lungs are told apart by their masks.
            Defaults to `False`.

    Returns:
        Dataset of `(image, {"lung": mask, "infection": mask})`; image float32
        `(batch, height, width, 1)`, grey levels times `spec.scale`; masks
        float32 of the same shape, 0 or 1. With `finding_weights`, or where a mask
        or a weight of a sample asks for it, a third dict of weights `(batch,)`.

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
    weight_of = np.array([_weights_of(s, weights) for s in samples], np.float32)
    weighted = readers or finding_weights is not None or (weight_of != 1).any()
    bounds_of = np.array([_bounds_of(s) for s in samples], np.float32)
    films = film_augmentation if training else None
    load = _Loader(samples, spec, cache, films, readers)
    shape = (None, spec.height, spec.width, 4 if readers else 3)

    def read(index, batch_seed):
        stacked = tf.numpy_function(load, [index, batch_seed], tf.uint8, stateful=False)
        labels = tf.gather(weight_of, index), tf.gather(bounds_of, index)
        return tf.ensure_shape(stacked, shape), labels, batch_seed

    def unpack(stacked, labels, batch_seed):
        weight, bounds = labels
        stacked = tf.cast(stacked, tf.float32)
        images, masks = stacked[..., :1] * spec.scale, stacked[..., 1:]
        if augment is not None:
            # The layers speak of [0, 1] whatever the network's scale is.
            unit = 255.0 * spec.scale
            data = {"images": images / unit, "segmentation_masks": masks}
            moved = augment(data, batch_seed) if seeded else augment(data)
            images, masks = moved["images"] * unit, moved["segmentation_masks"]
        targets = {"lung": masks[..., :1], "infection": masks[..., 1:2]}
        weight = {"lung": weight[:, 0], "infection": weight[:, 1]}
        if readers:
            targets["infection_readers"] = _with_bounds(masks[..., 2:], bounds)
            weight["infection_readers"] = tf.ones_like(weight["lung"])
        return (images, targets, weight) if weighted else (images, targets)

    augment = (augmentation or chest_augmentation()) if training else None
    seeded = isinstance(augment, keras.layers.Pipeline)
    augment = SeededPipeline(augment) if seeded else augment
    dataset = _batches(len(samples), batch_size, training, seed, first_epoch)
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.map(unpack, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.prefetch(2)


def film_augmentation(
    photographs: float = 0.1, share: float = 0.3
) -> "FilmAugmentation":
    """Returns `source_blind_augmentation`, and now and then a photograph.

    Args:
        photographs: Share of films that go through `photograph_augmentation`.
        share: As in `source_blind_augmentation`.

    Returns:
        A function for `make_dataset`.
    """

    def augment(image, masks, other, rng):
        image = source_blind_augmentation(image, other, rng, share)
        if rng.random() < photographs:
            return photograph_augmentation(image, masks, rng)
        return image, masks

    return augment


def _weights_of(sample, finding_weights):
    lung, infection = sample.weights
    has_outline = sample.infection_mask is not None or sample.infection_free
    infection *= finding_weights.get(sample.finding, 1.0) * has_outline
    return lung * (sample.lung_mask is not None), infection


def _bounds_of(sample):
    if sample.infection_free:
        return (0.0, 0.0), (0.0, 0.0)
    if sample.least_share is not None:  # both lungs are region 1
        return (sample.least_share, 1.0), (0.0, 1.0)
    return tuple(map(extent_bounds, sample.extents or (None, None)))


def _with_bounds(regions, bounds):
    """`covseg_tf.losses.pack_extents` for tf.data, whatever Keras' backend is."""
    first, second = bounds[:, None, None, 0], bounds[:, None, None, 1]
    inside = tf.where(regions == 1, first, tf.where(regions == 2, second, 0.0))
    return tf.concat([regions, inside], axis=-1)


def _regions(sample, lung):
    """1 for the patient's right lung, 2 for the left one, 0 elsewhere."""
    if sample.least_share is not None or sample.infection_free:
        return lung
    sides = split_lungs(lung > 0)
    if sides is None:
        return np.zeros_like(lung)
    return sides[0] + 2 * sides[1].astype(np.uint8)


class _Loader:
    """Stacks samples to `(batch, height, width, n)`, each decoded once.

    Slices of a volume are read when the first of them is asked for, one after the
    other: opening a volume costs seconds, and a shuffled order opens it often.
    """

    def __init__(self, samples, spec, cache, films=None, readers=False):
        self._samples, self._spec = samples, spec
        self._kept = {} if cache else None
        self._lock = threading.Lock()
        self._films, self._readers = films, readers
        sources = sorted({sample.source for sample in samples})
        self._elsewhere = {
            source: [i for i, s in enumerate(samples) if s.source != source]
            for source in sources
        }

    def __call__(self, indices, batch_seed):
        return np.stack(
            [
                self._augmented(int(index), [*batch_seed.tolist(), number])
                for number, index in enumerate(indices)
            ]
        )

    def _augmented(self, index, seed):
        planes = self._one(index)
        if self._films is None:
            return planes
        rng = np.random.default_rng(seed)
        elsewhere = self._elsewhere[self._samples[index].source]
        other = self._one(rng.choice(elsewhere))[..., 0] if elsewhere else None
        image, masks = self._films(planes[..., 0], planes[..., 1:], other, rng)
        return np.concatenate([image[..., None], masks], axis=-1)

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
        sample = self._samples[index]
        planes = load_sample(sample, self._spec)
        if self._readers:
            planes = (*planes, _regions(sample, planes[1]))
        return np.stack(planes, axis=-1)


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
