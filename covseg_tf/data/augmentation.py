"""Augmentation of an image and its masks together."""

import keras


def chest_augmentation(seed: int | None = None) -> keras.layers.Pipeline:
    """Returns Keras' own layers with ranges that a frontal film can show.

    Mirror, tilt up to 11 degrees, zoom and shift up to 12 % and 6 %, then
    brightness and contrast. The geometry moves images and masks alike (masks
    by nearest neighbour); brightness and contrast leave masks alone.

    Args:
        seed: Int, or `None` for a fresh one.

    Returns:
        A layer to call with `training=True` on a dict `{"images",
        "segmentation_masks"}` of `(batch, height, width, channels)` tensors,
        images in `[0, 1]`.
    """
    layers = keras.layers
    fill = {"fill_mode": "constant", "fill_value": 0.0}
    seeds = [None] * 6 if seed is None else [seed + i for i in range(6)]
    return layers.Pipeline(
        [
            layers.RandomFlip("horizontal", seed=seeds[0]),
            layers.RandomRotation(0.03, seed=seeds[1], **fill),
            layers.RandomZoom((-0.12, 0.12), (-0.12, 0.12), seed=seeds[2], **fill),
            layers.RandomTranslation(0.06, 0.06, seed=seeds[3], **fill),
            layers.RandomBrightness(0.15, value_range=(0, 1), seed=seeds[4]),
            layers.RandomContrast(0.25, value_range=(0, 1), seed=seeds[5]),
        ],
        name="chest_augmentation",
    )
