"""Runs the pipeline and holds its output to its input."""

import dataclasses
import json
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from covseg_tf import __version__
from covseg_tf.batch.find_images import FindImages, ImageSource
from covseg_tf.batch.model_handler import SegmenterModelHandler, SegmenterPool
from covseg_tf.batch.parts import OutputFolder, read_json
from covseg_tf.batch.row_files import FORMATS, ReadIds, WriteRows, count_rows
from covseg_tf.batch.triage_images import TriageImages
from covseg_tf.edge.bundle import load_bundle

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
        model: As for `SegmenterModelHandler`.
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
    if form not in FORMATS or shards < 0:
        raise ValueError(
            f"`form` must be one of {FORMATS} and `shards` 0 or more. Received: "
            f"form={form!r}, shards={shards}"
        )
    sha256 = SegmenterPool(load_bundle(model)).sha256
    folder = OutputFolder(out)
    earlier = folder.finished()
    _check_earlier(folder, earlier, resume, sha256, form)
    if not isinstance(options, PipelineOptions):
        options = PipelineOptions(list(options))
    pipeline = beam.Pipeline(options=options)
    folder.clear_unfinished()
    folder.prepare()
    handler = SegmenterModelHandler(model, sha256)
    source = dataclasses.replace(source, out=folder.path)
    _build(pipeline, source, handler, folder, list(earlier), form, shards)
    _finish(pipeline)
    report = _report(folder)
    if report.rows:
        part = folder.publish(_marker(report, model, sha256, form))
        return dataclasses.replace(report, part=part)
    folder.clear_unfinished()
    if not report.images:
        raise ValueError(f"{source.path}: the files are gone.")
    return report


def _check_earlier(folder, earlier, resume, sha256, form):
    if earlier and not resume:
        raise ValueError(
            f"{folder.path}: holds {len(earlier)} finished part(s); add --resume for "
            "the images that they lack, or give another folder."
        )
    for part, marker in earlier.items():
        if (marker.get("model_sha256"), marker.get("rows_format")) != (sha256, form):
            raise ValueError(
                f"{part}: its rows are {marker.get('rows_format')} of model "
                f"{marker.get('model')} ({str(marker.get('model_sha256'))[:12]}...), "
                f"not {form} of {sha256[:12]}...; give another output folder."
            )


def _build(pipeline, source, handler, folder, earlier, form, shards):
    patterns = [FileSystems.join(part, "rows-*") for part in earlier]
    images = inputs = pipeline | "Find images" >> FindImages(source)
    if patterns:
        done = pipeline | "Read done" >> ReadIds(patterns, form)
        inputs = {"images": images, "done": done}
    triaged = inputs | "Triage images" >> TriageImages(handler)
    prefix = FileSystems.join(folder.unfinished, "rows")
    _ = triaged.rows | "Write rows" >> WriteRows(prefix, form, shards)
    labels = (
        images | "Line" >> beam.Map(_always, "lines"),
        triaged.skipped | "Skipped" >> beam.Map(_always, "skipped"),
        triaged.rows | "Row" >> beam.Map(_always, "rows"),
        triaged.rows | "Error" >> beam.FlatMap(_error_label),
    )
    _ = (
        labels
        | beam.Flatten()
        | "Count" >> beam.combiners.Count.PerElement()
        | "Gather" >> beam.CombineGlobally(beam.combiners.ToDictCombineFn())
        | "To JSON" >> beam.Map(json.dumps).with_output_types(str)
        | "Write counts"
        >> beam.io.WriteToText(
            FileSystems.join(folder.unfinished, _COUNTS), shard_name_template=""
        )
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


def _marker(report, model, sha256, form):
    counts = dataclasses.asdict(report)
    del counts["part"]
    return {
        "model": load_bundle(model).name,
        "model_sha256": sha256,
        "covseg_version": __version__,
        "rows_format": form,
        **counts,
    }


def _always(_, label):
    return label


def _error_label(row):
    if row["error"]:
        yield "errors"
