"""Augmentation of an image and its masks together."""

import functools

import keras
import numpy as np

# Whatever the policy: half precision has too few bits for coordinates and grey levels.
_EXACT = {"dtype": "float32"}


class _GivenSeed(keras.random.SeedGenerator):
    """A seed generator whose state is given anew for every batch."""

    def __init__(self):
        super().__init__(0)
        self._given, self._drawn = None, 0

    def start(self, seed):
        self._given, self._drawn = seed, 0

    def next(self, ordered=True):
        self._drawn += 1
        # NumPy, which TensorFlow's and JAX's traced seeds take alike.
        kind = keras.backend.standardize_dtype(self._given.dtype)
        return self._given + np.array([0, self._drawn], kind)


class SeededPipeline:
    """Augmentation as a pure function of the batch and a seed.

    Keras' random layers carry a state, which a resumed training would start
    anew and a parallel `tf.data` map would advance in any order. Here the
    caller gives the seed of each batch, so that one seed gives one augmentation
    whatever ran before.

    Args:
        pipeline: A `keras.layers.Pipeline` of image preprocessing layers that
            move segmentation masks with images. It is copied; the layers' own
            seeds are not used.

    Example:

    >>> import numpy as np
    >>> augment = SeededPipeline(chest_augmentation())
    >>> def twice(seed):
    ...     batch = np.linspace(0, 1, 256, dtype="float32").reshape(1, 16, 16, 1)
    ...     data = {"images": batch, "segmentation_masks": batch * 0}
    ...     moved = augment(data, np.array(seed, "int32"))
    ...     return keras.ops.convert_to_numpy(moved["images"])
    >>> bool((twice([1, 2]) == twice([1, 2])).all())
    True
    """

    def __init__(self, pipeline: keras.layers.Pipeline):
        self._seed = _GivenSeed()
        # A copy: the caller may use the layers elsewhere. One by one, for the pipeline
        # itself would cast to the policy's half precision.
        self._layers = type(pipeline).from_config(pipeline.get_config()).layers
        for layer in self._layers:
            layer.get_random_transformation = functools.partial(
                layer.get_random_transformation, seed=self._seed
            )

    def __call__(self, data: dict, seed) -> dict:
        """Augments a batch.

        Args:
            data: Dict `{"images", "segmentation_masks"}` of `(batch, height,
                width, channels)` tensors, images in `[0, 1]`.
            seed: int32 tensor or array `(2,)`; uint32 inside a function that JAX
                traces.

        Returns:
            A dict of the same shapes.
        """
        self._seed.start(seed)
        for layer in self._layers:
            data = layer(data, training=True)
        return data


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
    fill = _EXACT | {"fill_mode": "constant", "fill_value": 0.0}
    seeds = [None] * 6 if seed is None else [seed + i for i in range(6)]
    return layers.Pipeline(
        [
            layers.RandomFlip("horizontal", seed=seeds[0], **_EXACT),
            layers.RandomRotation(0.03, seed=seeds[1], **fill),
            layers.RandomZoom((-0.12, 0.12), (-0.12, 0.12), seed=seeds[2], **fill),
            layers.RandomTranslation(0.06, 0.06, seed=seeds[3], **fill),
            layers.RandomBrightness(0.15, value_range=(0, 1), seed=seeds[4], **_EXACT),
            layers.RandomContrast(0.25, value_range=(0, 1), seed=seeds[5], **_EXACT),
        ],
        name="chest_augmentation",
    )


def strong_chest_augmentation(seed: int | None = None) -> keras.layers.Pipeline:
    """Returns the layers of `chest_augmentation` with wider ranges, and erasing.

    For long schedules and pretrained encoders: mirror, tilt up to 18 degrees,
    zoom up to 20 %, shift up to 8 %, brightness, contrast, and on half the images
    a rectangle of 1 to 6 % of the area that one grey level replaces (Zhong et al.
    2020, "Random Erasing Data Augmentation"); masks stay whole there.

    Args:
        seed: Int, or `None` for a fresh one.

    Returns:
        A layer to call as that of `chest_augmentation`.
    """
    layers = keras.layers
    fill = _EXACT | {"fill_mode": "constant", "fill_value": 0.0}
    seeds = [None] * 7 if seed is None else [seed + i for i in range(7)]
    return layers.Pipeline(
        [
            layers.RandomFlip("horizontal", seed=seeds[0], **_EXACT),
            layers.RandomRotation(0.05, seed=seeds[1], **fill),
            layers.RandomZoom((-0.2, 0.2), (-0.2, 0.2), seed=seeds[2], **fill),
            layers.RandomTranslation(0.08, 0.08, seed=seeds[3], **fill),
            layers.RandomBrightness(0.2, value_range=(0, 1), seed=seeds[4], **_EXACT),
            layers.RandomContrast(0.4, value_range=(0, 1), seed=seeds[5], **_EXACT),
            layers.RandomErasing(
                factor=0.5,
                scale=(0.01, 0.06),
                value_range=(0, 1),
                seed=seeds[6],
                **_EXACT,
            ),
        ],
        name="strong_chest_augmentation",
    )
