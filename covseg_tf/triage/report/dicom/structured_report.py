"""What was found as a DICOM structured report, TID 1500."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from covseg_tf import __version__
from covseg_tf.edge.bundle import Bundle
from covseg_tf.edge.zones import THIRDS
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.report.dicom.series import (
    MAKER,
    PRODUCT,
    derived_uid,
    series_words,
)
from covseg_tf.triage.report.words import FLAG_TEXTS, note_of

_SERIES = 9103
_LIMITS = "RESEARCH USE ONLY, not a medical device."
# What no dictionary has a code for is coded under this designator (PS3.16, 8.2).
_OWN = "99COVSEG"


def structured_report(
    row: TriageRow,
    sources: Sequence[Any],
    bundle: Bundle,
    lungs: Mapping[str, np.ndarray] | None = None,
    segmentation: Any = None,
) -> Any:
    """Returns a Comprehensive SR; of what was not scored it holds the reason.

    Args:
        row: What was found; percentages are given in UCUM `%`.
        sources: The film, or the slices of a series.
        bundle: The model.
        lungs: Masks of a film's `"right"` and `"left"` lung, bool `(rows, columns)`
            of the image in its file: each is a group with its outline.
        segmentation: The Segmentation that the outlines are of.
    """
    import highdicom

    groups = [_whole(row, sources, bundle)]
    for side, mask in (lungs or {}).items():
        groups.append(_lung(row, sources[0], bundle, side, mask, segmentation))
    words = series_words(sources, bundle, _SERIES, "covseg report")
    content = highdicom.sr.MeasurementReport(
        observation_context=_observer(bundle),
        procedure_reported=_procedure(sources[0]),
        imaging_measurements=groups,
    )
    for text in filter(None, (_LIMITS, note_of(row))):
        content[0].ContentSequence.append(_comment(text))
    evidence = [*sources, *([] if segmentation is None else [segmentation])]
    return _document(content[0], evidence, words)


def _document(content, evidence, words):
    """The report as a data set.

    highdicom copies and searches the whole tree several times to check what was
    built of its own parts a moment ago, three quarters of the time that a report
    takes. It gets the root alone; the tree and what it refers to come after it.
    """
    from highdicom import sr

    for name in ("specific_character_set", "device_serial_number"):
        del words[name]
    root = sr.ContainerContentItem(
        name=content.ConceptNameCodeSequence[0], template_id="1500"
    )
    root.ContentSequence = []
    made = sr.ComprehensiveSR(
        evidence=evidence,
        content=root,
        is_complete=True,
        record_evidence=False,
        **words,
    )
    made.SpecificCharacterSet = "ISO_IR 192"
    made.ContentSequence = content.ContentSequence
    made.CurrentRequestedProcedureEvidenceSequence = [_evidence(evidence)]
    return made


def _evidence(objects):
    """What the report refers to, by series; all of one study."""
    from pydicom.dataset import Dataset

    study = Dataset()
    study.StudyInstanceUID = objects[0].StudyInstanceUID
    by_series: dict[str, list[Dataset]] = {}
    for each in objects:
        item = Dataset()
        item.ReferencedSOPClassUID = each.SOPClassUID
        item.ReferencedSOPInstanceUID = each.SOPInstanceUID
        by_series.setdefault(str(each.SeriesInstanceUID), []).append(item)
    study.ReferencedSeriesSequence = []
    for uid, items in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID, series.ReferencedSOPSequence = uid, items
        study.ReferencedSeriesSequence.append(series)
    return study


def _observer(bundle):
    from highdicom import sr
    from pydicom.sr.codedict import codes

    identity = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid([], bundle, "observer"),
        manufacturer_name=MAKER,
        model_name=f"{PRODUCT} {bundle.name}"[:64],
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=identity,
        )
    )


def _procedure(source):
    from pydicom.sr.codedict import codes

    is_ct = source.get("Modality") == "CT"
    if is_ct:
        return codes.cid100.CTUnspecifiedBodyRegion
    return codes.cid100.XRUnspecifiedBodyRegion


def _whole(row, sources, bundle):
    """The group of the whole film or volume."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    numbers = [
        _percent(row.involved_percent, "involved", "Percent of lung involved"),
        _score(row.extent, "extent", "Extent, 0 to 8, both lungs"),
        _score(row.zones, "zones", "Zones involved, 0 to 6"),
        _millilitres(row.lung_ml, "lung_volume", "Lung"),
        _millilitres(row.infection_ml, "infection_volume", "Infection"),
    ]
    return sr.MeasurementsAndQualitativeEvaluations(
        **_words(sources, bundle, "both lungs"),
        finding_type=codes.DCM.Opacity if row.is_scored else None,
        measurements=[number for number in numbers if number],
        qualitative_evaluations=_flags(row),
        source_images=[
            sr.SourceImageForMeasurementGroup.from_source_image(source)
            for source in sources[:1]
        ],
    )


def _lung(row, source, bundle, side, mask, segmentation):
    """The group of one lung: its outline, and the segment that it is a part of."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    zones = row.zone_percents or {}
    numbers = [
        _percent(
            getattr(row, f"involved_percent_{side}"),
            "involved",
            "Percent of lung involved",
        ),
        _score(getattr(row, f"extent_{side}"), "extent", "Extent, 0 to 4, one lung"),
        *(
            _percent(zones.get(f"{side}_{third}"), third, f"Percent of {third} third")
            for third in THIRDS
        ),
    ]
    laterality = codes.SCT.Right if side == "right" else codes.SCT.Left
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        **_words([source], bundle, f"{side} lung"),
        finding_type=codes.DCM.Opacity,
        referenced_region=_outline(source, mask),
        finding_sites=[sr.FindingSite(codes.SCT.Lung, laterality=laterality)],
        measurements=[number for number in numbers if number],
    )
    if segmentation is not None:
        # highdicom takes one of the two. Viewers list a group by its region; the
        # segment says whose outline it is.
        segment = sr.ReferencedSegment.from_segmentation(segmentation, 1)
        group[0].ContentSequence.append(segment[0])
    return group


def _words(sources, bundle, what):
    from highdicom import sr

    return {
        "tracking_identifier": sr.TrackingIdentifier(
            identifier=f"covseg {what}", uid=derived_uid(sources, bundle, what)
        ),
        "algorithm_id": sr.AlgorithmIdentification(
            name=f"{PRODUCT} {bundle.name}"[:64], version=__version__
        ),
    }


def _outline(source, mask):
    from highdicom import sr

    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    largest = cv2.approxPolyDP(max(contours, key=cv2.contourArea), 0.7, True)
    # The corner of an image is (0, 0) in DICOM, the middle of its first pixel a half.
    points = largest[:, 0].astype(float) + 0.5
    return sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.POLYLINE,
        graphic_data=np.concatenate([points, points[:1]]),
        source_image=sr.SourceImageForRegion.from_source_image(source),
    )


def _flags(row):
    from highdicom import sr

    flags = [(flag, FLAG_TEXTS.get(flag, flag)) for flag in row.flags]
    if row.error:
        flags.append(("not_read", "Could not be read or scored"))
    return [
        sr.QualitativeEvaluation(_code("flag", "Flag"), _code(name, text))
        for name, text in flags
    ]


def _comment(text):
    from highdicom import sr
    from pydicom.sr.codedict import codes

    return sr.TextContentItem(
        name=codes.DCM.Comment,
        value=text[:1000],
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )


def _code(value, meaning):
    from highdicom import sr

    short = meaning if len(meaning) <= 64 else f"{meaning[:63]}…"
    return sr.CodedConcept(value, _OWN, short)


def _percent(value, name, meaning):
    from pydicom.sr.codedict import codes

    return _measurement(value, name, meaning, codes.UCUM.Percent)


def _score(value, name, meaning):
    from pydicom.sr.codedict import codes

    return _measurement(value, name, meaning, codes.UCUM.NoUnits)


def _millilitres(value, name, meaning):
    from highdicom import sr

    return _measurement(value, name, meaning, sr.CodedConcept("ml", "UCUM", "ml"))


def _measurement(value, name, meaning, unit):
    from highdicom import sr

    if value is None:
        return None
    return sr.Measurement(_code(name, meaning), round(float(value), 2), unit)
