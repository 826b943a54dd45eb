"""Batch normalization statistics of the images that a network will see."""

from collections.abc import Iterable

import keras


def recalibrate_batch_norm(
    model: keras.Model, images: Iterable, batches: int = 40
) -> None:
    """Replaces the moving statistics by those of unaugmented training images.

    Training keeps running means of augmented images. Heavy augmentation moves them
    away from what a film looks like, and a head that averages over the whole image,
    as the presence gate does, adds that up: the figures with and without are in
    docs/results/frontier.md. Weights do not change.

    Source: Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm" ("precise BN").

    Args:
        model: A functional network; its moving means and variances are replaced by
            the mean of those of the batches.
        images: Batches of images, or of tuples that start with images, such as
            `make_dataset(..., training=True, augmentation=lambda data: data)`.
        batches: Int >= 1, how many are used at most. Defaults to 40.

    Raises:
        ValueError: If `batches` is below 1 or there are no images.
    """
    if batches < 1:
        raise ValueError(f"`batches` must be at least 1. Received: {batches}")
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in layers]
    count = 0
    try:
        for count, batch in enumerate(images, start=1):
            for layer in layers:
                # So that the running mean is the plain mean of all batches.
                layer.momentum = (count - 1) / count
            model(
                batch[0] if isinstance(batch, (tuple, list)) else batch, training=True
            )
            if count == batches:
                break
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    if not count:
        raise ValueError("`images` must give at least one batch. Received none.")
