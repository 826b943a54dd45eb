"""SavedModel for TF Serving: three guarded signatures and warm-up records."""

import pathlib

import keras
import tensorflow as tf

from covseg_tf.deploy.flows import FLOWS, two_flows
from covseg_tf.deploy.saved_model.graph_preprocessing import decode_images, encode_maps
from covseg_tf.deploy.saved_model.warm_up import write_warm_up
from covseg_tf.deploy.whole_file import whole_folder
from covseg_tf.edge.preprocessing import PreprocessingSpec

# Rounding of a client's own division may leave the range by a hair.
_SLACK = 1e-5


def export_saved_model(
    model: keras.Model,
    spec: PreprocessingSpec,
    folder: str | pathlib.Path,
    version: int = 1,
    threshold: float = 0.5,
    warm_up: bool = True,
) -> pathlib.Path:
    """Writes one version of a servable, whole or not at all.

    Signatures, each with an input of any batch size:

    - `serving_default`: `image`, float32 `(batch, height, width, 1)`, grey level
      times `spec.scale`; gives `lung` and `infection`, probabilities of that
      shape, and `involved_percent` and `lung_percent`, `(batch,)`.
    - `encoded_image`: `image_bytes`, strings `(batch,)`, whole PNG or JPEG files of
      any size; the same outputs.
    - `encoded_image_to_png`: as before, with the maps as 8-bit grey PNG files,
      `lung_png_bytes` and `infection_png_bytes`, probability times 255.

    `involved_percent` is the share of the lung's pixels that are infected, NaN where
    there is no lung; `lung_percent` is the lung's share of the image. Both count
    pixels above the threshold as they are: the speck filter and the plausibility
    flags of `covseg_tf.edge` are not in the graph. Every input is guarded by
    `ensure_shape`: a tensor of the wrong rank would end the server's process.

    Args:
        model: Keras model with the outputs `lung` and `infection`.
        spec: The preprocessing the model was trained with.
        folder: The servable's base folder; its last part is the name that
            `models.config` should give it. Receives the folder `version`.
        version: Int >= 1.
        threshold: Probability above which a pixel is foreground.
        warm_up: Write `assets.extra/tf_serving_warmup_requests`, so that the first
            request is as fast as the next. Needs tensorflow-serving-api.

    Returns:
        Path of the version's folder.

    Raises:
        ValueError: If the version exists or is below 1, the threshold is not in
            (0, 1), the model does not fit, or a package is missing.
    """
    target = pathlib.Path(folder) / str(version)
    if version < 1 or not 0 < threshold < 1:
        raise ValueError(
            "`version` must be at least 1 and `threshold` in (0, 1). Received: "
            f"version={version}, threshold={threshold}"
        )
    if target.exists():
        raise ValueError(f"{target}: exists and is not overwritten; raise `version`.")
    network = two_flows(model, spec)
    with whole_folder(target) as draft:
        _archive(network, spec, threshold).write_out(draft, verbose=False)
        if warm_up:
            write_warm_up(draft, target.parent.name, spec)
    return target


def _archive(network, spec, threshold):
    archive = keras.export.ExportArchive()
    archive.track(network)

    def of_images(image):
        image = tf.ensure_shape(image, (None, spec.height, spec.width, 1))
        with tf.control_dependencies(_check_values(image, 255 * spec.scale)):
            image = tf.identity(image)
        maps = network(image, training=False)
        return maps | _percentages(maps, threshold)

    def of_files(image_bytes):
        image_bytes = tf.ensure_shape(image_bytes, (None,))
        levels = decode_images(image_bytes, spec)
        return of_images(tf.cast(levels[..., None], tf.float32) * spec.scale)

    def files_of_files(image_bytes):
        found = of_files(image_bytes)
        for flow in FLOWS:
            found[f"{flow}_png_bytes"] = encode_maps(found.pop(flow))
        return found

    image = tf.TensorSpec((None, spec.height, spec.width, 1), tf.float32, "image")
    files = tf.TensorSpec((None,), tf.string, "image_bytes")
    archive.add_endpoint("serving_default", of_images, [image])
    archive.add_endpoint("encoded_image", of_files, [files])
    archive.add_endpoint("encoded_image_to_png", files_of_files, [files])
    return archive


def _check_values(image, highest):
    is_filled = tf.debugging.Assert(
        tf.size(image) > 0, ["image must hold at least one image."]
    )
    # NaN fails both comparisons.
    fits = tf.debugging.Assert(
        tf.reduce_all((image >= -_SLACK) & (image <= highest + _SLACK)),
        [f"image must be finite and in [0, {highest:g}]; divide grey levels by 255."],
    )
    return [is_filled, fits]


def _percentages(maps, threshold):
    lung = maps["lung"] > threshold
    both = lung & (maps["infection"] > threshold)
    lung, both = (
        tf.reduce_sum(tf.cast(mask, tf.float32), axis=(1, 2, 3))
        for mask in (lung, both)
    )
    pixels = maps["lung"].shape[1] * maps["lung"].shape[2]
    return {"involved_percent": 100 * both / lung, "lung_percent": 100 * lung / pixels}
