"""Feature maps of an encoder, fine to coarse, and what a decoder asks of them."""

from collections.abc import Sequence

import keras


def pyramid_of(encoder: keras.Model) -> list:
    """Returns the encoder's feature maps, fine to coarse.

    Args:
        encoder: A Keras model with `pyramid_outputs`, or with a list of at
            least two outputs.

    Returns:
        List of symbolic tensors `(batch, height, width, channels)`; the four
        coarsest levels where the encoder has more.

    Raises:
        ValueError: If there is no such pyramid.
    """
    named = getattr(encoder, "pyramid_outputs", None)
    if named:
        levels = [named[key] for key in sorted(named, key=lambda k: int(k[1:]))]
    else:
        levels = list(encoder.outputs)
    levels = levels[-4:]
    if len(levels) < 2:
        raise ValueError(
            "The encoder must give at least two feature maps: a "
            "`pyramid_outputs` dict or a list of outputs, fine to coarse. "
            f"Received an encoder with {len(levels)} output(s)."
        )
    for fine, coarse in zip(levels, levels[1:], strict=False):
        sizes = (fine.shape[1], coarse.shape[1])
        if None not in sizes and sizes[0] != 2 * sizes[1]:
            raise ValueError(
                "Each feature map of the encoder must be half the size of the "
                f"one before. Received shapes: {[tuple(x.shape) for x in levels]}"
            )
    return levels


def stride_of(image, pyramid: Sequence, scale: int) -> int:
    """Returns the stride of a decoder scale in pixels of the image.

    Args:
        image: Symbolic input `(batch, height, width, channels)`.
        pyramid: As `pyramid_of` returns it.
        scale: Int, 0 for the coarsest level.
    """
    level = pyramid[-1 - scale]
    if image.shape[1] is not None and level.shape[1] is not None:
        return image.shape[1] // level.shape[1]
    return 4 * 2 ** (len(pyramid) - 1 - scale)


def decoder_widths(decoder_filters: Sequence[int] | None, pyramid: Sequence) -> tuple:
    """Returns the channels of the decoder scales, coarse to fine.

    Args:
        decoder_filters: One width for each level but the coarsest, or `None` for
            those of the skips.
        pyramid: As `pyramid_of` returns it.

    Raises:
        ValueError: If there are more or fewer widths, or one is below 1.
    """
    skips = [level.shape[-1] for level in pyramid[-2::-1]]
    if decoder_filters is None:
        return tuple(skips)
    filters = tuple(decoder_filters)
    if len(filters) != len(skips) or any(f < 1 for f in filters):
        raise ValueError(
            f"`decoder_filters` needs {len(skips)} positive widths, coarse to "
            f"fine, for an encoder of {len(pyramid)} levels. "
            f"Received: {decoder_filters!r}"
        )
    return filters
