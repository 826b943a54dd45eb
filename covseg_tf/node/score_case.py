"""Scores one case of the store; runs in a process of its own."""

import dataclasses
import multiprocessing
import os
import threading

import cv2
import numpy as np

from covseg_tf.edge.lung_shape import split_lungs
from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.imaging.dicom.header import dicom_errors, parse_dicom, text_of
from covseg_tf.imaging.film import Film
from covseg_tf.imaging.regular_file import read_file
from covseg_tf.imaging.sources.find_sources import find_sources
from covseg_tf.node.settings import NodeSettings
from covseg_tf.node.store import Store
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.report.dicom import NotWritable, write_report_dicom
from covseg_tf.triage.scorer import Scored, Scorer, utc_now

_workers: dict[str, "_Worker"] = {}


def start_worker(settings: NodeSettings) -> None:
    """Loads what every case needs; called once in a new process.

    Args:
        settings: The node's.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import highdicom  # noqa: F401  # seconds, which the first film need not wait for

    _workers["here"] = worker = _Worker(settings)
    worker.warm_up()


def score_case(key: str, is_last: bool) -> TriageRow | None:
    """Scores a case and writes all that is made of it.

    Args:
        key: The case.
        is_last: Whether a fault that may pass is its result now.

    Returns:
        Its row, or `None` if it is to be tried again.

    Raises:
        OSError: If something cannot be written.
    """
    return _workers["here"].score(key, is_last)


def fail_case(settings: NodeSettings, key: str, reason: str) -> TriageRow:
    """Gives a case a result that is but a reason.

    Args:
        settings: The node's.
        key: The case.
        reason: What became of it.
    """
    worker = _Worker(settings)
    store = worker.store
    count = store.start(key)
    row = TriageRow(key, error=reason, finished=utc_now())
    header = _first_header(store.objects(key))
    return worker.finish(key, row, count, header, [header] if header else [], {})


class _Worker:
    def __init__(self, settings):
        self.store = Store(settings.store)
        self._names = {"xray": settings.model, "ct": settings.ct_model}
        self._scorers: dict[str, Scorer] = {}

    def warm_up(self):
        self._scorer(None)

    def score(self, key, is_last):
        store = self.store
        count = store.start(key)
        paths = store.objects(key)
        first = _first_header(paths)
        image, (row, lasts) = self._look(key, paths, self._scorer(first))
        if not (lasts or is_last):
            return None
        headers = getattr(image, "dicom", None) or first or []
        headers = headers if isinstance(headers, list) else [headers]
        return self.finish(key, row, count, first, headers, self._lungs(row, image))

    def finish(self, key, row, count, first, headers, lungs):
        patient = text_of(first, "PatientID").replace("/", "_") if first else ""
        row = dataclasses.replace(row, file=f"{patient or 'no patient'}/{key}")
        bundle = self._scorer(first).segmenter.bundle
        seg = self.store.results / row.dicom_seg if row.dicom_seg else None
        path = self.store.report_path(key)
        try:
            if headers:
                write_report_dicom(row, headers, lungs, bundle, seg, path)
        except NotWritable as error:
            row = dataclasses.replace(row, notes=(*row.notes, f"No report: {error}"))
        self.store.finish(key, row, count)
        return row

    def _look(self, key, paths, scorer):
        try:
            sources = find_sources(paths, scorer.segmenter.bundle.modality == "xray")
            if len(sources) != 1:
                raise ValueError(f"holds {len(sources)} images. Expected one.")
        except ValueError as error:
            return None, Scored(TriageRow(key, error=str(error), finished=utc_now()))
        (source,) = sources
        images = []

        def read():
            images.append(source.read())
            return images[0]

        scored = scorer(dataclasses.replace(source, read=read), key)
        return (images or [None])[0], scored

    def _lungs(self, row, image):
        if not (row.dicom_seg and isinstance(image, Film)):
            return {}
        if row.involved_percent_right is None:
            return {}
        path = self.store.results / row.lung_mask
        lungs = split_lungs(cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0)
        sides = ("left", "right") if image.mirrored else ("right", "left")
        if lungs is None or not all(map(np.any, lungs)):
            return {}
        return dict(sorted(zip(sides, lungs, strict=True), reverse=True))

    def _scorer(self, header):
        is_ct = header is not None and text_of(header, "Modality").upper() == "CT"
        kind = "ct" if is_ct else "xray"
        if kind not in self._scorers:
            segmenter = Segmenter(self._names[kind])
            self._scorers[kind] = Scorer(segmenter, self.store.results, dicom=True)
        return self._scorers[kind]


def _first_header(paths):
    for path in paths[:1]:
        try:
            with dicom_errors():
                return parse_dicom(read_file(path))
        except (ValueError, OSError, MemoryError):
            pass
    return None


def _end_with_parent():
    """A node that is killed leaves no process behind that writes into its store."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
