"""DICOM outputs, read back by highdicom and pydicom."""

import sys

import cv2
import numpy as np
import pytest

from covseg_tf import cli
from covseg_tf.edge import Prediction, draw_phantom
from covseg_tf.edge.bundle import Bundle
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.triage import Film, Source, Volume, triage

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")

STUDY, SERIES, FRAME = "1.2.826.0.1.1", "1.2.826.0.1.2", "1.2.826.0.1.3"
ROWS, COLUMNS = 120, 100


class Drawn:
    """A segmenter that finds two lungs of unlike size, so that a flip shows."""

    guard = False

    def __init__(self, modality, folder):
        self.bundle = Bundle(
            name="drawn",
            folder=folder,
            preprocessing=PreprocessingSpec(100, 100),
            labels=("lung", "infection"),
            threshold=0.5,
            metrics={},
            license="",
            export={},
            model=b"",
            modality=modality,
        )

    def predict(self, image):
        lung, infection = np.zeros((2, 100, 100), np.uint8)
        lung[20:80, 10:40] = lung[30:80, 60:85] = 255
        infection[50:80, 10:40] = 255
        modality = self.bundle.modality
        return Prediction(image.shape, lung, infection, modality=modality)


def header(modality="DX", **values):
    dataset = pydicom.Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = {
        "DX": pydicom.uid.DigitalXRayImageStorageForPresentation,
        "CT": pydicom.uid.CTImageStorage,
    }[modality]
    dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.Modality = modality
    dataset.PatientID, dataset.PatientName = "P-1", "Müller^Änne"
    dataset.StudyDate, dataset.AccessionNumber = "20200401", "A-77"
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def ct_headers(orientation=(1, 0, 0, 0, 1, 0), count=3):
    return [
        header(
            "CT",
            ImageOrientationPatient=list(orientation),
            ImagePositionPatient=[0, 0, 5.0 * number],
            PixelSpacing=[2.0, 2.0],
            SliceThickness=5,
            FrameOfReferenceUID=FRAME,
        )
        for number in range(count)
    ]


def grey(rows=ROWS, columns=COLUMNS):
    image = draw_phantom(1, 0.5, 128).image
    return np.ascontiguousarray(image[:rows, :columns])


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Scores one image that a test made up, with DICOM outputs."""

    def run(image, modality="xray"):
        source = Source("films/film.dcm", "1", lambda: image)
        module = sys.modules[triage.__module__]
        monkeypatch.setattr(module, "find_sources", lambda *_: [source])
        segmenter = Drawn(modality, tmp_path)
        (row,) = triage([], tmp_path / "out", segmenter, dicom=True)
        return row, tmp_path / "out"

    return run


def mask_of(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0


def test_segmentation_of_a_film_is_its_masks(run):
    source = header(PatientSex="F", PatientBirthDate="19500101")
    film = Film(grey(100, 90), (ROWS, COLUMNS), (15, 5), modality="DX", dicom=source)
    row, out = run(film)
    assert row.dicom_seg == "dicom/film_seg.dcm"
    assert not row.notes
    segmentation = highdicom.seg.segread(out / row.dicom_seg)
    assert segmentation.segmentation_type.value == "BINARY"
    pixels = segmentation.get_pixels_by_source_instance([source.SOPInstanceUID])
    assert pixels.shape == (1, ROWS, COLUMNS, 2)
    for index, name in enumerate((row.lung_mask, row.infection_mask)):
        np.testing.assert_array_equal(pixels[0, ..., index] > 0, mask_of(out / name))
    for name in ("StudyInstanceUID", "PatientID", "PatientName", "PatientSex"):
        assert segmentation[name].value == source[name].value
    assert segmentation.SeriesInstanceUID != SERIES
    assert "RESEARCH USE ONLY" in segmentation.SeriesDescription


def test_segments_are_coded_and_say_who_made_them(run):
    row, out = run(Film(grey(), (ROWS, COLUMNS), modality="DX", dicom=header()))
    segmentation = highdicom.seg.segread(out / row.dicom_seg)
    lung, infection = (segmentation.get_segment_description(n) for n in (1, 2))
    assert lung.segmented_property_type == pydicom.sr.codedict.codes.SCT.Lung
    assert infection.segmented_property_type == pydicom.sr.codedict.codes.DCM.Opacity
    for segment in (lung, infection):
        assert segment.algorithm_type.value == "AUTOMATIC"
        assert segment.algorithm_identification.name == "covseg triage drawn"
        assert segment.algorithm_identification.version


def test_overlay_is_a_colour_picture_of_the_same_study(run):
    source = header(PatientOrientation=["L", "F"])
    row, out = run(Film(grey(), (ROWS, COLUMNS), modality="DX", dicom=source))
    overlay = pydicom.dcmread(out / row.dicom_overlay)
    assert overlay.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
    assert overlay.StudyInstanceUID == STUDY
    assert overlay.SeriesInstanceUID != SERIES
    assert overlay.PatientName == source.PatientName
    assert "RESEARCH USE ONLY" in overlay.SeriesDescription
    (reference,) = overlay.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    pixels = overlay.pixel_array
    assert pixels.shape == (ROWS, COLUMNS, 3)
    red, _, blue = pixels[70, 25].astype(int)  # shaded in amber
    assert red > blue + 20
    assert np.ptp(pixels[70, 75]) == 0  # inside the other lung: left as it was
    assert list(overlay.PatientOrientation) == ["L", "F"]


def test_a_film_that_was_mirrored_back(run):
    """The Segmentation lies as the source does, the overlay as films are hung."""
    source = header(PatientOrientation=["R", "F"])
    film = Film(grey(), (ROWS, COLUMNS), modality="DX", dicom=source, mirrored=True)
    row, out = run(film)
    segmentation = highdicom.seg.segread(out / row.dicom_seg)
    pixels = segmentation.get_pixels_by_source_instance([source.SOPInstanceUID])
    infection = pixels[0, ..., 1] > 0
    assert infection[70, COLUMNS - 26]
    assert not infection[70, 25]
    np.testing.assert_array_equal(infection, mask_of(out / row.infection_mask))
    overlay = pydicom.dcmread(out / row.dicom_overlay)
    red, _, blue = overlay.pixel_array[70, 25].astype(int)
    assert red > blue + 20
    assert list(overlay.PatientOrientation) == ["L", "F"]
    assert list(source.PatientOrientation) == ["R", "F"]


@pytest.mark.parametrize(
    ("orientation", "axes"),
    [
        ((1, 0, 0, 0, 1, 0), ()),
        ((-1, 0, 0, 0, 1, 0), (2,)),
        ((-1, 0, 0, 0, -1, 0), (1, 2)),  # prone
    ],
)
def test_segmentation_of_a_series_lies_as_its_slices_do(run, orientation, axes):
    sources = ct_headers(orientation)
    row, out = run(Volume(np.stack([grey()] * 3), (5, 2.0, 2.0), dicom=sources), "ct")
    assert not row.notes
    segmentation = highdicom.seg.segread(out / row.dicom_seg)
    pixels = segmentation.get_pixels_by_source_instance(
        [source.SOPInstanceUID for source in sources]
    )
    folder = out / row.lung_mask
    masks = np.stack([mask_of(folder / f"lung_{n:04}.png") for n in (1, 2, 3)])
    np.testing.assert_array_equal(pixels[..., 0] > 0, np.flip(masks, axes))
    assert segmentation.FrameOfReferenceUID == FRAME


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"StudyInstanceUID": ""}, "has no StudyInstanceUID"),
        ({"Rows": 7}, "the source is 7 x 100, the masks 120 x 100"),
        ({"NumberOfFrames": 3}, "one frame of several"),
        ({"PatientBirthDate": None}, ""),
        ({"PatientSex": "X"}, ""),
    ],
)
def test_what_cannot_be_written_says_why_in_the_row(run, change, reason):
    film = Film(grey(), (ROWS, COLUMNS), modality="DX", dicom=header(**change))
    row, out = run(film)
    assert row.involved_percent is not None
    assert bool(row.dicom_seg) == (not reason)
    if reason:
        assert reason in row.notes[0]
        assert reason in (out / "report.html").read_text()
        assert not list((out / "dicom").glob("*.dcm"))


def test_a_series_that_lies_askew_says_so(run):
    sources = ct_headers((0, 1, 0, 0, 0, -1))
    row, _ = run(Volume(np.stack([grey()] * 3), None, dicom=sources), "ct")
    assert "not axial" in row.notes[0]


def test_what_is_not_scored_has_no_place_in_a_study(run):
    row, out = run(Film(grey(), (ROWS, COLUMNS), view="LL", dicom=header()))
    assert row.dicom_seg == row.dicom_overlay == ""
    assert not (out / "dicom").exists()


def test_sources_that_are_no_dicom_get_none(run):
    row, out = run(Film(grey(), (ROWS, COLUMNS)))
    assert row.dicom_seg == row.dicom_overlay == ""
    assert not (out / "dicom").exists()


def test_without_highdicom_it_is_one_line(tmp_path, monkeypatch, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), grey())
    monkeypatch.setitem(sys.modules, "highdicom", None)
    words = ["triage", str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--dicom"]) == 2
    error = capsys.readouterr().err
    assert "pip install 'covseg-tf[medical]'" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
