"""Apache Beam: from images to rows, one for each."""

import json
from typing import NamedTuple

import apache_beam as beam

from covseg_tf.batch.images import Image, ImageSource
from covseg_tf.batch.parts import BeamFiles
from covseg_tf.batch.score_image import load_model, parquet_schema, score_image

FORMATS = ("jsonl", "parquet")


class FindImages(beam.PTransform):
    """Lists images as `(id, (name, path))`, in any worker and without reading them.

    The id is the first 32 hex digits of the SHA-256 of the name, as the manifest
    or the pattern gives it: the same in every run. A name that comes twice is
    listed twice; `TriageImages` makes one row of it.

    Args:
        source: What to list.
    """

    def __init__(self, source: ImageSource):
        super().__init__()
        self.source = source

    def expand(self, pbegin):
        """Returns a `PCollection` of `(id, (name, path))`."""
        sources = pbegin | "Source" >> beam.Create([self.source])
        return sources | "List" >> beam.FlatMap(
            lambda source: source.images()
        ).with_output_types(Image)


class TriagedImages(NamedTuple):
    """What `TriageImages` gives.

    Attributes:
        rows: `PCollection` of dicts, one per image.
        skipped: `PCollection` of the ids that were done already.
    """

    rows: beam.PCollection
    skipped: beam.PCollection


class TriageImages(beam.PTransform):
    """Scores images: exactly one row for each id that is not done yet.

    Images are brought together by id, which makes one of those that come twice,
    leaves out those that are done, and spreads the rest over all workers. What is
    wrong with a file is in its row and never fails a pipeline; a model that is
    missing, damaged or another than was asked for does.

    Args:
        model: Name of a bundled model, or path of a bundle's folder, which each
            worker must find. Defaults to `"xray"`.
        sha256: Of its model file, 64 hex digits: a worker that finds another
            stops. Empty (default) takes what it finds.

    Call arguments:
        inputs: `PCollection` of `(id, (name, path))`, as `FindImages` gives; or a
            dict of two, `"images"` and `"done"`, ids that have a row already.

    Example:

    >>> import apache_beam as beam
    >>> from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    >>> with beam.Pipeline(runner=FnApiRunner()) as pipeline:
    ...     images = pipeline | beam.Create([("0", ("a.png", b"/none/a.png"))] * 2)
    ...     rows = (images | TriageImages("xray")).rows
    ...     _ = rows | beam.Map(lambda row: print(row["file"], row["error"]))
    a.png cannot be read (No such file or directory).
    """

    def __init__(self, model: str = "xray", sha256: str = ""):
        super().__init__()
        self.model, self.sha256 = model, sha256

    def expand(self, inputs):
        """Returns a `TriagedImages`."""
        if not isinstance(inputs, dict):
            done = inputs.pipeline | "None done" >> beam.Create([])
            inputs = {"images": inputs, "done": done}
        marks = inputs["done"] | "Mark" >> beam.Map(
            lambda key: (key, True)
        ).with_output_types(tuple[str, bool])
        groups = {"images": inputs["images"], "done": marks} | beam.CoGroupByKey()
        new = groups | "Take new" >> beam.ParDo(_TakeNew()).with_outputs(
            "skipped", main="new"
        )
        rows = new.new | "Score" >> beam.ParDo(_Score(self.model, self.sha256))
        return TriagedImages(rows, new.skipped)


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


class _Score(beam.DoFn):
    """Beam calls one of these from one thread: each has an interpreter of its own."""

    def __init__(self, model, sha256):
        super().__init__()
        self.model, self.sha256 = model, sha256

    def setup(self):
        self.segmenter, self.origin = load_model(self.model, self.sha256)

    def process(self, image):
        yield score_image(image, self.segmenter, self.origin, BeamFiles())


def write_rows(rows, prefix: str, form: str, shards: int):
    """Writes rows to `PREFIX-00000-of-00004.jsonl` or `.parquet`; `shards` files."""
    words = {"file_name_suffix": f".{form}", "num_shards": shards}
    if form == "parquet":
        schema = parquet_schema()
        return rows | beam.io.WriteToParquet(prefix, schema, codec="zstd", **words)
    lines = rows | beam.Map(json.dumps).with_output_types(str)
    return lines | beam.io.WriteToText(prefix, **words)


def read_ids(pipeline, patterns: list[str], form: str):
    """Reads the ids of the rows in files of a form, found by patterns."""
    files = pipeline | "Done" >> beam.Create(patterns)
    if form == "parquet":
        rows = files | beam.io.ReadAllFromParquet(columns=["id"])
    else:
        rows = files | beam.io.ReadAllFromText() | beam.Map(json.loads)
    return rows | "Id" >> beam.Map(lambda row: row["id"]).with_output_types(str)
