"""The edge runtime as a model of Beam's RunInference."""

import contextlib
import hashlib
import queue
from collections.abc import Iterator, Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from covseg_tf.batch.find_images import Image
from covseg_tf.batch.score_image import score_path
from covseg_tf.edge.bundle import Bundle, load_bundle
from covseg_tf.edge.segmenter import Segmenter


class SegmenterPool:
    """Segmenters of one bundle, one for each thread that asks at a time.

    A LiteRT interpreter serves one thread, and Beam's workers run several.

    Args:
        bundle: The bundle, which all share.
        threads: Int >= 1, threads of each interpreter.

    Attributes:
        bundle: As given.
        sha256: Of the bundle's model file.
    """

    def __init__(self, bundle: Bundle, threads: int = 1):
        self.bundle = bundle
        self.threads = threads
        self.sha256 = hashlib.sha256(bundle.model).hexdigest()
        self._idle: queue.SimpleQueue = queue.SimpleQueue()
        self._idle.put(Segmenter(bundle, threads))  # a bad model fails here

    @contextlib.contextmanager
    def segmenter(self) -> Iterator[Segmenter]:
        """Lends a segmenter that no other thread has."""
        try:
            lent = self._idle.get_nowait()
        except queue.Empty:
            lent = Segmenter(self.bundle, self.threads)
        try:
            yield lent
        finally:
            self._idle.put(lent)


class SegmenterModelHandler(ModelHandler[Image, dict[str, Any], SegmenterPool]):
    """Scores images with a bundle; the images are read here, one after another.

    A worker process loads the bundle once, and holds one file per thread. What is
    wrong with a file is in its row and never fails a pipeline; a bundle that is
    missing, damaged or another than was asked for does.

    Args:
        model: Name of a bundled model, or path of a bundle's folder, which each
            worker must find. Defaults to `"xray"`.
        sha256: Of its model file, 64 hex digits: a worker that finds another
            stops. Empty (default) takes what it finds.
        threads: Int >= 1, threads of an interpreter. Defaults to 1: workers are
            the way to use more cores.
        min_batch_size: Least images that are handed over at once, but for the
            last. Defaults to 1.
        max_batch_size: Most; a batch is a unit of Beam's bookkeeping and costs
            no memory. Defaults to 32.

    Call arguments:
        batch: Images, `(id, (name, path))`.
        model: A `SegmenterPool`.
        inference_args: Not used.

    Raises:
        ValueError: On loading, if the model cannot be used.

    Example:

    >>> handler = SegmenterModelHandler("xray")
    >>> pool = handler.load_model()
    >>> rows = handler.run_inference([("0", ("none.png", b"/none.png"))], pool)
    >>> rows[0]["error"]
    'cannot be read (No such file or directory).'
    """

    def __init__(
        self,
        model: str = "xray",
        sha256: str = "",
        threads: int = 1,
        min_batch_size: int = 1,
        max_batch_size: int = 32,
    ):
        super().__init__(min_batch_size=min_batch_size, max_batch_size=max_batch_size)
        self.model = model
        self.sha256 = sha256
        self.threads = threads

    def load_model(self) -> SegmenterPool:
        """Loads the bundle, once in each process.

        Returns:
            Segmenters for the process's threads.

        Raises:
            ValueError: If it cannot be used, or is another than was asked for.
        """
        pool = SegmenterPool(load_bundle(self.model), self.threads)
        if self.sha256 and pool.sha256 != self.sha256:
            raise ValueError(
                f"{self.model}: this worker has another model of that name (SHA-256 "
                f"{pool.sha256[:12]}..., expected {self.sha256[:12]}...). Install the "
                "same version of covseg_tf, or copy the bundle, to every worker."
            )
        return pool

    def run_inference(
        self,
        batch: Sequence[Image],
        model: SegmenterPool,
        inference_args: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Reads and scores a batch.

        Args:
            batch: Images, `(id, (name, path))`.
            model: From `load_model`.
            inference_args: Not used.

        Returns:
            A row for each image, in order.
        """
        origin = {"model": model.bundle.name, "model_sha256": model.sha256}
        with model.segmenter() as segmenter:
            return [
                score_path(key, name, path, segmenter) | origin
                for key, (name, path) in batch
            ]

    def get_num_bytes(self, batch: Sequence[Image]) -> int:
        """Returns the bytes of the paths: what travels between workers.

        Args:
            batch: Images.
        """
        return sum(len(path) for _, (_, path) in batch)

    def get_metrics_namespace(self) -> str:
        """Returns the name under which Beam counts batches and milliseconds."""
        return "covseg_tf"
