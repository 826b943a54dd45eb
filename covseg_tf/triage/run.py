"""From many images to a worklist and a report."""

import dataclasses
import hashlib
import itertools
import pathlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from covseg_tf import __version__
from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.imaging.sources.find_sources import find_sources
from covseg_tf.triage.plan import Work, plan
from covseg_tf.triage.record.journal import Journal
from covseg_tf.triage.record.output import (
    REPORTS,
    check_output,
    holds_run,
    lock_output,
    prepare_output,
    without_own,
    write_atomic,
)
from covseg_tf.triage.record.patients import by_patient
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.record.worklist import RunFacts, urgency
from covseg_tf.triage.report.html import MOST_CARDS, is_written_from, write_report
from covseg_tf.triage.report.tables import to_csv, to_json
from covseg_tf.triage.scorer import Scored, Scorer, utc_now


def triage(
    paths: Sequence[str | pathlib.Path],
    out: str | pathlib.Path,
    segmenter: Segmenter,
    force: bool = False,
    on_row: Callable[[TriageRow, int, int], None] | None = None,
    *,
    resume: bool = False,
    dicom: bool = False,
    identify: bool = False,
    report_images: int = MOST_CARDS,
    jobs: int = 1,
    left_out: Counter[str] | None = None,
) -> list[TriageRow]:
    """Scores images and leaves a worklist, masks and a report.

    Writes `report.csv`, `report.json`, `report.html` (self-contained),
    `masks` (0 and 255, at each image's own size) and `overlays` into `out`,
    each file whole or not at all. While it runs, `journal.jsonl` holds the rows
    that are done; it stays there if the run is cut short, and is called
    `finished.jsonl` after it.

    Args:
        paths: Files, folders to search, archives; `"-"` is standard input.
        out: Output folder; must be new or empty unless `force` or `resume`.
        segmenter: What scores them.
        force: Replace an earlier report in `out`; other files stay.
        on_row: Called after each row with the row, how many are done and how
            many there are.
        resume: Go on with a run of the same arguments, cut short or finished:
            only what is new or changed is scored. Rows of files that are gone
            stay. Folders without an image are no error then.
        dicom: Write a DICOM Segmentation and a Secondary Capture for each source
            that is DICOM. Needs `highdicom`.
        identify: Put patient, date, view and accession number of a DICOM into the
            rows, and films of one patient together. Defaults to `False`.
        report_images: The most images that `report.html` shows; the rest are
            lines of its table. Defaults to 200.
        jobs: Images scored at once, each by a segmenter of its own. The results
            do not depend on it. Defaults to 1.
        left_out: Counts by reason what was found and is not listed; added to.

    Returns:
        Rows, most involved first, then those without a number. A source that
        cannot be read is a row with its `error`.

    Raises:
        ValueError: If a path does not exist, there is no image, an argument is
            out of range, `out` may not be used or another run is writing there,
            or `resume` finds a run of other arguments.
        OSError: If an output cannot be written.
    """
    _check_numbers(jobs, report_images)
    if dicom:
        _check_highdicom()
    is_xray = segmenter.bundle.modality == "xray"
    out = pathlib.Path(out)
    left_out = Counter() if left_out is None else left_out
    sources = _find(paths, out, resume, is_xray, left_out)
    check_output(out, force, resume)
    if not sources and not holds_run(out):
        return []
    with lock_output(out):
        prepare_output(out, force, resume)
        facts = _facts(segmenter)
        journal = Journal(out, _header(facts, paths, dicom, identify))
        finished = False
        try:
            scorers = _scorers(segmenter, out, dicom, identify, jobs)
            work = plan(sources, journal, out)
            rows = _all_rows(work, journal, scorers, on_row)
            if identify:
                rows = by_patient(rows)
            if rows and not _is_reported(out, journal):
                facts = dataclasses.replace(
                    facts,
                    started=journal.header["started"],
                    finished=utc_now(),
                    left_out=dict(sorted(left_out.items())),
                )
                _write_reports(out, rows, facts, segmenter, report_images, journal)
            finished = bool(rows)
        finally:
            journal.close(finished)
    return rows


def _check_numbers(jobs, report_images):
    if jobs < 1:
        raise ValueError(f"`jobs` must be at least 1. Received: {jobs}")
    if report_images < 0:
        raise ValueError(
            f"`report_images` must be 0 or more. Received: {report_images}"
        )


def _check_highdicom():
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"DICOM outputs need {error.name}; install it with "
            "pip install 'covseg-tf[medical]'."
        ) from None


def _find(paths, out, resume, correct, left_out):
    try:
        sources = find_sources(paths, correct, left_out)
    except ValueError:
        # Nothing in the folders is no error of a run that goes on; no folder is.
        if resume and all(pathlib.Path(path).exists() for path in paths):
            return []
        raise
    # Masks of an earlier report inside a searched folder are no images.
    outside = without_own((s.path or s.name for s in sources), out)
    sources = list(itertools.compress(sources, outside))
    if not sources and not resume:
        raise ValueError(f"no image found besides those that were written into {out}.")
    return sources


def _facts(segmenter):
    bundle = segmenter.bundle
    return RunFacts(
        model=bundle.name,
        model_sha256=hashlib.sha256(bundle.model).hexdigest(),
        modality=bundle.modality,
        threshold=bundle.threshold,
        covseg_version=__version__,
        started=utc_now(),
    )


def _header(facts, paths, dicom, identify):
    header = dataclasses.asdict(facts)
    del header["finished"], header["left_out"]
    header |= {"paths": [str(path) for path in paths], "dicom": dicom}
    return header | ({"identify": True} if identify else {})


def _scorers(segmenter, out, dicom, identify, jobs):
    segmenters = [segmenter]
    for _ in range(jobs - 1):
        segmenters.append(Segmenter(segmenter.bundle, guard=segmenter.guard))
    return [Scorer(each, out, dicom, identify) for each in segmenters]


def _is_reported(out, journal):
    whole = all((out / name).exists() for name in REPORTS)
    return whole and is_written_from(out, journal.digest)


def _all_rows(work, journal, scorers, on_row):
    total = len(journal.done) + len(work)
    for (source, stem), (row, lasts) in _score(work, scorers):
        journal.add(source.identity if lasts else "", stem, row)
        if on_row is not None:
            on_row(row, len(journal.done), total)
    return sorted((row for _, _, row in journal.done.values()), key=urgency)


def _score(work: Sequence[Work], scorers) -> Iterator[tuple[Work, Scored]]:
    if len(scorers) == 1:
        for item in work:
            yield item, scorers[0](*item)
        return
    import concurrent.futures
    import queue

    idle: queue.SimpleQueue[Scorer] = queue.SimpleQueue()
    for scorer in scorers:
        idle.put(scorer)

    def one(item):
        scorer = idle.get()
        try:
            return item, scorer(*item)
        finally:
            idle.put(scorer)

    pool = concurrent.futures.ThreadPoolExecutor(len(scorers))
    try:
        futures = [pool.submit(one, item) for item in work]
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _write_reports(out, rows, facts, segmenter, report_images, journal):
    write_atomic(out / "report.csv", to_csv(rows, facts).encode(), sync=True)
    write_atomic(out / "report.json", to_json(rows, facts).encode(), sync=True)
    # The last, since it says which journal all of them were written from.
    write_report(out, rows, facts, segmenter.bundle, report_images, journal.digest)
