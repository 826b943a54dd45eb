"""Asks a model server, ours or TensorFlow Serving."""

import functools
import pathlib
import random
import time
import urllib.parse
from collections.abc import Callable, Iterable
from typing import TypeVar

import cv2
import numpy as np

from covseg_tf.edge import read_image
from covseg_tf.imaging import as_grey, to_grey
from covseg_tf.serving.errors import ServerError, ServingError, Unavailable
from covseg_tf.serving.served_prediction import ServedPrediction

_SIGNATURE = "encoded_image_to_png"
_FILES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
Result = TypeVar("Result")


class Client:
    """Asks a server for predictions.

    REST needs `covseg-tf[client]`, gRPC `covseg-tf[serving]`. A client keeps
    its connection; it is for one thread, give each its own.

    Args:
        url: `http://` or `https://` for REST (TensorFlow Serving's port 8501),
            `grpc://` or `grpcs://` for gRPC (its port 8500).
        model: Name of the model. Defaults to `"xray"`.
        version: Int, a version of it. Defaults to the newest.
        label: A version's label, for example `"stable"`.
        timeout: Float, seconds for each whole answer. Defaults to 10.
        retries: Int, how many times more to try when the server cannot be
            reached or is too busy. Other errors are never tried again.
            Defaults to 3.
        batch_size: Int, most images in one request. Defaults to 8.
        token: The server's token, if it has one.

    Raises:
        ValueError: If an argument is unusable or a package is missing.

    Example:

    >>> client = Client("http://127.0.0.1:8501", label="stable")
    """

    def __init__(
        self,
        url: str,
        model: str = "xray",
        version: int | None = None,
        label: str | None = None,
        timeout: float = 10.0,
        retries: int = 3,
        batch_size: int = 8,
        token: str | None = None,
    ):
        if version is not None and label is not None:
            raise ValueError(
                f"Give `version` or `label`, not both. Received: {version}, {label!r}"
            )
        if not timeout > 0 or retries < 0 or batch_size < 1:
            raise ValueError(
                "`timeout` must be above 0, `retries` at least 0 and `batch_size` at "
                f"least 1. Received: {timeout}, {retries}, {batch_size}"
            )
        self.batch_size = batch_size
        self._retries = retries
        make = _transport_of(url)
        self._transport = make(url, model, version, label, timeout, token)

    def predict(
        self, images: Iterable[bytes | str | pathlib.Path | np.ndarray]
    ) -> list[ServedPrediction]:
        """Segments images, `batch_size` of them in a request.

        Args:
            images: Each the bytes of a PNG or JPEG file, a path, or an array
                as for `covseg_tf.edge.PreprocessingSpec.apply`.

        Returns:
            One prediction for each image, in order.

        Raises:
            ValueError: If an image cannot be read.
            ServingError: If the server refuses or fails; nothing is returned
                of the batches before.
        """
        if isinstance(images, (bytes, str, pathlib.Path, np.ndarray)):
            raise ValueError("`images` must be a list, also for one image: [image].")
        files = [_to_bytes(image) for image in images]
        predictions = []
        for start in range(0, len(files), self.batch_size):
            batch = files[start : start + self.batch_size]
            rows = with_retries(
                functools.partial(self._transport.predict, _SIGNATURE, batch),
                self._retries,
            )
            predictions += [_to_prediction(row) for row in rows]
        return predictions

    def status(self) -> dict[int, str]:
        """Returns the state of each version, for example `{1: "AVAILABLE"}`.

        Raises:
            ServingError: If the server refuses or fails.
        """
        answer = with_retries(self._transport.status, self._retries)
        return {
            int(entry["version"]): entry["state"]
            for entry in answer["model_version_status"]
        }

    def metadata(self) -> dict:
        """Returns the model's signatures, in TensorFlow Serving's JSON.

        Raises:
            ServingError: If the server refuses or fails.
        """
        return with_retries(self._transport.metadata, self._retries)

    def is_ready(self) -> bool:
        """Returns whether the server answers and the model can be asked."""
        try:
            answer = self._transport.status()
        except ServingError:
            return False
        states = [entry["state"] for entry in answer.get("model_version_status", [])]
        return "AVAILABLE" in states

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def with_retries(
    call: Callable[[], Result],
    retries: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Calls until it does not raise `Unavailable`, at most `retries` times more.

    The pause doubles from 0.1 s up to 5 s, with up to half of it taken off at
    random so that clients do not return in step; a pause that the server asks
    for is kept, up to 5 s. What is called must be safe to do twice.
    """
    pause = _FIRST_PAUSE
    for _ in range(retries):
        try:
            return call()
        except Unavailable as error:
            asked = min(error.retry_after or 0.0, _LONGEST_PAUSE)
            sleep(max(pause * random.uniform(0.5, 1.0), asked))
            pause = min(2 * pause, _LONGEST_PAUSE)
    return call()


def _transport_of(url):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https", "grpc", "grpcs") or not parts.netloc:
        raise ValueError(
            f"`url` must be http(s)://HOST:PORT or grpc(s)://HOST:PORT. Received: {url}"
        )
    is_rest = parts.scheme.startswith("http")
    try:
        if is_rest:
            from covseg_tf.serving.rest.transport import RestTransport as Transport
        else:
            from covseg_tf.serving.grpc.transport import GrpcTransport as Transport
    except ImportError as error:
        extra = "client" if is_rest else "serving"
        raise ValueError(
            f"{parts.scheme}:// needs {error.name}; install it with pip install "
            f"'covseg-tf[{extra}]'."
        ) from None
    return Transport


def _to_bytes(image):
    """Returns what is a PNG or JPEG file as it is, all else as grey PNG."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, (str, pathlib.Path)):
        path = pathlib.Path(image)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror or error}.") from None
        if data.startswith(_FILES):
            return data
        image = read_image(path)
    image = np.asarray(image)
    # The server widens what is narrow; it cannot know of a depth that is gone.
    grey = to_grey(image) if image.dtype == np.uint8 else as_grey(image)[0]
    return cv2.imencode(".png", grey)[1].tobytes()


def _to_prediction(row):
    try:
        involved = float(row["involved_percent"])
        return ServedPrediction(
            lung=_to_map(row["lung_png_bytes"]),
            infection=_to_map(row["infection_png_bytes"]),
            involved_percent=None if np.isnan(involved) else involved,
            lung_percent=float(row["lung_percent"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ServerError(
            f"The answer is not that of {_SIGNATURE} ({type(error).__name__}: "
            f"{error}); is this one of our models?"
        ) from None


def _to_map(data):
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise ValueError("a map is no PNG file")
    return pixels.astype(np.float32) / 255
