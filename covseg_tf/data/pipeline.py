"""The tf.data pipeline from samples to training batches."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from covseg_tf.data.augmentation import chest_augmentation
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
) -> tf.data.Dataset:
    """Returns batches for `DualFlowSegmenter.fit` or `.evaluate`.

    Args:
        samples: What to read, through `load_sample`.
        spec: The preprocessing that the bundle will carry.
        batch_size: Images per batch. Defaults to 16.
        training: If `True`: shuffled anew every epoch, augmented, the last
            partial batch dropped. Defaults to `False`.
        seed: Seed of the shuffling and the augmentation.
        cache: Keep the decoded pixels in memory (192 KB an image at 256x256).
        finding_weights: If given, sample weights come third: what an image of
            each finding counts in the infection loss; findings that are not
            named count 1. Defaults to `None`.

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
    shape = (spec.height, spec.width, 3)
    weight_of = tf.constant([weights.get(s.finding, 1.0) for s in samples], tf.float32)

    def read(index):
        def load(i):
            planes = load_sample(samples[int(i)], spec)
            return tf.stack(planes, axis=-1)

        stacked = tf.py_function(load, [index], tf.uint8)
        return tf.ensure_shape(stacked, shape), tf.gather(weight_of, index)

    dataset = tf.data.Dataset.range(len(samples))
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    if cache:
        dataset = dataset.cache()
    if training:
        # After the cache, which keeps the pixels; so every epoch has its order.
        dataset = dataset.shuffle(len(samples), seed=seed)
    dataset = dataset.batch(batch_size, drop_remainder=training)
    augment = chest_augmentation(seed) if training else None

    def unpack(stacked, weight):
        stacked = tf.cast(stacked, tf.float32)
        images, masks = stacked[..., :1] * spec.scale, stacked[..., 1:]
        if augment is not None:
            # The layers speak of [0, 1] whatever the network's scale is.
            unit = 255.0 * spec.scale
            moved = augment(
                {"images": images / unit, "segmentation_masks": masks}, training=True
            )
            images, masks = moved["images"] * unit, moved["segmentation_masks"]
        targets = {"lung": masks[..., :1], "infection": masks[..., 1:]}
        if finding_weights is None:
            return images, targets
        return images, targets, {"lung": tf.ones_like(weight), "infection": weight}

    dataset = dataset.map(unpack, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.prefetch(2)
