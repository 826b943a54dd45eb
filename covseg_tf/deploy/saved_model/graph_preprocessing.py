"""The preprocessing spec as TensorFlow operations, for a SavedModel to carry."""

import tensorflow as tf

from covseg_tf.edge.preprocessing import PreprocessingSpec

# A film of 5000 x 5000, more than any detector has; a header that claims more is an
# attack. Decoding such a one takes some hundred megabytes.
MOST_PIXELS = 25_000_000
# Fixed-point BT.601 luma, as OpenCV computes it for 8 bit.
_LUMA, _SHIFT = (4899, 9617, 1868), 14


def decode_images(image_bytes: tf.Tensor, spec: PreprocessingSpec) -> tf.Tensor:
    """Decodes image files into the grey levels that the network reads.

    The steps are those of `PreprocessingSpec.apply`; levels differ from OpenCV's
    by at most 1 for PNG. The orientation tag of a JPEG is not read.

    Args:
        image_bytes: Strings `(batch,)`, whole PNG (8 or 16 bit) or JPEG files.
        spec: The preprocessing.

    Returns:
        uint8 `(batch, height, width)`. Running it raises `InvalidArgumentError`
        for a file that is damaged, of another format, or above `MOST_PIXELS`.
    """
    return tf.map_fn(
        lambda data: _decode(data, spec),
        image_bytes,
        parallel_iterations=1,  # one decoded film at a time in memory
        fn_output_signature=tf.TensorSpec((spec.height, spec.width), tf.uint8),
    )


def encode_maps(maps: tf.Tensor) -> tf.Tensor:
    """Encodes probability maps as 8-bit grey PNG files.

    Args:
        maps: Floats `(batch, height, width, 1)` in `[0, 1]`.

    Returns:
        Strings `(batch,)`; a level is the probability times 255, rounded.
    """
    levels = tf.cast(tf.round(maps * 255), tf.uint8)
    return tf.map_fn(
        tf.io.encode_png,
        levels,
        parallel_iterations=1,
        fn_output_signature=tf.TensorSpec((), tf.string),
    )


def _decode(data, spec):
    is_jpeg = tf.strings.substr(data, 0, 3) == b"\xff\xd8\xff"
    is_png = tf.strings.substr(data, 0, 8) == b"\x89PNG\r\n\x1a\n"
    # Shorter than a PNG's header: substr would put the raw bytes into its error.
    is_long = tf.strings.length(data) >= 33
    known = tf.debugging.Assert(
        (is_jpeg | is_png) & is_long,
        ["image_bytes must hold a whole PNG or JPEG file."],
    )
    with tf.control_dependencies([known]):
        grey = tf.cond(is_jpeg, lambda: _decode_jpeg(data), lambda: _decode_png(data))
    grey = tf.ensure_shape(grey, (None, None))[..., None]
    rows, columns = tf.shape(grey)[0], tf.shape(grey)[1]
    size = (spec.height, spec.width)
    shrinks = (rows >= spec.height) & (columns >= spec.width)
    resized = tf.cond(
        shrinks,
        lambda: tf.image.resize(grey, size, tf.image.ResizeMethod.AREA),
        lambda: tf.image.resize(grey, size, tf.image.ResizeMethod.BILINEAR),
    )
    return tf.cast(tf.round(resized[..., 0]), tf.uint8)


def _decode_jpeg(data):
    allowed = _check_pixels(tf.cast(tf.io.extract_jpeg_shape(data)[:2], tf.int64))
    with tf.control_dependencies([allowed]):
        return _to_grey(tf.io.decode_jpeg(data, dct_method="INTEGER_ACCURATE"))


def _decode_png(data):
    # The header chunk: length, "IHDR", width, height, bit depth.
    header = tf.strings.substr(data, 16, 8)
    size = tf.io.decode_raw(header, tf.int32, little_endian=False)
    with tf.control_dependencies([_check_pixels(tf.cast(size, tf.int64))]):
        is_deep = tf.strings.substr(data, 24, 1) == b"\x10"
    return tf.cond(
        is_deep,
        lambda: _to_grey(_stretch(_drop_alpha(tf.io.decode_png(data, 0, tf.uint16)))),
        lambda: _to_grey(tf.io.decode_png(data)),
    )


def _check_pixels(size):
    pixels = tf.reduce_prod(size)
    fits = tf.reduce_all(size > 0) & (pixels <= MOST_PIXELS)
    return tf.debugging.Assert(
        fits, [f"An image must have 1 to {MOST_PIXELS} pixels. Its sides:", size]
    )


def _drop_alpha(pixels):
    channels = tf.shape(pixels)[2]
    return pixels[..., : channels - (channels + 1) % 2]  # 2 to 1 and 4 to 3


def _stretch(pixels):
    # float32 holds every 16-bit level; OpenCV's side computes in float64.
    low = tf.cast(tf.reduce_min(pixels), tf.float32)
    high = tf.cast(tf.reduce_max(pixels), tf.float32)
    factor = tf.math.divide_no_nan(255.0, high - low)
    return tf.cast(tf.round((tf.cast(pixels, tf.float32) - low) * factor), tf.uint8)


def _to_grey(pixels):
    def luma():
        # Channel by channel: three times less memory than all at once.
        total = tf.constant(1 << (_SHIFT - 1))
        for channel, weight in enumerate(_LUMA):
            total += tf.cast(pixels[..., channel], tf.int32) * weight
        return tf.cast(tf.bitwise.right_shift(total, _SHIFT), tf.uint8)

    return tf.cond(tf.shape(pixels)[2] >= 3, luma, lambda: pixels[..., 0])
