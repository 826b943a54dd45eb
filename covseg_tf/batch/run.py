"""A run of the Beam pipeline, whose output is held to its input."""

import dataclasses
import json
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from covseg_tf import __version__
from covseg_tf.batch.beam import FORMATS, FindImages, TriageImages, read_ids, write_rows
from covseg_tf.batch.images import ImageSource
from covseg_tf.batch.parts import OutputFolder, count_rows, read_json
from covseg_tf.batch.score_image import load_model

_COUNTS = "counts.json"


@dataclasses.dataclass(frozen=True)
class BatchReport:
    """What a run did.

    Attributes:
        part: Folder of the rows, or an empty string if there was nothing to do.
        lines: Inputs as listed.
        images: Inputs that differ; the others were listed more than once.
        skipped: Those that an earlier part holds.
        rows: Rows written: `images - skipped`.
        errors: Those of them with an `error`.
    """

    part: str
    lines: int
    images: int
    skipped: int
    rows: int
    errors: int


def run_batch(
    source: ImageSource,
    out: str,
    model: str = "xray",
    form: str = "jsonl",
    shards: int = 0,
    resume: bool = False,
    options: PipelineOptions | Sequence[str] = (),
) -> BatchReport:
    """Scores all images of a source, one row each, and counts the rows.

    Rows stand under `OUT/covseg-unfinished` until all are written and counted, then
    under `OUT/part-0001`. A run that fails or is killed publishes nothing; the
    same call again begins anew.

    Args:
        source: Images to score.
        out: Output folder, which workers can reach.
        model: As for `TriageImages`.
        form: `"jsonl"` or `"parquet"`.
        shards: Files to write; 0 (default) lets the runner choose.
        resume: Score only what no finished part of `out` holds. Without it `out`
            must hold none.
        options: Beam's options.

    Returns:
        The report.

    Raises:
        ValueError: If the model or `out` cannot be used, or there is no image.
        RuntimeError: If the pipeline failed, or rows and inputs differ in number.
    """
    if form not in FORMATS:
        raise ValueError(f"`form` must be one of {FORMATS}. Received: {form!r}")
    if shards < 0:
        raise ValueError(f"`shards` must be 0 or more. Received: {shards}")
    _, origin = load_model(model)
    marker = origin | {"covseg_version": __version__, "rows_format": form}
    folder = OutputFolder(out)
    earlier = folder.earlier(resume, marker)
    if not isinstance(options, PipelineOptions):
        options = PipelineOptions(list(options))
    pipeline = beam.Pipeline(options=options)
    folder.prepare()
    source = dataclasses.replace(source, out=folder.path)
    images = inputs = pipeline | "Find images" >> FindImages(source)
    if earlier:
        inputs = {"images": images, "done": read_ids(pipeline, earlier, form)}
    triaged = inputs | TriageImages(model, origin["model_sha256"])
    _ = write_rows(
        triaged.rows, FileSystems.join(folder.unfinished, "rows"), form, shards
    )
    _count(images, triaged, FileSystems.join(folder.unfinished, _COUNTS))
    _finish(pipeline)
    report = _report(folder)
    if report.rows:
        counts = dataclasses.asdict(report)
        del counts["part"]
        return dataclasses.replace(report, part=folder.publish(marker | counts))
    folder.clear()
    if not report.images:
        raise ValueError(f"{source.path}: the files are gone.")
    return report


def _count(images, triaged, path):
    labels = (
        images | "Line" >> beam.Map(lambda _: "lines"),
        triaged.skipped | "Skipped" >> beam.Map(lambda _: "skipped"),
        triaged.rows | "Row" >> beam.Map(lambda _: "rows"),
        triaged.rows
        | beam.Filter(lambda row: row["error"])
        | "Error" >> beam.Map(lambda _: "errors"),
    )
    _ = (
        labels
        | beam.Flatten()
        | "Count" >> beam.combiners.Count.PerElement()
        | "Gather" >> beam.CombineGlobally(beam.combiners.ToDictCombineFn())
        | "To JSON" >> beam.Map(json.dumps).with_output_types(str)
        | "Write counts" >> beam.io.WriteToText(path, shard_name_template="")
    )


def _finish(pipeline):
    # What a runner raises is its own choice; whatever it is, the run has failed.
    try:
        state = pipeline.run().wait_until_finish()
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RuntimeError(f"the pipeline failed: {lines[-1][:300]}") from error
    if state not in (PipelineState.DONE, None):
        raise RuntimeError(f"the pipeline ended as {state}; nothing was published.")


def _report(folder):
    counts = read_json(FileSystems.join(folder.unfinished, _COUNTS))
    lines, rows, skipped, errors = (
        counts.get(label, 0) for label in ("lines", "rows", "skipped", "errors")
    )
    written = sum(map(count_rows, folder.shards()))
    if written != rows:
        raise RuntimeError(
            f"{written} rows were written of {rows}; nothing was published. Run it "
            "again."
        )
    return BatchReport("", lines, rows + skipped, skipped, rows, errors)
