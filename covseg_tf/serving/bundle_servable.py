"""Serves a bundle with LiteRT: no TensorFlow in the process."""

import contextlib
import pathlib
import queue

import cv2
import numpy as np

from covseg_tf.edge import Bundle, Segmenter, load_bundle
from covseg_tf.imaging import to_grey
from covseg_tf.serving.errors import InvalidRequest
from covseg_tf.serving.servable import IMAGE_INPUT, Servable
from covseg_tf.serving.signature import Signature
from covseg_tf.serving.tensor_spec import TensorSpec

# Rounding of a client's own division may leave the range by a hair.
_SLACK = 1e-5


class BundleServable(Servable):
    """A bundle behind the signatures of our SavedModels.

    `serving_default` takes `image`, float32 `(batch, height, width, 1)`, grey
    level times the spec's scale, at the network's size. `encoded_image` and
    `encoded_image_to_png` take `image_bytes`, whole PNG or JPEG files of any
    size, `(batch,)`. The first two give float32 maps `lung` and `infection`,
    `(batch, height, width, 1)`; the third gives `lung_png_bytes` and
    `infection_png_bytes`, 8-bit grey PNG files of probability times 255. All
    give `involved_percent` (NaN where there is no lung) and `lung_percent`,
    `(batch,)`.

    Args:
        bundle: Name of a bundled model, a bundle's folder, or a `Bundle`.
        name: Name to serve it under. Defaults to the bundle's.
        version: Int >= 0. Defaults to 1.
        workers: Number of interpreters, each used by one thread at a time.
            Defaults to 1.
        max_image_pixels: As for `Servable`.
        max_batch: As for `Servable`.

    Raises:
        ValueError: If there is no such bundle or it is damaged.
    """

    def __init__(
        self,
        bundle: str | pathlib.Path | Bundle = "xray",
        name: str | None = None,
        version: int = 1,
        workers: int = 1,
        max_image_pixels: int = 25_000_000,
        max_batch: int = 64,
    ):
        bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self._spec, self._threshold = bundle.preprocessing, bundle.threshold
        self._idle: queue.SimpleQueue = queue.SimpleQueue()
        for _ in range(workers):
            self._idle.put(Segmenter(bundle))
        signatures = _signatures(self._spec.height, self._spec.width)
        super().__init__(
            name or bundle.name, version, signatures, max_image_pixels, max_batch
        )

    def _run(self, signature_name, inputs):
        if signature_name == "serving_default":
            pixels = [_to_pixels(image, self._spec.scale) for image in inputs["image"]]
        else:
            pixels = [self._decode(data) for data in inputs[IMAGE_INPUT]]
        with self._segmenter() as segmenter:
            levels = [segmenter.run(image) for image in pixels]
        maps = {
            label: np.stack([each[label] for each in levels]).astype(np.float32) / 256
            for label in ("lung", "infection")
        }
        outputs = _percentages(maps["lung"], maps["infection"], self._threshold)
        for label, values in maps.items():
            if signature_name == "encoded_image_to_png":
                outputs[f"{label}_png_bytes"] = _to_png(values)
            else:
                outputs[label] = values[..., None]
        return outputs

    @contextlib.contextmanager
    def _segmenter(self):
        segmenter = self._idle.get()
        try:
            yield segmenter
        finally:
            self._idle.put(segmenter)

    def _decode(self, data):
        flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            raise InvalidRequest(f"the image is damaged ({error.err}).") from None
        if image is None:
            raise InvalidRequest("the image is damaged; save it again as PNG or JPEG.")
        return self._spec.resize(to_grey(image))


def _signatures(height, width):
    image = TensorSpec("DT_FLOAT", (-1, height, width, 1), "image:0")
    data = TensorSpec("DT_STRING", (-1,), f"{IMAGE_INPUT}:0")
    maps = {label: _output(label, height, width) for label in ("lung", "infection")}
    pngs = {
        label: _output(label) for label in ("lung_png_bytes", "infection_png_bytes")
    }
    percents = {
        name: TensorSpec("DT_FLOAT", (-1,), f"{name}:0")
        for name in ("involved_percent", "lung_percent")
    }
    return {
        "serving_default": Signature({"image": image}, maps | percents),
        "encoded_image": Signature({IMAGE_INPUT: data}, maps | percents),
        "encoded_image_to_png": Signature({IMAGE_INPUT: data}, pngs | percents),
    }


def _output(name, *size):
    if size:
        return TensorSpec("DT_FLOAT", (-1, *size, 1), f"{name}:0")
    return TensorSpec("DT_STRING", (-1,), f"{name}:0")


def _to_pixels(image, scale):
    highest = 255 * scale
    # Written so that NaN is refused too.
    if not (image.min() >= -_SLACK and image.max() <= highest + _SLACK):
        raise InvalidRequest(
            f"Input image must be finite and in [0, {highest:g}]; divide grey levels "
            f"by 255. Received: [{image.min():g}, {image.max():g}]"
        )
    return np.clip(np.rint(image[..., 0] / scale), 0, 255).astype(np.uint8)


def _percentages(lung, infection, threshold):
    is_lung = lung > threshold
    involved = is_lung & (infection > threshold)
    counts = np.count_nonzero(is_lung, axis=(1, 2))
    with np.errstate(invalid="ignore"):
        percent = 100 * np.count_nonzero(involved, axis=(1, 2)) / counts
    return {
        "involved_percent": percent.astype(np.float32),
        "lung_percent": (100 * counts / is_lung[0].size).astype(np.float32),
    }


def _to_png(maps):
    pictures = np.rint(maps * 255).astype(np.uint8)
    files = np.empty(len(maps), object)
    files[:] = [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures]
    return files
