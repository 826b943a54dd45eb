"""What a reader hands on: pixels as they are looked at, and where they came from."""

import dataclasses
from typing import Any

import numpy as np

from covseg_tf.imaging.correct.photograph import Photograph

# What was done to a film on its way here, in the words of the report.
NOTE_TEXTS = {
    "turned": "Turned as its EXIF tag says.",
    "mirrored": "Mirrored back: the header says the patient's right is on the right.",
    "upended": "Set upright: the header says the patient's head is at the bottom.",
    "inverted": "Greys were inverted: lungs were bright.",
    "borders_cropped": "Black or white borders were cut off.",
    "colour": "A colour picture, read as grey.",
    "photograph": "A photograph: the film in it was straightened, its light evened.",
    "no_outline": "A photograph, to judge by its colours, in which no film's outline "
    "was found; taken as it is.",
    "stretched": "Stretched to the range of its greys: narrow, or more than 8 bits and "
    "no window.",
    "padding_left_out": "Padding around the film, named by the header, was left out.",
    "rescale_unusable": "The header's rescaling means nothing; left out.",
    "window_unusable": "A window or table of the header means nothing; passed over.",
    "no_end_mark": "The JPEG file lacks its end mark; no pixel is missing.",
    "grey_volume": "The volume holds grey levels, not HU; taken as it is.",
    "reformatted": "Axial slices made from another plane.",
    "uneven_slices": "The slices lie unevenly; some may be missing.",
    "copies_dropped": "Copies of a slice were dropped.",
    "unplaced": "The header does not say how the volume lies or how large it is: front "
    "and back may be swapped, and there are no millilitres.",
    "placed_twice": "The header says twice how the volume lies, and not the same: "
    "sides may be swapped, and there are no millilitres.",
    "unplaced_slices": "Slices without positions, in the order of their numbers.",
}


@dataclasses.dataclass(frozen=True)
class Film:
    """One image as it is looked at: upright, lungs dark, borders cut off.

    Attributes:
        pixels: uint8 `(rows, columns)`, what is scored.
        shape: `(rows, columns)` of the image in its file, after EXIF turning.
        box: `(top, left)` of `pixels` within an image of that shape, which is
            mirrored back and set upright already where the last two say so.
        notes: Keys of `NOTE_TEXTS`: what was done to it.
        modality: DICOM modality (`"CR"`, `"DX"`, `"CT"`, ...), empty if unknown.
        view: DICOM view (`"PA"`, `"AP"`, `"LL"`, ...), empty if unknown.
        dicom: The `pydicom.Dataset` it came from, without pixels, or `None`.
        frame: Which frame of the file, counted from 1, or `None` if it has one.
        mirrored: Whether the file has left and right swapped; `pixels` have not.
        upended: Whether the file has top and bottom swapped, likewise.
        camera: Whether the file has colour all over, as a camera's has.
        photograph: Of what photograph `pixels` are the film, or `None`. With one,
            `box` is a place in the straightened film.
    """

    pixels: np.ndarray = dataclasses.field(repr=False)
    shape: tuple[int, int]
    box: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = ()
    modality: str = ""
    view: str = ""
    dicom: Any = dataclasses.field(default=None, repr=False)
    frame: int | None = None
    mirrored: bool = False
    upended: bool = False
    camera: bool = False
    photograph: Photograph | None = dataclasses.field(default=None, repr=False)

    @property
    def unreadable(self) -> np.ndarray | None:
        """Where glare hides the film, bool of the shape of `pixels`, or `None`."""
        if self.photograph is None or self.photograph.glare is None:
            return None
        (top, left), (rows, columns) = self.box, self.pixels.shape
        return self.photograph.glare[top : top + rows, left : left + columns]

    def mask_to_file(self, mask: np.ndarray) -> np.ndarray:
        """Returns a mask of `pixels` as one of the whole image as it is filed."""
        whole, photo = mask, self.photograph
        shape = self.shape if photo is None else photo.pixels.shape
        if mask.shape != shape:
            whole = np.zeros(shape, mask.dtype)
            (top, left), (rows, columns) = self.box, mask.shape
            whole[top : top + rows, left : left + columns] = mask
        whole = whole if photo is None else photo.to_picture(whole)
        whole = whole[::-1] if self.upended else whole
        return np.ascontiguousarray(whole[:, ::-1] if self.mirrored else whole)


@dataclasses.dataclass(frozen=True)
class Volume:
    """A CT volume as axial slices through a lung window, as they are looked at.

    Attributes:
        slices: uint8 `(slices, rows, columns)`, the patient's right on the left
            and the front on top, feet to head.
        spacing: Millimetres `(slices, rows, columns)`, or `None` if unknown.
        notes: As in `Film`.
        dicom: The series' `pydicom.Dataset`s, one per slice and without pixels,
            or `None`.
    """

    slices: np.ndarray = dataclasses.field(repr=False)
    spacing: tuple[float, float, float] | None = None
    notes: tuple[str, ...] = ()
    dicom: Any = dataclasses.field(default=None, repr=False)
