"""The heart of the pipeline: from images to rows, one for each."""

from typing import NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

from covseg_tf.batch.model_handler import SegmenterModelHandler


class TriageImages(beam.PTransform):
    """Scores images: exactly one row for each id that is not done yet.

    Images are brought together by id, which makes one of those that come twice,
    leaves out those that are done, and spreads the rest over all workers.

    Args:
        handler: What scores.

    Call arguments:
        inputs: `PCollection` of `(id, (name, path))`, as `FindImages` gives; or a
            dict of two, `"images"` and `"done"`, ids that have a row already.

    Example:

    >>> import apache_beam as beam
    >>> from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    >>> with beam.Pipeline(runner=FnApiRunner()) as pipeline:
    ...     images = pipeline | beam.Create([("0", ("a.png", b"/none/a.png"))] * 2)
    ...     rows = images | TriageImages(SegmenterModelHandler("xray"))
    ...     _ = rows.rows | beam.Map(lambda row: print(row["file"], row["error"]))
    a.png cannot be read (No such file or directory).
    """

    def __init__(self, handler: SegmenterModelHandler):
        super().__init__()
        self.handler = handler

    def expand(self, inputs):
        """Returns a `TriagedImages`.

        Args:
            inputs: `PCollection` of images, or a dict of that and of ids.
        """
        if isinstance(inputs, dict):
            images, done = inputs["images"], inputs["done"]
        else:
            images, done = inputs, inputs.pipeline | "None done" >> beam.Create([])
        marks = done | "Mark" >> beam.Map(_mark).with_output_types(tuple[str, bool])
        groups = {"images": images, "done": marks} | beam.CoGroupByKey()
        parts = groups | "Take new" >> beam.ParDo(_TakeNew()).with_outputs(
            "skipped", main="new"
        )
        return TriagedImages(parts.new | RunInference(self.handler), parts.skipped)


class TriagedImages(NamedTuple):
    """What `TriageImages` gives.

    Attributes:
        rows: `PCollection` of dicts, one per image.
        skipped: `PCollection` of the ids that were done already.
    """

    rows: beam.PCollection
    skipped: beam.PCollection


class _TakeNew(beam.DoFn):
    def process(self, element):
        key, group = element
        image = next(iter(group["images"]), None)
        if image is None:  # done earlier, and not asked for now
            return
        if any(True for _ in group["done"]):
            yield beam.pvalue.TaggedOutput("skipped", key)
        else:
            yield key, image


def _mark(key):
    return key, True
