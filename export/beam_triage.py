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
import logging
import sys

LOCAL_RUNNER = "FnApiRunner"


def parse(arguments):
    """Returns this command's options and the flags that are left for Beam."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], allow_abbrev=False
    )
    inputs = parser.add_mutually_exclusive_group(required=True)
    inputs.add_argument("--input", metavar="PATTERN", help="for example 'FILMS/**'")
    inputs.add_argument("--manifest", metavar="FILE", help="paths, or a CSV: file")
    parser.add_argument("--out", required=True, metavar="FOLDER")
    parser.add_argument("--format", choices=("jsonl", "parquet"), default="jsonl")
    parser.add_argument("--model", default="xray", help="name, or a bundle's folder")
    parser.add_argument("--shards", type=int, default=0, help="0: the runner's choice")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_known_args(arguments)


def beam_options(flags):
    """Returns Beam's options; refuses a flag that a local run would ignore."""
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for part in PipelineOptions.__subclasses__():
        part._add_argparse_args(parser)
    known, unknown = parser.parse_known_args(flags)
    # A remote runner's job server knows flags of its own.
    if unknown and (known.runner or "").lower() in ("", "directrunner", "fnapirunner"):
        raise ValueError(f"unknown flag: {' '.join(unknown)}")
    options = PipelineOptions(flags)
    standard = options.view_as(StandardOptions)
    # DirectRunner would try to download another runner first.
    standard.runner = standard.runner or LOCAL_RUNNER
    return options


def run(options, flags):
    """Runs the pipeline and tells what came of it."""
    # Importing Beam warns of each cloud that it has no client for.
    logging.disable(logging.WARNING)
    try:
        from covseg_tf.batch import ImageSource, run_batch
    except ImportError as error:
        raise ValueError(
            f"needs {error.name}; pip install 'covseg-tf[beam]'."
        ) from None
    finally:
        logging.disable(logging.NOTSET)
    if options.input:
        source = ImageSource.of_pattern(options.input)
    else:
        source = ImageSource.of_manifest(options.manifest)
    report = run_batch(
        source,
        options.out,
        options.model,
        options.format,
        options.shards,
        options.resume,
        beam_options(flags),
    )
    print(
        f"{report.lines} inputs: {report.lines - report.images} named again, "
        f"{report.skipped} done earlier, {report.rows} rows written, "
        f"{report.errors} of them could not be read"
    )
    print(f"Rows: {report.part}" if report.part else "Nothing was left to do.")


def main(arguments=None):
    options, flags = parse(arguments)
    try:
        run(options, flags)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"beam_triage.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
