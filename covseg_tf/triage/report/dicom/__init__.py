"""DICOM objects of what was found, one file an object, made with highdicom."""

from covseg_tf.triage.report.dicom.write import (
    NotWritable,
    write_film_dicom,
    write_report_dicom,
    write_volume_dicom,
)

__all__ = [
    "NotWritable",
    "write_film_dicom",
    "write_report_dicom",
    "write_volume_dicom",
]
