"""Serves a bundle with LiteRT: no TensorFlow in the process."""

import contextlib
import pathlib
import queue

import cv2
import numpy as np

from covseg_tf.edge import Bundle, Segmenter, load_bundle
from covseg_tf.imaging import as_grey, to_grey
from covseg_tf.imaging.correct.photograph import is_camera_picture, straighten
from covseg_tf.serving.errors import InvalidRequest
from covseg_tf.serving.repository.servable import IMAGE_INPUT, Servable
from covseg_tf.serving.wire import Signature, TensorSpec
from covseg_tf.serving.work_queue import while_wanted

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
    `(batch,)`. A camera's picture of a film is straightened first, and the maps come
    back as the film lies in the picture.

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
        # As in `Segmenter`: what is narrow in a window of CT is not to be widened.
        self._is_film = bundle.modality == "xray"
        self._grey = (lambda image: as_grey(image)[0]) if self._is_film else to_grey
        self._spec, self._threshold = bundle.preprocessing, bundle.threshold
        self._idle: queue.SimpleQueue = queue.SimpleQueue()
        for _ in range(workers):
            self._idle.put(Segmenter(bundle))
        signatures = _signatures(self._spec.height, self._spec.width)
        super().__init__(
            name or bundle.name, version, signatures, max_image_pixels, max_batch
        )

    def _run(self, signature_name, inputs):
        (images,) = inputs.values()
        if signature_name == "serving_default":
            read = ((_to_pixels(image, self._spec.scale), None) for image in images)
        else:
            read = (self._prepared(data) for data in images)
        with self._segmenter() as segmenter:
            found = [
                _in_picture(segmenter.run(pixels), photo)
                for pixels, photo in while_wanted(read)
            ]
        levels, hidden = zip(*found, strict=True)
        maps = {
            label: np.stack([each[label] for each in levels]).astype(np.float32) / 256
            for label in ("lung", "infection")
        }
        outputs = _percentages(
            maps["lung"], maps["infection"], self._threshold, np.stack(hidden)
        )
        for label, values in maps.items():
            if signature_name == "encoded_image_to_png":
                outputs[f"{label}_png_bytes"] = _to_png(values)
            else:
                outputs[label] = values[..., None]
        return outputs

    def _prepared(self, data):
        """A file's pixels for the network, and where they lie in a photograph."""
        image = _decode(data)
        grey = self._grey(image)
        camera = self._is_film and is_camera_picture(image)
        photo = straighten(grey) if camera else None
        if photo is None:
            return self._spec.resize(grey), None
        photo = photo.resized(self._spec.height, self._spec.width)
        return photo.pixels, photo

    @contextlib.contextmanager
    def _segmenter(self):
        segmenter = self._idle.get()
        try:
            yield segmenter
        finally:
            self._idle.put(segmenter)


def _signatures(height, width):
    def specs(dtype, names, *size):
        return {name: TensorSpec(dtype, (-1, *size), f"{name}:0") for name in names}

    image = specs("DT_FLOAT", ["image"], height, width, 1)
    data = specs("DT_STRING", [IMAGE_INPUT])
    percents = specs("DT_FLOAT", ["involved_percent", "lung_percent"])
    maps = specs("DT_FLOAT", ["lung", "infection"], height, width, 1) | percents
    pngs = specs("DT_STRING", ["lung_png_bytes", "infection_png_bytes"]) | percents
    return {
        "serving_default": Signature(image, maps),
        "encoded_image": Signature(data, maps),
        "encoded_image_to_png": Signature(data, pngs),
    }


def _decode(data):
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise InvalidRequest(f"the image is damaged ({error.err}).") from None
    if image is None:
        raise InvalidRequest("the image is damaged; save it again as PNG or JPEG.")
    return image


def _in_picture(levels, photo):
    """Maps as they lie in the photograph, and where glare hides the film."""
    if photo is None:
        return levels, np.zeros(levels["lung"].shape, bool)
    maps = {label: photo.to_picture(values) for label, values in levels.items()}
    hidden = np.zeros(photo.shape, bool)
    return maps, hidden if photo.glare is None else photo.to_picture(photo.glare)


def _to_pixels(image, scale):
    highest = 255 * scale
    # Written so that NaN is refused too.
    if not (image.min() >= -_SLACK and image.max() <= highest + _SLACK):
        raise InvalidRequest(
            f"Input image must be finite and in [0, {highest:g}]; divide grey levels "
            f"by 255. Received: [{image.min():g}, {image.max():g}]"
        )
    return np.clip(np.rint(image[..., 0] / scale), 0, 255).astype(np.uint8)


def _percentages(lung, infection, threshold, hidden=False):
    is_lung = lung > threshold
    seen = is_lung & np.logical_not(hidden)
    involved = np.count_nonzero(seen & (infection > threshold), axis=(1, 2))
    with np.errstate(invalid="ignore"):
        percent = 100 * involved / np.count_nonzero(seen, axis=(1, 2))
    counts = np.count_nonzero(is_lung, axis=(1, 2))
    return {
        "involved_percent": percent.astype(np.float32),
        "lung_percent": (100 * counts / is_lung[0].size).astype(np.float32),
    }


def _to_png(maps):
    pictures = np.rint(maps * 255).astype(np.uint8)
    files = np.empty(len(maps), object)
    files[:] = [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures]
    return files
