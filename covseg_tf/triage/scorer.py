"""From one source to one row, its masks and its pictures."""

import dataclasses
import datetime
import pathlib
from typing import NamedTuple

import cv2
import numpy as np

from covseg_tf.edge.prediction import Prediction
from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.imaging.film import Film, Volume
from covseg_tf.imaging.passing_error import PassingError
from covseg_tf.imaging.sources.find_sources import Source
from covseg_tf.triage.deadline import within
from covseg_tf.triage.record.names import DICOM, LAYERS, output_names, slices_name
from covseg_tf.triage.record.output import make_slices, mark_folder, write_atomic
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.report.overlay import draw_layers
from covseg_tf.triage.score import (
    FoundVolume,
    describe,
    fits,
    is_lateral,
    predict_film,
    score_volume,
    with_numbers,
)

_OBJECTS = ("seg", "overlay")
# Far above any film or volume; what takes longer is not waited for.
SECONDS_TO_READ = 300.0


class Scored(NamedTuple):
    """What comes of a source.

    Attributes:
        row: The row, with its `error` if it cannot be read or scored.
        lasts: Whether the same bytes always give it. What an error that passes
            has kept from being read is worth another try.
    """

    row: TriageRow
    lasts: bool = True


@dataclasses.dataclass(frozen=True)
class Scorer:
    """Scores one source at a time and writes what belongs to it.

    Attributes:
        segmenter: What scores.
        out: The output folder.
        dicom: Whether DICOM sources get DICOM outputs.
    """

    segmenter: Segmenter
    out: pathlib.Path
    dicom: bool = False

    def __call__(self, source: Source, stem: str) -> Scored:
        """Reads and scores a source.

        Args:
            source: What to read.
            stem: Name of its output files, without suffix.

        Returns:
            The row, and whether it lasts.

        Raises:
            OSError: If an output cannot be written.
        """
        lasts = True
        try:
            image = within(SECONDS_TO_READ, source.read)
            found = self._look(image)
        except Exception as error:  # one file, whatever is wrong with it, is one row
            row = TriageRow(source.name, error=_reason(error, source.name))
            lasts = not isinstance(error, (PassingError, OSError, MemoryError))
        else:
            row = self._row(source.name, stem, image, found)
        return Scored(dataclasses.replace(row, finished=utc_now()), lasts)

    def _look(self, image):
        if not fits(image, self.segmenter.bundle.modality):
            return None
        if isinstance(image, Volume):
            return score_volume(image, self.segmenter)
        if is_lateral(image):
            return None
        return predict_film(image, self.segmenter)

    def _row(self, name, stem, image, found):
        row = describe(name, image, self.segmenter.bundle.modality)
        if found is None:
            return self._draw(row, stem, _shown(image))
        if isinstance(image, Volume):
            return self._volume_row(row, stem, image, found)
        return self._film_row(row, stem, image, found)

    def _film_row(self, row, stem, film: Film, found: Prediction):
        masks = {"lung": found.lung_mask, "infection": found.infection_mask}
        in_file = {kind: film.mask_to_file(mask) for kind, mask in masks.items()}
        names = {kind: output_names(stem)[f"{kind}_mask"] for kind in masks}
        for kind, mask in in_file.items():
            write_png(self.out / names[kind], mask)
        row = with_numbers(row, found)
        row = dataclasses.replace(
            row, lung_mask=names["lung"], infection_mask=names["infection"]
        )
        if self._wants_dicom(row, film):
            row = self._add_dicom(row, stem, "write_film_dicom", film, in_file, masks)
        return self._draw(row, stem, film.pixels, *masks.values())

    def _volume_row(self, row, stem, volume: Volume, found: FoundVolume):
        folder = make_slices(self.out, stem)
        for number in range(len(volume.slices)):
            for kind, masks in (("lung", found.lung), ("infection", found.infection)):
                write_png(folder / f"{kind}_{number + 1:04}.png", masks[number])
        index = found.shown
        row = dataclasses.replace(
            row,
            involved_percent=found.involved_percent,
            lung_ml=found.lung_ml,
            infection_ml=found.infection_ml,
            shown_slice=index + 1,
            flags=row.flags + found.flags,
            lung_mask=slices_name(stem),
            infection_mask=slices_name(stem),
        )
        if self._wants_dicom(row, volume):
            row = self._add_dicom(row, stem, "write_volume_dicom", volume, found)
        slices = (volume.slices, found.lung, found.infection)
        return self._draw(row, stem, *(part[index] for part in slices))

    def _draw(self, row, stem, pixels, *masks):
        layers = draw_layers(pixels, *masks if row.is_scored else ())
        overlay = output_names(stem)["overlay"]
        write_atomic(self.out / LAYERS / f"{stem}.jpg", layers.film)
        write_atomic(self.out / LAYERS / f"{stem}.png", layers.paint)
        write_atomic(self.out / overlay, layers.overlay)
        return dataclasses.replace(row, overlay=overlay)

    def _wants_dicom(self, row, image):
        # What is not scored has no place in a patient's study.
        return self.dicom and image.dicom is not None and row.is_scored

    def _add_dicom(self, row, stem, function, *arguments):
        from covseg_tf.triage.report import dicom

        mark_folder(self.out / DICOM)
        names = {kind: output_names(stem)[f"dicom_{kind}"] for kind in _OBJECTS}
        paths = [self.out / name for name in names.values()]
        write = getattr(dicom, function)
        try:
            write(*arguments, self.segmenter.bundle, *paths)
        except dicom.NotWritable as error:
            return dataclasses.replace(
                row, notes=(*row.notes, f"No DICOM output: {error}")
            )
        return dataclasses.replace(
            row, dicom_seg=names["seg"], dicom_overlay=names["overlay"]
        )


def utc_now() -> str:
    """Returns the time as ISO 8601 in UTC, to the second."""
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(timespec="seconds").replace("+00:00", "Z")


def write_png(path: pathlib.Path, mask: np.ndarray) -> None:
    """Writes a mask as a PNG of 0 and 255, at once or not at all.

    Args:
        path: The file.
        mask: bool `(rows, columns)`.

    Raises:
        OSError: If it cannot be written.
    """
    data = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1]
    write_atomic(path, data.tobytes())


def _shown(image):
    if isinstance(image, Volume):
        return image.slices[len(image.slices) // 2]
    return image.pixels


def _reason(error, name):
    text = str(error).removeprefix(f"{name}: ")
    if isinstance(error, (ValueError, OSError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
