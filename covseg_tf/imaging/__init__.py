"""What is in this file: readers of films and volumes, whatever their format."""

from covseg_tf.imaging.contrast import (
    as_grey,
    has_few_greys,
    to_grey,
    window_hounsfield,
)
from covseg_tf.imaging.dicom.header import dicom_errors, read_spacing
from covseg_tf.imaging.film import Film, Volume
from covseg_tf.imaging.nifti import (
    read_nifti_header,
    read_nifti_volume,
    read_voxels,
    size_and_spacing,
    turn_volume,
)
from covseg_tf.imaging.picture import read_image
from covseg_tf.imaging.png_jpeg import ImageTooLarge, check_image
from covseg_tf.imaging.read_film import read_film
from covseg_tf.imaging.regular_file import read_file
from covseg_tf.imaging.sources.find_sources import (
    bytes_sources,
    find_sources,
    left_out_text,
)
from covseg_tf.imaging.sources.source import Source

__all__ = [
    "Film",
    "ImageTooLarge",
    "Source",
    "Volume",
    "as_grey",
    "bytes_sources",
    "check_image",
    "dicom_errors",
    "find_sources",
    "has_few_greys",
    "left_out_text",
    "read_file",
    "read_film",
    "read_image",
    "read_nifti_header",
    "read_nifti_volume",
    "read_spacing",
    "read_voxels",
    "size_and_spacing",
    "to_grey",
    "turn_volume",
    "window_hounsfield",
]
