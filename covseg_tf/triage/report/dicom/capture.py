"""The overlay as a DICOM Secondary Capture."""

from typing import Any

import numpy as np

from covseg_tf.edge.bundle import Bundle
from covseg_tf.triage.report.dicom.series import series_words

_SERIES = 9102


def capture(reference: Any, canvas: np.ndarray, bundle: Bundle) -> Any:
    """Returns a Secondary Capture that says RESEARCH USE ONLY."""
    import cv2
    import highdicom
    from pydicom.sr.codedict import codes

    canvas = np.ascontiguousarray(canvas[..., ::-1])
    scale = canvas.shape[1] / 1200
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(
            canvas,
            "RESEARCH USE ONLY",
            (4, canvas.shape[0] - 6),
            cv2.FONT_HERSHEY_SIMPLEX,
            max(0.3, scale),
            colour,
            width,
            cv2.LINE_AA,
        )
    capture = highdicom.sc.SCImage.from_ref_dataset(
        ref_dataset=reference,
        pixel_array=canvas,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        **series_words([reference], bundle, _SERIES, "covseg overlay"),
    )
    # As the source says, which may be nothing, unless it was mirrored back.
    capture.PatientOrientation = reference.get("PatientOrientation")
    capture.Laterality = reference.get("Laterality")
    if reference.get("BurnedInAnnotation"):
        capture.BurnedInAnnotation = reference.BurnedInAnnotation
    capture.DerivationDescription = "Lungs outlined, infection shaded"
    capture.SourceImageSequence = [_reference(reference, codes)]
    return capture


def _reference(dataset, codes):
    from pydicom.dataset import Dataset

    item, purpose = Dataset(), Dataset()
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodeMeaning = code.value, code.meaning
    purpose.CodingSchemeDesignator = code.scheme_designator
    item.ReferencedSOPClassUID = dataset.SOPClassUID
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
