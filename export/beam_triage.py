#!/usr/bin/env python
"""Score up to millions of images with Apache Beam: one row for each, bad ones too.

    python export/beam_triage.py --input 'FILMS/**' --out ROWS
    python export/beam_triage.py --manifest films.csv --out ROWS --format parquet \\
        --direct_running_mode multi_processing --direct_num_workers 0

--input is a pattern (quote it), --manifest a text file of paths or a CSV with a
column `file`; both may lie in any of Beam's file systems. Every other flag is Beam's:
--runner and what belongs to it. Without --runner all happens in this process. Rows
appear under ROWS/part-0001 once all are written and counted; --resume adds what the
finished parts lack. Flags for Dataflow and Flink, and what it costs: docs/batch.md.

Needs: pip install 'covseg-tf[beam]'. Time: 2,000 images in about half a minute on
2 CPU cores.
"""

import argparse
import dataclasses
import logging
import sys

from covseg_tf.options import command, option, rest

LOCAL_RUNNER = "FnApiRunner"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    input: str | None = option("for example 'FILMS/**'", None, metavar="PATTERN")
    manifest: str | None = option("paths, or a CSV: file", None, metavar="FILE")
    out: str = option("folder of the rows")
    format: str = option("of the rows", "jsonl", choices=("jsonl", "parquet"))
    model: str = option("bundled model, or a bundle", "xray", metavar="NAME|FILE")
    shards: int = option("files of a part; 0: the runner's choice", 0)
    resume: bool = option("score only what the finished parts lack", False)
    beam: tuple[str, ...] = rest()

    def __post_init__(self):
        if (self.input is None) == (self.manifest is None):
            raise ValueError("give one of --input and --manifest.")


def beam_options(flags):
    """Returns Beam's options; refuses a flag that a local run would ignore."""
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for part in PipelineOptions.__subclasses__():
        part._add_argparse_args(parser)
    known, unknown = parser.parse_known_args(list(flags))
    # A remote runner's job server knows flags of its own.
    if unknown and (known.runner or "").lower() in ("", "directrunner", "fnapirunner"):
        raise ValueError(f"unknown flag: {' '.join(unknown)}")
    options = PipelineOptions(list(flags))
    standard = options.view_as(StandardOptions)
    # DirectRunner would try to download another runner first.
    standard.runner = standard.runner or LOCAL_RUNNER
    return options


def run(options):
    """Runs the pipeline and tells what came of it."""
    # Importing Beam warns of each cloud that it has no client for.
    logging.disable(logging.WARNING)
    try:
        from covseg_tf.batch import BeamFiles, ImageSource, run_batch
    finally:
        logging.disable(logging.NOTSET)
    if options.input:
        source = ImageSource.of_pattern(options.input, BeamFiles())
    else:
        source = ImageSource.of_manifest(options.manifest, BeamFiles())
    try:
        report = run_batch(
            source,
            options.out,
            options.model,
            options.format,
            options.shards,
            options.resume,
            beam_options(options.beam),
        )
    except RuntimeError as error:  # a runner's
        raise OSError(str(error)) from None
    print(
        f"{report.lines} inputs: {report.lines - report.images} named again, "
        f"{report.skipped} done earlier, {report.rows} rows written, "
        f"{report.errors} of them could not be read"
    )
    print(f"Rows: {report.part}" if report.part else "Nothing was left to do.")


main = command(__file__, __doc__, Options, run, needs="beam")

if __name__ == "__main__":
    sys.exit(main())
