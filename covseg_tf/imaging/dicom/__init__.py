"""DICOM files: header, pixels, films and CT series."""
