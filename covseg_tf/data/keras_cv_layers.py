"""The one place that knows keras-cv's augmentation layers."""

import random
from collections.abc import Callable, Sequence

# Each was seen to move masks with the image and to invent no label (keras-cv 0.9
# under Keras 3.15). keras-cv is no longer developed, hence this module.
_LAYERS: dict[str, dict] = {
    "RandomFlip": {"mode": "horizontal"},
    "RandomZoom": {"height_factor": (-0.12, 0.12)},
    "RandomTranslation": {"height_factor": 0.06, "width_factor": 0.06},
    "RandomShear": {"x_factor": 0.05, "y_factor": 0.05},
    "RandomCropAndResize": {
        "crop_area_factor": (0.7, 1.0),
        "aspect_ratio_factor": (0.9, 1.1),
    },
    "CutMix": {},
    "Mosaic": {},
}
_REFUSED = {
    "AugMix": "it corrupts masks",
    "RandomRotation": "use keras.layers.RandomRotation",
    "RandomCrop": "it refuses masks",
    "RandomAspectRatio": "it refuses masks",
    "RandAugment": "it refuses images of one channel",
    "MixUp": "blended masks are no masks",
}


def keras_cv_augmentation(
    names: Sequence[str],
    image_size: tuple[int, int] = (256, 256),
    seed: int | None = None,
) -> Callable[[dict], dict]:
    """Returns keras-cv layers, in order, with ranges that a chest film can show.

    `CutMix` and `Mosaic` build images that no patient has, from several of the
    batch: a strong regularizer, not a likely film. The layers keep a state of
    their own, so a resumed training sees other random numbers.

    Source: Yun et al. 2019, "CutMix"; Bochkovskiy et al. 2020, "YOLOv4"
    (mosaic); keras-cv 0.9 for the rest.

    Args:
        names: Class names in `keras_cv.layers`: `"RandomFlip"`, `"RandomZoom"`,
            `"RandomTranslation"`, `"RandomShear"`, `"RandomCropAndResize"`,
            `"CutMix"`, `"Mosaic"`.
        image_size: `(height, width)` in pixels; `"RandomCropAndResize"` needs it.
        seed: Int, or `None` for a fresh one.

    Returns:
        A function from a dict `{"images", "segmentation_masks"}` of `(batch,
        height, width, channels)` tensors to one of the same shapes, to be given
        to `make_dataset(augmentation=...)`.

    Raises:
        ValueError: If a layer is not among those, or keras-cv is not installed.
    """
    for name in names:
        if name not in _LAYERS:
            reason = _REFUSED.get(name, "it was not tried")
            raise ValueError(
                f"`names` must be among {sorted(_LAYERS)}. Received: {name!r} "
                f"({reason})"
            )
    try:
        import keras_cv
    except ImportError:
        raise ValueError(
            "These layers are keras-cv's: pip install 'covseg-tf[cv]'."
        ) from None
    seed = random.randrange(2**31) if seed is None else seed
    layers = []
    for index, name in enumerate(names):
        arguments = dict(_LAYERS[name], seed=seed + index)
        if name == "RandomCropAndResize":
            arguments["target_size"] = tuple(image_size)
        layers.append(getattr(keras_cv.layers, name)(**arguments))

    def augment(data):
        for layer in layers:
            data = layer(data, training=True)
        return data

    return augment
