"""Whose film a DICOM file is, for who asks for it."""

from typing import Any

from covseg_tf.imaging.dicom.header import dicom_errors, text_of

# Entries of an identity and the DICOM attributes that they are read from.
IDENTITY = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "study_date": "StudyDate",
    "view_position": "ViewPosition",
    "accession_number": "AccessionNumber",
}
_LONGEST = 200


def read_identity(dataset: Any) -> dict[str, str]:
    """Reads patient, study and view from a DICOM header.

    Args:
        dataset: A `pydicom.Dataset`, as `Film.dicom` holds it.

    Returns:
        The keys of `IDENTITY`: text as the header has it, at most 200 characters,
        empty where it says nothing; the date as `YYYY-MM-DD`.
    """
    found = dict.fromkeys(IDENTITY, "")
    for key, name in IDENTITY.items():
        with dicom_errors():
            found[key] = text_of(dataset, name)[:_LONGEST]
    found["study_date"] = _date(found["study_date"])
    return found


def _date(text):
    digits = text.replace(".", "")  # of the standard before 1993: 2020.01.31
    if len(digits) != 8 or not digits.isdecimal():
        return ""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
