"""Readers of triage on files made by hand, with pixels worked out by hand."""

import gzip
import io
import os
import re
import struct
import sys
import types
import zipfile

import cv2
import nibabel
import numpy as np
import pytest

from covseg_tf.edge import draw_phantom
from covseg_tf.imaging import bytes_sources
from covseg_tf.imaging.correct.frame import find_frame
from covseg_tf.imaging.correct.negative import drawn_chest, looks_inverted
from covseg_tf.triage import Film, Source, Volume, find_sources

GREYS = (np.arange(12 * 16, dtype=np.uint8) + 10).reshape(12, 16)
FILM = draw_phantom(3, 0.3, 128).image


def encode(suffix, image, *words):
    return cv2.imencode(suffix, image, list(words))[1].tobytes()


def read(data, name="a", **options):
    (source,) = bytes_sources(name, data, **options)
    return source.read()


def reason(data, name="a"):
    (source,) = bytes_sources(name, data)
    with pytest.raises(ValueError, match=r"\w") as caught:
        source.read()
    return str(caught.value)


def dicom(pixels, syntax="1.2.840.10008.1.2.1", **fields):
    from pydicom import Dataset, FileMetaDataset
    from pydicom.uid import UID, generate_uid

    dataset, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta = meta
    dataset.Modality, dataset.PhotometricInterpretation = "DX", "MONOCHROME2"
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelData = pixels.tobytes()
    for name, value in fields.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def ct_slice(plane, z, uid="1.2.3", **fields):
    """HU of `plane`, stored with the usual offset; axial, from the right back on."""
    position = {
        "ImagePositionPatient": [0, 0, z],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.7, 0.8],
    }
    stored = (np.asarray(plane) + 2048).astype(np.uint16)
    fields = position | {"RescaleSlope": 1, "RescaleIntercept": -2048} | fields
    return dicom(stored, Modality="CT", SeriesInstanceUID=uid, **fields)


def archive(members, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".webp"])
def test_eight_bits_keep_their_values(suffix):
    film = read(encode(suffix, GREYS, cv2.IMWRITE_WEBP_QUALITY, 101), correct=False)
    np.testing.assert_array_equal(film.pixels, GREYS)
    assert (film.shape, film.box, film.notes) == ((12, 16), (0, 0), ())
    assert (film.modality, film.view, film.dicom, film.frame) == ("", "", None, None)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_stretched(suffix):
    deep = np.array([[100, 1100], [2100, 4100]], np.uint16)
    film = read(encode(suffix, deep))
    assert film.pixels.tolist() == [[0, 64], [128, 255]]  # 63.75, 127.5, to even
    assert film.notes == ("stretched",)


def test_float_tiff():
    values = np.array([[0, 0.25], [0.5, 1]], np.float32)
    assert read(encode(".tif", values)).pixels.tolist() == [[0, 64], [128, 255]]
    for bad in (np.nan, np.inf):
        values[0, 0] = bad
        assert "NaN or infinity" in reason(encode(".tif", values))
    wide = np.array([[-1.7e308, 1.7e308]])
    assert "too wide" in reason(encode(".tif", wide))


def test_colour_and_alpha():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 2] = 200
    for image in (red, np.dstack([red, np.full((4, 4), 9, np.uint8)])):
        film = read(encode(".png", image))
        assert set(film.pixels.ravel()) == {60}  # 0.299 * 200 = 59.8
        assert film.notes == ("colour",)
    grey = np.dstack([GREYS] * 3)  # a grey film saved as colour
    assert read(encode(".png", grey), correct=False).notes == ()


EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0%c\0\0\0\0\0\0\0"


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (3, lambda a: a[::-1, ::-1]),
        (6, lambda a: np.rot90(a, -1)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_exif_turns(orientation, turn):
    jpeg = encode(".jpg", cv2.resize(FILM, (64, 96)))
    plain = read(jpeg, correct=False).pixels
    exif = EXIF % orientation
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    film = read(jpeg[:2] + segment + jpeg[2:], correct=False)
    np.testing.assert_array_equal(film.pixels, turn(plain))
    assert film.shape == film.pixels.shape
    assert film.notes == (() if orientation == 1 else ("turned",))


def test_pages_of_a_tiff(tmp_path):
    pages = [FILM, FILM[:100], FILM[:, :90]]
    assert cv2.imwritemulti(str(tmp_path / "a.tif"), pages)
    data = (tmp_path / "a.tif").read_bytes()
    sources = bytes_sources("a.tif", data, correct=False)
    assert [s.name for s in sources] == ["a.tif#1", "a.tif#2", "a.tif#3"]
    films = [s.read() for s in sources]
    assert [f.frame for f in films] == [1, 2, 3]
    for film, page in zip(films, (FILM, FILM[:100], FILM[:, :90]), strict=True):
        np.testing.assert_array_equal(film.pixels, page)


@pytest.mark.parametrize("grey", [0, 255])
def test_borders_are_cut_and_put_back(grey):
    framed = cv2.copyMakeBorder(FILM, 12, 20, 9, 30, 0, value=grey)
    film = read(encode(".png", framed))
    assert (film.shape, film.box) == ((160, 167), (12, 9))
    assert film.notes == ("borders_cropped",)
    np.testing.assert_array_equal(film.pixels, FILM)
    mask = film.mask_to_file(np.ones(film.pixels.shape, np.uint8))
    assert mask.shape == (160, 167)
    assert mask[12:140, 9:137].all()
    assert mask.sum() == FILM.size
    whole = read(encode(".png", framed), correct=False)
    np.testing.assert_array_equal(whole.pixels, framed)


def test_a_narrow_frame_stays_and_does_not_hide_inverted_greys():
    framed = cv2.copyMakeBorder(255 - FILM, 6, 6, 6, 6, 0, value=0)
    film = read(encode(".png", framed))
    assert film.notes == ("inverted",)
    np.testing.assert_array_equal(film.pixels, 255 - framed)


def test_what_is_no_frame_stays():
    assert find_frame(np.zeros((50, 50), np.uint8)) == (0, 0, 50, 50)
    assert find_frame(FILM) == (0, 0, 128, 128)
    thin = cv2.copyMakeBorder(FILM, 3, 3, 3, 3, 0, value=0)
    assert find_frame(thin) == (0, 0, 134, 134)
    # Dark air that brightens step by step is part of the film.
    slope = np.minimum(np.abs(np.arange(200) - 100), 100)[::-1]
    air = np.tile((100 - slope).clip(0, 90).astype(np.uint8), (200, 1))
    air[:, :10] = air[:, -10:] = 0
    assert find_frame(air) == (0, 0, 200, 200)


def test_inverted_greys_are_undone():
    film = read(encode(".png", 255 - FILM))
    np.testing.assert_array_equal(film.pixels, FILM)
    assert film.notes == ("inverted",)
    assert read(encode(".png", FILM)).notes == ()
    assert not looks_inverted(np.full((60, 60), 200, np.uint8))
    noise = np.random.default_rng(0).integers(0, 255, (128, 128), np.uint8)
    assert not looks_inverted(noise)
    assert not looks_inverted(255 - noise)


@pytest.mark.data
def test_real_films_and_their_negatives(covid_qu_ex):
    """Both ways 95 of 100 are right, and no frame takes a pixel of a lung."""
    root = covid_qu_ex / "Infection Segmentation Data" / "Val"
    wrong = missed = count = 0
    for path in sorted(root.glob("*/images/*.png"))[::2]:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        mask_path = str(path.parents[1] / "lung masks" / path.name)
        mask = cv2.imread(mask_path, cv2.IMREAD_GRAYSCALE)
        top, left, bottom, right = find_frame(image)
        assert mask[top:bottom, left:right].sum() == mask.sum()
        film = image[top:bottom, left:right]
        wrong += looks_inverted(film)
        missed += not looks_inverted(255 - film)
        count += 1
    assert count > 200
    assert wrong <= 0.01 * count
    assert missed <= 0.05 * count


DEEP = np.array([[0, 1000, 2000, 3000]], np.uint16)


def test_dicom_greys_by_hand():
    window = {"WindowCenter": 1000.5, "WindowWidth": 2001}
    film = read(dicom(DEEP, ViewPosition="PA", **window))
    assert film.pixels.tolist() == [[0, 128, 255, 255]]  # 1000 / 2000 * 255 = 127.5
    assert (film.modality, film.view, film.notes) == ("DX", "PA", ())
    assert "PixelData" not in film.dicom
    assert film.dicom.Rows == 1
    negative = read(dicom(DEEP, PhotometricInterpretation="MONOCHROME1", **window))
    assert negative.pixels.tolist() == [[255, 127, 0, 0]]
    film = read(dicom(DEEP))
    assert film.pixels.tolist() == [[0, 85, 170, 255]]
    assert film.notes == ("stretched",)


def test_dicom_frames_are_sources_of_their_own(tmp_path):
    from pydicom import dcmread
    from pydicom.uid import RLELossless

    frames = np.stack([FILM, FILM // 2])
    plain = dicom(frames, NumberOfFrames=2)
    packed, stream = dcmread(io.BytesIO(plain)), io.BytesIO()
    packed.compress(RLELossless)
    packed.save_as(stream, enforce_file_format=True)
    for data in (plain, stream.getvalue()):
        path = tmp_path / "a"  # no suffix
        path.write_bytes(data)
        sources = find_sources([tmp_path], correct=False)
        assert [s.name for s in sources] == [f"{path}#1", f"{path}#2"]
        for number, source in enumerate(sources):
            film = source.read()
            assert film.frame == number + 1
            np.testing.assert_array_equal(film.pixels, frames[number])


def test_dicom_colours():
    rgb = np.zeros((2, 3, 3), np.uint8)
    rgb[..., 0] = 200
    fields = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "Rows": 2, "Columns": 3}
    film = read(dicom(rgb, PhotometricInterpretation="RGB", **fields))
    assert film.pixels.tolist() == [[60] * 3] * 2
    assert film.notes == ("colour",)


@pytest.mark.parametrize(
    ("fields", "view"),
    [
        ({"ViewPosition": "LL"}, "LL"),
        ({"ViewPosition": "LATERAL"}, "LL"),
        ({"ViewPosition": "RL"}, "RL"),
        ({"ViewPosition": "LT LAT"}, "LL"),
        ({"ViewPosition": "LEFT LATERAL"}, "LL"),
        ({"ViewPosition": "RT LAT"}, "RL"),
        ({"ViewPosition": "RIGHT LATERAL"}, "RL"),
        ({"PatientOrientation": ["A", "F"]}, "LL"),
        ({"PatientOrientation": ["L", "F"]}, ""),
        ({"codes": ("399182000", "postero-anterior")}, "PA"),
        ({"codes": ("0", "left lateral")}, "LL"),
        ({}, ""),
    ],
)
def test_dicom_views(fields, view):
    from pydicom import Dataset

    fields = dict(fields)
    if "codes" in fields:
        code = Dataset()
        code.CodeValue, code.CodeMeaning = fields.pop("codes")
        fields["ViewCodeSequence"] = [code]
    assert read(dicom(DEEP, **fields)).view == view


@pytest.mark.parametrize("orientation", [["R", "F"], ["RA", "FP"]])
def test_a_mirrored_film_is_hung_as_usual(orientation):
    stored = np.ascontiguousarray(FILM[:, ::-1])
    film = read(dicom(stored, PatientOrientation=orientation))
    np.testing.assert_array_equal(film.pixels, FILM)
    assert (film.mirrored, film.notes) == (True, ("mirrored",))
    mask = FILM > 120
    np.testing.assert_array_equal(film.mask_to_file(mask), mask[:, ::-1])


def test_a_mirrored_film_in_a_frame():
    framed = cv2.copyMakeBorder(FILM, 12, 20, 9, 30, 0, value=0)
    stored = np.ascontiguousarray(framed[:, ::-1])
    film = read(dicom(stored, PatientOrientation=["R", "F"]))
    np.testing.assert_array_equal(film.pixels, FILM)
    assert (film.box, film.notes) == ((12, 9), ("mirrored", "borders_cropped"))
    np.testing.assert_array_equal(film.mask_to_file(film.pixels), stored)


@pytest.mark.parametrize("orientation", [["L", "F"], ["A", "F"], "RF", ""])
def test_other_films_are_not_mirrored(orientation):
    film = read(dicom(FILM, PatientOrientation=orientation))
    np.testing.assert_array_equal(film.pixels, FILM)
    assert (film.mirrored, film.notes) == (False, ())


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_dicom_of_lossless_jpeg_ls(kind):
    """Noise makes codes with FF before bytes that JPEG takes for markers."""
    pytest.importorskip("jpeg_ls", reason="packing JPEG-LS needs pyjpegls")
    from pydicom import dcmread
    from pydicom.uid import JPEGLSLossless

    top = np.iinfo(kind).max
    rng = np.random.default_rng(5)
    noise = rng.integers(0, top, (400, 500), kind, endpoint=True)
    noise[0, :2] = 0, top
    dataset = dcmread(io.BytesIO(dicom(noise)))
    dataset.compress(JPEGLSLossless, encoding_plugin="pyjpegls")
    assert re.search(rb"\xff[\x01-\x7f]", dataset.PixelData)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    film = read(stream.getvalue(), correct=False)
    expected = read(dicom(noise), correct=False)
    np.testing.assert_array_equal(film.pixels, expected.pixels)
    damaged = stream.getvalue()[:-400]
    assert reason(damaged)


def test_dicom_reasons(monkeypatch):
    assert "of modality MR" in reason(dicom(DEEP, Modality="MR"))
    assert "no pixels" in reason(dicom(DEEP, PixelData=None))
    assert "at most 100000000" in reason(dicom(DEEP, Rows=60000, Columns=60000))
    assert "states 5000 frames" in reason(dicom(DEEP, NumberOfFrames=5000))
    assert "no pixels" in reason(b"\0" * 128 + b"DICM" + b"\xff" * 90)
    data = dicom(DEEP).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.99")
    assert "unknown way (1.2.840.10008.1.2.99)" in reason(data)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert "pip install 'covseg-tf[medical]'" in reason(data)


def test_dicom_without_its_decoder(monkeypatch):
    """Lossless JPEG needs a plug-in; the reason names it."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels import decoders

    code = b"\xff\xd8\xff\xc3\0\x0b\x08\0\x01\0\x04\x01\x01\x11\0"
    scan = b"\xff\xda\0\x08\x01\x01\0\x01\0\0\x12\xff\xd9"
    syntax = "1.2.840.10008.1.2.4.70"
    monkeypatch.setattr(
        type(decoders.JPEGLosslessSV1Decoder),
        "available_plugins",
        property(lambda s: ()),
    )
    data = dicom(DEEP, syntax, PixelData=encapsulate([code + scan]))
    assert "pip install pylibjpeg pylibjpeg-libjpeg" in reason(data)


def test_dicom_baseline_jpeg_needs_no_plugin():
    from pydicom.encaps import encapsulate

    code = encode(".jpg", FILM)
    data = dicom(FILM, "1.2.840.10008.1.2.4.50", PixelData=encapsulate([code]))
    expected = cv2.imdecode(np.frombuffer(code, np.uint8), 0)
    np.testing.assert_array_equal(read(data, correct=False).pixels, expected)
    small = encode(".jpg", FILM[:64])
    data = dicom(FILM, "1.2.840.10008.1.2.4.50", PixelData=encapsulate([small]))
    assert "128 x 128 pixels, its packed pixels 64 x 128" in reason(data)


def write_series(folder, count=4, **fields):
    """Slice n from the feet is -1350 + 100 n HU, in files of shuffled names."""
    folder.mkdir(parents=True)
    for n, name in zip(range(count), (7, 2, 9, 4), strict=False):
        plane = np.full((3, 5), -1350 + 100 * n)
        plane[0, 0] = 150
        data = ct_slice(plane, 2.5 * n, **fields)
        (folder / f"I{name}").write_bytes(data)


def test_series_are_sorted_by_place(tmp_path):
    write_series(tmp_path / "CT")
    scout = ct_slice(
        np.zeros((3, 5)), 0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    (tmp_path / "CT" / "scout.dcm").write_bytes(scout)
    (source,) = find_sources([tmp_path])
    assert source.name == str(tmp_path / "CT" / "I2")  # the first by name
    assert source.path == tmp_path / "CT" / "I2"
    volume = source.read()
    assert isinstance(volume, Volume)
    assert volume.slices.shape == (4, 3, 5)
    assert volume.slices[:, 1, 1].tolist() == [0, 17, 34, 51]  # 100 / 1500 * 255
    assert (volume.slices[:, 0, 0] == 255).all()
    assert volume.spacing == pytest.approx((2.5, 0.7, 0.8))
    assert volume.notes == ()
    places = [float(d.ImagePositionPatient[2]) for d in volume.dicom]
    assert places == [0, 2.5, 5, 7.5]
    with pytest.raises(ValueError, match=r"left out: 1 \(1 scouts of CT, not scored"):
        find_sources([tmp_path / "CT" / "scout.dcm"])


def test_series_in_an_archive_and_two_in_a_folder(tmp_path):
    write_series(tmp_path / "CT", SeriesNumber=2)
    (alone,) = find_sources([tmp_path / "CT"])
    other = ct_slice(np.full((3, 5), -800), 0, "9.9", SeriesNumber=2)
    (tmp_path / "CT" / "A.dcm").write_bytes(other)
    names = [s.name for s in find_sources([tmp_path / "CT"])]
    assert names == [str(tmp_path / "CT" / "A.dcm"), alone.name]
    files = sorted((tmp_path / "CT").iterdir(), reverse=True)
    assert {s.name for s in find_sources(files)} == set(names)
    members = {f"x/{p.name}": p.read_bytes() for p in (tmp_path / "CT").iterdir()}
    sources = bytes_sources("a.zip", archive(members))
    assert sorted(s.name for s in sources) == ["a.zip!x/A.dcm", "a.zip!x/I2"]
    shapes = sorted(s.read().slices.shape for s in sources)
    assert shapes == [(1, 3, 5), (4, 3, 5)]


def test_series_that_are_not_axial_or_not_whole(tmp_path):
    # Coronal: rows run from the right, columns from the head down.
    write_series(tmp_path / "a", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    (source,) = find_sources([tmp_path / "a"])
    assert "two slices lie at one place" in failure(source)
    folder = tmp_path / "b"
    folder.mkdir()
    for n in range(3):
        plane = np.full((2, 4), -1350 + 100 * n)
        plane[1, 0] = 150  # feet, right
        fields = {
            "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
            "ImagePositionPatient": [0, 3.0 * n, 0],
        }
        (folder / f"{n}.dcm").write_bytes(ct_slice(plane, 0, **fields))
    volume = find_sources([folder])[0].read()
    assert volume.slices.shape == (2, 3, 4)  # slices, from front to back, from right
    assert volume.slices[:, :, 1].tolist() == [[0, 17, 34]] * 2
    assert volume.slices[:, :, 0].tolist() == [[255] * 3, [0, 17, 34]]
    assert volume.spacing == pytest.approx((0.7, 3.0, 0.8))
    assert (volume.notes, volume.dicom) == (("reformatted",), None)
    write_series(tmp_path / "c")
    (tmp_path / "c" / "I9").unlink()
    (source,) = find_sources([tmp_path / "c"])
    assert source.read().notes == ("uneven_slices",)
    before = source.identity
    (tmp_path / "c" / "I2").unlink()
    assert find_sources([tmp_path / "c"])[0].identity != before


def failure(source):
    with pytest.raises(ValueError, match=r"\w") as caught:
        source.read()
    return str(caught.value)


def nifti(values, affine=None, kind=nibabel.Nifti1Image):
    affine = np.diag([0.8, 0.7, 5.0, 1.0]) if affine is None else affine
    return kind(values, affine).to_bytes()


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_nifti_lies_as_it_is_looked_at(kind, pack):
    values = np.full((4, 3, 2), -850, np.int16)
    values[3, 2, 0] = 150  # far right, front, feet
    values[0, 2, 1] = -2000  # far left, front, head
    volume = read(pack(nifti(values, kind=kind)))
    assert volume.slices.shape == (2, 3, 4)
    assert volume.slices[0].tolist() == [[255, 85, 85, 85], [85] * 4, [85] * 4]
    assert volume.slices[1].tolist() == [[85, 85, 85, 0], [85] * 4, [85] * 4]
    assert volume.spacing == pytest.approx((5.0, 0.7, 0.8))
    flipped = nifti(values[::-1, :, ::-1], np.diag([-0.8, 0.7, -5.0, 1.0]), kind)
    np.testing.assert_array_equal(read(pack(flipped)).slices, volume.slices)


def test_nifti_of_grey_levels_and_of_nothing_known():
    grey = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    volume = read(nifti(grey))
    assert volume.notes == ("grey_volume",)
    assert volume.slices[0, 2, 3] == grey[0, 0, 0]  # left, back, feet
    assert "Expected a CT in HU" in reason(nifti(grey.astype(np.int16) * 100))
    values = np.full((4, 3, 2), -850, np.float32)
    values[3] = -1024
    plain = read(nifti(values)).slices
    values[3, 1] = np.nan  # corners that no ray has met
    np.testing.assert_array_equal(read(nifti(values)).slices, plain)
    for bad in (np.inf, -np.inf):
        values[1, 1, 1] = bad
        assert "holds infinity" in reason(nifti(values))
    assert "NaN alone" in reason(nifti(np.full((4, 3, 2), np.nan)))
    assert "Received shape" in reason(nifti(np.zeros((4, 3), np.uint8)))
    assert "Received shape" in reason(nifti(np.zeros((4, 3, 2, 5), np.uint8)))


def altered(data, **entries):
    """A NIfTI file with entries of its header changed, or set by its own methods."""
    header = nibabel.Nifti1Header(data[:348])
    for name, value in entries.items():
        if callable(value):
            getattr(header, name)(*value(header))
        else:
            header[name] = value
    return header.binaryblock + data[348:]


MIRRORED = np.diag([-0.8, 0.7, 5.0, 1.0])
NOTHING = {"srow_x": 0, "srow_y": 0, "srow_z": 0}


@pytest.mark.parametrize(
    ("entries", "note", "spacing"),
    [
        (NOTHING, "", (5.0, 0.7, 0.8)),
        ({"srow_x": np.nan}, "", (5.0, 0.7, 0.8)),
        ({"quatern_b": np.nan}, "", (5.0, 0.7, 0.8)),
        ({"scl_slope": 1, "scl_inter": np.nan}, "", (5.0, 0.7, 0.8)),
        ({"vox_offset": 0}, "", (5.0, 0.7, 0.8)),
        (NOTHING | {"quatern_b": np.nan}, "unplaced", None),
        ({"set_sform": lambda _: (MIRRORED, 1)}, "placed_twice", None),
        ({"pixdim": [1, 0, 0, 0, 0, 0, 0, 0]}, "placed_twice", None),
        ({"pixdim": [1, 1, 1, 1, 0, 0, 0, 0]}, "placed_twice", None),
    ],
)
def test_nifti_whose_header_means_little(entries, note, spacing):
    values = np.full((4, 3, 2), -850, np.int16)
    values[3, 2, 0] = 150
    image = nibabel.Nifti1Image(values, np.diag([0.8, 0.7, 5.0, 1.0]))
    image.set_qform(image.affine, 1)
    volume = read(altered(image.to_bytes(), **entries))
    assert volume.notes == ((note,) if note else ())
    assert volume.spacing == (spacing and pytest.approx(spacing))
    if not note:
        assert volume.slices[0, 0].tolist() == [255, 85, 85, 85]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("mm", 1), ("meter", 1e-3), ("micron", 1e3), ("meter", 1), ("unknown", 1)],
)
def test_nifti_in_other_units(unit, factor):
    data = nifti(np.full((4, 3, 2), -850, np.int16), np.diag([*[0.8 * factor] * 3, 1]))
    data = altered(data, set_xyzt_units=lambda _: (unit,))
    assert read(data).spacing == pytest.approx((0.8, 0.8, 0.8))


def test_nifti_bombs():
    header = bytearray(nifti(np.zeros((4, 3, 2), np.uint8)))
    struct.pack_into("<3h", header, 42, 32767, 32767, 32767)
    assert "32767 planes; at most 5000" in reason(bytes(header))
    struct.pack_into("<3h", header, 42, 5000, 5000, 5000)
    assert "bytes of voxels" in reason(bytes(header))
    bomb = gzip.compress(bytes(header[:352]) + b"\0" * 50_000_000)
    assert "bytes of voxels" in reason(bomb)
    struct.pack_into("<3h", header, 42, 100, 100, 100)
    assert "cut short" in reason(bytes(header))
    # Only what the header asks for is unpacked, not what follows it.
    small = nifti(np.full((4, 3, 2), -900, np.int16)) + b"\0" * 50_000_000
    assert read(gzip.compress(small)).slices.shape == (2, 3, 4)


def test_archives(tmp_path):
    members = {
        "a/one.png": encode(".png", FILM),
        "a/notes.txt": b"no film",
        "__MACOSX/a/._one.png": b"litter",
        "../../evil.png": encode(".png", FILM),
        "scan": dicom(FILM),
        "inner.zip": archive({"x.png": encode(".png", FILM)}),
    }
    path = tmp_path / "films.zip"
    path.write_bytes(archive(members))
    sources = {s.name: s for s in find_sources([tmp_path])}
    names = ["a/one.png", "../../evil.png", "scan", "inner.zip"]
    assert list(sources) == [f"{path}!{name}" for name in names]
    for name in names[:3]:
        assert isinstance(sources[f"{path}!{name}"].read(), Film)
    assert "archive within an archive" in failure(sources[f"{path}!inner.zip"])
    assert [p.name for p in tmp_path.iterdir()] == ["films.zip"]
    assert not (tmp_path.parent / "evil.png").exists()
    assert all(s.path == path and s.identity for s in sources.values())


def test_archives_that_are_refused():
    data = bytearray(archive({"a.png": encode(".png", FILM)}))
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    assert "is encrypted" in reason(bytes(data), "a.zip")
    packed = archive({"a.png": encode(".png", FILM)}, zipfile.ZIP_LZMA)
    assert "packed in a way" in reason(packed)
    assert "holds no image" in reason(archive({"a.txt": b"text"}))
    assert "cut short or damaged" in reason(archive({"a.png": b"x" * 50})[:-30])
    bomb = archive({"a.png": b"\0" * (120 << 20)})
    assert "looks like a bomb" in reason(bomb)


def test_standard_input(monkeypatch):
    def pipe(data):
        stream = types.SimpleNamespace(buffer=io.BytesIO(data))
        monkeypatch.setattr(sys, "stdin", stream)
        return find_sources(["-"], correct=False)

    (source,) = pipe(encode(".png", FILM))
    assert source.name == "-"
    assert len(source.identity) == 64
    np.testing.assert_array_equal(source.read().pixels, FILM)
    (source,) = pipe(archive({"a.png": encode(".png", FILM)}))
    assert source.name == "-!a.png"
    assert source.read().shape == FILM.shape
    assert "is empty" in failure(pipe(b"")[0])
    monkeypatch.setattr("covseg_tf.imaging.sources.entry.MAX_STDIN", 10)
    assert "more than 10 bytes" in failure(pipe(b"x" * 11)[0])


def test_links_pipes_and_names(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(encode(".png", FILM))
    folder = tmp_path / "films"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.png").write_bytes(encode(".png", FILM))
    (folder / "loop").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "again.png").symlink_to(folder / "deep" / "a.png")
    (folder / "leak.png").symlink_to(outside / "secret.png")
    (folder / "leaks").symlink_to(outside)
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "pipe")
    strange = os.fsdecode(b"\xff\x1b[31m\n.png")
    (folder / strange).write_bytes(encode(".png", FILM))
    sources = {os.path.relpath(s.name, folder): s for s in find_sources([folder])}
    strange = "\\xff\x1b[31m\n.png"  # as it is shown
    expected = {"deep/a.png", "leak.png", "leaks", "pipe.png", strange}
    assert set(sources) == expected
    for name in ("deep/a.png", "leak.png", strange):
        assert sources[name].read().shape == FILM.shape
    assert "a link to a folder" in failure(sources["leaks"])
    assert "no regular file" in failure(sources["pipe.png"])
    # Given by name, a link is followed.
    (source,) = find_sources([folder / "leak.png"])
    assert source.read().shape == FILM.shape
    assert len(find_sources([folder / "leaks"])) == 1


def test_what_is_found(tmp_path):
    with pytest.raises(ValueError, match="no such file or folder"):
        find_sources([tmp_path / "nothing.png"])
    (tmp_path / "notes.txt").write_text("no film")
    with pytest.raises(ValueError, match="no image found; give files"):
        find_sources([tmp_path])
    (source,) = find_sources([tmp_path / "notes.txt"] * 2)
    assert isinstance(source, Source)
    assert "not a PNG, JPEG, TIFF" in failure(source)
    (tmp_path / "empty.png").touch()
    assert "empty" in failure(find_sources([tmp_path])[0])
    path = tmp_path / "a.png"
    path.write_bytes(encode(".png", FILM))
    source = find_sources([path])[0]
    status = path.stat()
    assert source.identity == f"{status.st_size}-{status.st_mtime_ns}"
    path.unlink()
    assert "No such file" in failure(source)


def test_headers_that_state_too_much():
    png = bytearray(encode(".png", GREYS))
    struct.pack_into(">II", png, 16, 60000, 60000)
    assert "60000 x 60000 pixels, at most 100000000" in reason(bytes(png))
    bmp = bytearray(encode(".bmp", GREYS))
    struct.pack_into("<ii", bmp, 18, 60000, 60000)
    assert "at most 100000000" in reason(bytes(bmp))
    jpeg = encode(".jpg", GREYS)
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg = jpeg[:place] + b"\xff\xff\xff\xff" + jpeg[place + 4 :]
    assert "65535 x 65535 pixels" in reason(jpeg)
    tiff = encode(".tif", GREYS, cv2.IMWRITE_TIFF_COMPRESSION, 5)
    for tag in (
        b"\x00\x01\x03\x00\x01\0\0\0\x10\0",
        b"\x01\x01\x03\x00\x01\0\0\0\x0c\0",
    ):
        assert tag in tiff
        tiff = tiff.replace(tag, tag[:8] + b"\xff\xff")
    assert "65535 x 65535 pixels" in reason(tiff)
    loop = bytearray(encode(".tif", GREYS))
    first = struct.unpack_from("<I", loop, 4)[0]
    entries = struct.unpack_from("<H", loop, first)[0]
    struct.pack_into("<I", loop, first + 2 + 12 * entries, first)
    assert "in circles" in reason(bytes(loop))


def test_a_jpeg_that_lacks_its_end_mark_alone(capfd):
    jpeg = encode(".jpg", FILM)
    film = read(jpeg[:-2], correct=False)
    assert film.notes == ("no_end_mark",)
    np.testing.assert_array_equal(film.pixels, read(jpeg, correct=False).pixels)
    for size in range(3, 200, 7):
        assert "cut short" in reason(jpeg[:-size])
    progressive = encode(".jpg", FILM, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert "cut short" in reason(progressive[:-2])


def test_sequences_deep_in_one_another_and_many_elements(monkeypatch):
    depth = 5000
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    sequence = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
    head = dicom(DEEP)[: 128 + 4]
    meta = dicom(DEEP)[132 : 132 + 12 + struct.unpack_from("<I", dicom(DEEP), 140)[0]]
    assert "too deep" in reason(head + meta + (sequence + item) * depth)
    monkeypatch.setattr("covseg_tf.imaging.dicom.header._Meter.left", 5)
    assert "too many elements" in reason(dicom(DEEP))


def test_a_deflated_bomb():
    import zlib

    data = dicom(DEEP, "1.2.840.10008.1.2.1.99")
    end = 144 + struct.unpack_from("<I", data, 140)[0]
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(b"\0" * (64 << 20)) + packer.flush()
    assert "a bomb" in reason(data[:end] + bomb)


def test_the_stored_chest_is_the_drawn_one():
    drawn = [draw_phantom(seed, 0.2, 128).image for seed in range(12)]
    mean = cv2.resize(np.mean(drawn, axis=0), (32, 32), interpolation=cv2.INTER_AREA)
    mean -= mean.mean()
    np.testing.assert_allclose(drawn_chest(), mean / np.linalg.norm(mean), atol=1e-6)


def test_a_header_longer_than_its_first_look():
    """Deflated, or with a sequence across the 64 KB that are looked at first."""
    from pydicom import Dataset

    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    long = [item] * 5000
    noise = np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)
    for syntax in ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.1"):
        data = dicom(noise, syntax, ReferencedImageSequence=long)
        assert len(data) > 1 << 16
        np.testing.assert_array_equal(read(data, correct=False).pixels, noise)


def test_implicit_dicom_with_a_sequence_before_its_pixels():
    """Then pydicom has converted Pixel Representation before it is asked for."""
    from pydicom import Dataset

    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    data = dicom(FILM, "1.2.840.10008.1.2", ReferencedStudySequence=[item])
    np.testing.assert_array_equal(read(data, correct=False).pixels, FILM)
