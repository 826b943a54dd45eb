"""Images and masks that a network would misread are refused in plain words."""

from collections.abc import Mapping

import keras


def check_images(model: keras.Model, images) -> None:
    """Refuses images that a network would misread, from shape and type alone.

    Args:
        model: A `DualFlowSegmenter`.
        images: Array, tensor or dataset element; what has no shape passes.

    Raises:
        ValueError: If rank, channels, size or type do not fit.
    """
    shape = getattr(images, "shape", None)
    if shape is None or getattr(shape, "rank", 4) is None:
        return
    shape, wanted = tuple(shape), model.inputs[0].shape
    if len(shape) != 4 or shape[-1] not in (None, wanted[-1]):
        raise ValueError(
            "Images must have the shape (batch, height, width, "
            f"{wanted[-1]}). Received shape: {shape}. A grey image gets its axis by "
            "images[..., None]; colour becomes grey by images.mean(-1, keepdims=True)."
        )
    for size, fixed in zip(shape[1:3], wanted[1:3], strict=True):
        if size is not None and (
            size % model.total_stride or fixed not in (None, size)
        ):
            raise ValueError(_size_message(model, shape, size, fixed))
    dtype = str(getattr(images, "dtype", "float32"))
    if "int" in dtype or "bool" in dtype:
        raise ValueError(
            "Images must be floats in the range that the encoder expects, [0, 1] for "
            f'this package\'s own: images.astype("float32") / 255. Received: {dtype}'
        )


def check_arrays(model: keras.Model, x, y=None) -> None:
    """Refuses what a network cannot learn from, before the first step.

    Args:
        model: A `DualFlowSegmenter`.
        x: NumPy images; of a `tf.data.Dataset` shapes and types alone are looked at.
        y: NumPy masks: an array, or a dict of arrays.

    Raises:
        ValueError: As `check_images`; or if pixels are not finite, or masks of
            floats leave `[0, 1]`.
    """
    spec = getattr(x, "element_spec", None)
    if spec is not None:
        x = spec[0] if isinstance(spec, tuple) else spec
    check_images(model, x)
    named = y.items() if isinstance(y, Mapping) else [("masks", y)]
    for name, values in [("images", x), *named]:
        # A NumPy array, without importing NumPy: only these have `flags`.
        if not hasattr(values, "flags") or values.dtype.kind != "f" or not values.size:
            continue
        low, high = values.min(), values.max()
        if not (low > -float("inf") and high < float("inf")):
            raise ValueError(
                f"{name!r} holds NaN or infinite values; the first bad image is number "
                f"{_first_bad(values)}. Clean them before training."
            )
        if name != "images" and not 0 <= low <= high <= 1:
            raise ValueError(
                f"Masks of floats must be in [0, 1]. Received for {name!r}: {low} to "
                f"{high}. Masks of 0 and 255 can stay uint8, or be divided by 255."
            )


def _size_message(model, shape, size, fixed):
    if fixed is not None:
        return (
            f"This network takes images of {fixed} pixels where these have {size}. "
            "Resize them, or build it with the height and width None. Received "
            f"shape: {shape}"
        )
    stride = model.total_stride
    below = size // stride * stride
    return (
        f"Height and width must be multiples of {stride}; the next valid sizes to "
        f"{size} are {max(below, stride)} and {below + stride}. Resize or pad the "
        f"images. Received shape: {shape}"
    )


def _first_bad(values):
    # NaN and infinity are what differs from itself after taking itself away.
    return next(i for i, image in enumerate(values) if ((image - image) != 0).any())
