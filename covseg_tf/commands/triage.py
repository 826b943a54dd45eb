"""Score images, leave a report."""

import argparse
import contextlib
import dataclasses
import pathlib
import signal
import sys
import threading
from collections import Counter

from covseg_tf.commands.runtime_options import RuntimeOptions
from covseg_tf.options import argument, command, option


class _Schema(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        from covseg_tf.triage.record.worklist import schema_text

        print(schema_text(), end="")
        parser.exit()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RuntimeOptions):
    paths: tuple[str, ...] = argument(
        "file, folder, archive; - reads stdin", metavar="PATH"
    )
    out: str = option("folder for the report")
    schema: bool = option(
        "print the JSON schema of report.json and end", False, action=_Schema, nargs=0
    )
    force: bool = option("replace an earlier report in --out", False)
    resume: bool = option(
        "go on with a run: score only what is not done, new or changed", False
    )
    dicom: bool = option("write a DICOM SEG and an overlay for each source", False)
    identify: bool = option(
        "put patient, date, view and accession number of a DICOM into the report", False
    )
    jobs: int = option("images at once", 1, metavar="N")
    report_images: int = option("the most that report.html shows", 200, metavar="N")
    quiet: bool = option("no progress, no worklist on the screen", False)

    def __post_init__(self):
        if self.force and self.resume:
            raise ValueError("give one of --force and --resume, not both.")
        if self.jobs > 1 and self.threads > 1:
            raise ValueError("give either --jobs or --threads above 1, not both.")


def run(options: Options) -> int:
    """Scores the images and writes the report."""
    from covseg_tf.edge import Segmenter
    from covseg_tf.triage.record.output import check_output

    check_output(pathlib.Path(options.out), options.force, options.resume)
    segmenter = Segmenter(options.model, threads=options.threads)
    names = ("force", "resume", "dicom", "identify", "jobs", "report_images")
    words = {name: getattr(options, name) for name in names}
    try:
        with _terminated_as_interrupted():
            return run_triage(
                options.paths, options.out, segmenter, options.quiet, **words
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_go_on(options.out)) from None
    except OSError as error:
        raise OSError(f"{error}{_go_on(options.out)}") from None


def run_triage(paths, out, segmenter, quiet=False, **words) -> int:
    """Runs `covseg_tf.triage.triage` with its progress and worklist on the screen.

    Args:
        paths: As for `triage`.
        out: Folder for the report.
        segmenter: As for `triage`.
        quiet: Print nothing.
        **words: Passed to `triage`.

    Returns:
        Exit code: 1 if no image could be read, else 0.
    """
    from covseg_tf.triage import triage
    from covseg_tf.triage.report.progress import Progress
    from covseg_tf.triage.report.screen import worklist_text

    progress = Progress(sys.stderr, quiet=quiet)
    scored = 0
    left_out: Counter[str] = Counter()

    def on_row(row, done, total):
        nonlocal scored
        scored += 1
        progress(done, total)

    try:
        words |= {"on_row": on_row, "left_out": left_out}
        rows = triage(paths, out, segmenter, **words)
    finally:
        progress.close()
    report = pathlib.Path(out) / "report.html"
    if words.get("resume") and not scored:
        if not quiet:
            print(f"nothing new; report: {report}" if rows else "nothing new")
        return 0
    if not quiet:
        print(worklist_text(rows, segmenter.bundle, left_out))
        print(f"Report: {report}   (research use only, not a medical device)")
    if all(row.error for row in rows):
        print("covseg triage: no image could be read", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _terminated_as_interrupted():
    """Within it SIGTERM, as of a shutdown, ends a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _go_on(out):
    from covseg_tf.triage.record.journal import JOURNAL, count_done

    journal = pathlib.Path(out) / JOURNAL
    if not journal.is_file():
        return ""
    return f"; {count_done(journal)} done, the same command with --resume goes on"


main = command("covseg triage", __doc__, Options, run)
