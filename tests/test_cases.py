"""Files as hospitals make them: each has the number of the same film without its fault.

Drawn films are made here, fault by fault; CT slices and real films are read from
`../shared` and skipped where they are missing.
"""

import os
import pathlib
import struct
import subprocess
import sys
import zipfile
import zlib

import cv2
import numpy as np
import pydicom
import pytest
from conftest import ROOT, data_root
from test_sources import dicom, encode, failure

from covseg_tf.edge import Segmenter, draw_phantom
from covseg_tf.imaging import (
    Film,
    bytes_sources,
    find_sources,
    read_image,
    to_grey,
)
from covseg_tf.triage import triage
from covseg_tf.triage.score import describe, score_volume

CASES = data_root().parent / "cases"
FILM = draw_phantom(2, 0.25).image
DEEP = (FILM.astype(np.uint16) - FILM.min()) * 14 + 200  # 12 bits
# Points of percent that a film may move by a fault that takes nothing of it away.
CLOSE = 2.0


@pytest.fixture(scope="module")
def xray():
    return Segmenter("xray")


@pytest.fixture(scope="module")
def right(xray):
    return xray.predict(FILM).involvement.total


@pytest.fixture(scope="module")
def ct():
    return Segmenter("ct_small")


def case(name):
    path = CASES / name
    if not path.exists():
        pytest.skip(f"no {path}")
    return path


def look(xray, data, name="a"):
    (source,) = bytes_sources(name, data)
    film = source.read()
    assert isinstance(film, Film)
    return xray.predict(film.pixels), film.notes


def hot(pixels, count=1, value=65535):
    pixels = pixels.copy()
    pixels[5:8, 7 : 7 + count] = value
    return pixels


def padded(fields):
    """A film within a band of padding, far below it."""
    pixels = np.pad(DEEP.astype(np.int16), 20, constant_values=-32768)
    return dicom(pixels, PixelRepresentation=1, **fields)


def framed(value, width=20, **fields):
    """A film within narrow bands of a value that the header names."""
    kind = np.int16 if value < 0 else np.uint16
    pixels = np.pad(DEEP.astype(kind), width, constant_values=value)
    return dicom(pixels, PixelRepresentation=int(value < 0), **fields)


PADDED = {
    "below": lambda: framed(-2000, PixelPaddingValue=-2000),
    "above": lambda: framed(65535, 7, PixelPaddingValue=65535),
    "a range": lambda: framed(
        63536, PixelPaddingValue=63000, PixelPaddingRangeLimit=65535
    ),
    "in a window": lambda: framed(
        65535, 40, PixelPaddingValue=65535, WindowCenter=2048, WindowWidth=4096
    ),
}


@pytest.mark.parametrize("name", PADDED)
def test_padding_is_no_film(xray, right, name):
    (source,) = bytes_sources("a", PADDED[name]())
    film = source.read()
    width = (film.shape[0] - FILM.shape[0]) // 2
    assert film.box == (width, width)
    assert film.pixels.shape == FILM.shape
    assert "padding_left_out" in film.notes
    found = xray.predict(film.pixels)
    assert found.involvement.total == pytest.approx(right, abs=CLOSE)


def test_planes_of_a_tiff_that_opencv_mixes_up_are_refused():
    from covseg_tf.imaging.tiff import tiff_page

    def tag(number, kind, value):
        return struct.pack("<HHII", number, kind, 1, value)

    rows = DEEP.shape[0]
    data = grey_alpha().replace(tag(277, 3, 2), tag(277, 3, 3))
    data = data.replace(tag(257, 4, rows), tag(257, 4, rows // 2))
    assert tiff_page(data, 0).rows == rows // 2
    data = data.replace(tag(278, 4, rows), tag(284, 3, 2))
    (source,) = bytes_sources("a.tif", data)
    assert "keeps its 3 channels of 16 bits apart" in failure(source)


def test_padding_on_one_side_keeps_the_proportions():
    pixels = DEEP.copy()
    pixels[:, : DEEP.shape[1] // 20] = 65535
    (source,) = bytes_sources("a", dicom(pixels, PixelPaddingValue=65535))
    film = source.read()
    assert film.pixels.shape == FILM.shape
    assert not film.pixels[:, : DEEP.shape[1] // 20].any()


ODD_HEADERS = {
    "12 bits in the upper ones of 16": lambda: dicom(
        DEEP * 16 + 9, BitsStored=12, HighBit=15
    ),
    "no bits stored": lambda: dicom(DEEP, BitsStored=None),
    "no samples": lambda: dicom(DEEP, SamplesPerPixel=None),
    "lower case": lambda: dicom(DEEP, PhotometricInterpretation="monochrome2"),
    "nothing of greys": lambda: dicom(DEEP, PhotometricInterpretation=""),
    "no frames": lambda: dicom(DEEP, NumberOfFrames=0),
    "slope of two": lambda: dicom(DEEP, RescaleSlope=[1, 1], RescaleIntercept=0),
    "signed": lambda: dicom(DEEP.astype(np.int16) - 2048, PixelRepresentation=1),
    "10 bits": lambda: dicom(DEEP // 4, BitsStored=10, HighBit=9),
    "14 bits": lambda: dicom(DEEP * 4, BitsStored=14, HighBit=13),
    "more bits than there are": lambda: dicom(DEEP, BitsStored=20, HighBit=19),
    "a sign of 2": lambda: dicom(DEEP, PixelRepresentation=2),
    "no sign": lambda: dicom(DEEP, PixelRepresentation=None),
    "colour of one sample": lambda: dicom(DEEP, PhotometricInterpretation="RGB"),
    "frames of no number": lambda: dicom(DEEP, NumberOfFrames=[1, 1]),
    "slope of 1e308": lambda: dicom(DEEP, RescaleSlope=1e308, RescaleIntercept=0),
    "a window that shows nothing": lambda: windowed(-90_000, 3000),
    "a window of all": lambda: windowed(0, 1e300),
}


@pytest.mark.parametrize("name", ODD_HEADERS)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_header_that_says_little_or_oddly(name):
    (source,) = bytes_sources("a", ODD_HEADERS[name]())
    (plain,) = bytes_sources("a", dicom(DEEP))
    expected = plain.read().pixels.astype(int)
    assert np.abs(source.read().pixels - expected).max() <= 1


def test_a_sixteenth_of_its_brightness(xray):
    for deep in (DEEP * 16, FILM.astype(np.uint16) * 257):
        found = [look(xray, encode(".png", x)) for x in (deep, deep // 16)]
        whole, dim = (prediction.involvement.total for prediction, _ in found)
        assert dim == pytest.approx(whole, abs=CLOSE)


@pytest.mark.data
def test_real_films_at_a_sixteenth_of_their_brightness(xray):
    """In 16 bits they read alike; in 8 too few greys are left to be scored."""
    folder = data_root() / "general_blockchain" / "images"
    paths = sorted(folder.glob("*.png"))[:12]
    if len(paths) < 12:
        pytest.skip(f"no films in {folder}")
    for path in paths:
        grey = to_grey(read_image(path))
        deep = grey.astype(np.uint16) * 257
        whole, dim = (
            xray.predict(pixels).involvement.total for pixels in (deep, deep // 16)
        )
        assert dim == pytest.approx(whole, abs=3), path.name
        lost = xray.predict(grey // 16)
        assert lost.flags[0] == "too_few_greys", path.name
        assert lost.involvement.total is None


def windowed(center, width):
    return dicom(DEEP, WindowCenter=center, WindowWidth=width)


def grey_alpha(packing=1, predictor=1, orientation=1):
    """A TIFF of grey and alpha in 16 bits, which no encoder at hand writes."""
    planes = np.dstack([DEEP, np.full_like(DEEP, 65535)]).astype("<u2")
    if predictor == 2:
        planes[:, 1:] -= planes[:, :-1].copy()
    pixels = planes.tobytes()
    pixels = zlib.compress(pixels) if packing == 8 else pixels
    rows, columns = DEEP.shape
    tags = [(256, 4, columns), (257, 4, rows), (258, 3, 16), (259, 3, packing)]
    tags += [(262, 3, 1), (273, 4, 8), (274, 3, orientation), (277, 3, 2)]
    tags += [(278, 4, rows), (279, 4, len(pixels)), (317, 3, predictor), (338, 3, 2)]
    entries = b"".join(
        struct.pack("<HHIHH", tag, 3, 2, 16, 16)
        if tag == 258
        else struct.pack("<HHII", tag, kind, 1, value)
        for tag, kind, value in tags
    )
    place = struct.pack("<I", 8 + len(pixels))
    return b"II*\0" + place + pixels + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(("packing", "predictor"), [(1, 1), (8, 1), (8, 2)])
def test_grey_and_alpha_keep_their_depth(tmp_path, packing, predictor):
    path = tmp_path / "a.tif"
    path.write_bytes(grey_alpha(packing, predictor))
    np.testing.assert_array_equal(read_image(path), DEEP)
    path.write_bytes(grey_alpha(packing, predictor, 6))
    np.testing.assert_array_equal(read_image(path), np.rot90(DEEP, -1))


def tiled(plane, orientation):
    """A TIFF of 8 bits in tiles of 32 x 32, which no encoder at hand writes."""
    rows, columns = plane.shape
    tiles = plane.reshape(rows // 32, 32, columns // 32, 32).swapaxes(1, 2).tobytes()
    count, head = len(tiles) // 1024, 8 + len(tiles)
    tags = [(256, 4, columns), (257, 4, rows), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(274, 3, orientation), (277, 3, 1), (322, 3, 32), (323, 3, 32)]
    table = head + 2 + 12 * (len(tags) + 2) + 4
    entries = b"".join(struct.pack("<HHII", tag, k, 1, value) for tag, k, value in tags)
    for tag, place in ((324, table), (325, table + 4 * count)):
        entries += struct.pack("<HHII", tag, 4, count, place)
    offsets = struct.pack(f"<{count}I", *range(8, head, 1024))
    directory = struct.pack("<H", len(tags) + 2) + entries + bytes(4)
    sizes = struct.pack("<I", 1024) * count
    return b"II*\0" + struct.pack("<I", head) + tiles + directory + offsets + sizes


@pytest.mark.parametrize("orientation", range(10))
def test_tiles_are_turned_as_one_picture(tmp_path, orientation):
    """Of the standard: where the stored first row and first column belong."""
    plane = np.arange(64 * 96, dtype=np.uint32).reshape(64, 96).astype(np.uint8)
    plane[:3, :5] = 255  # the corner
    right = {
        2: np.fliplr(plane),
        3: np.rot90(plane, 2),
        4: np.flipud(plane),
        5: plane.T,
        6: np.rot90(plane, -1),
        7: np.rot90(plane, 2).T,
        8: np.rot90(plane),
    }.get(orientation, plane)
    (tmp_path / "a.tif").write_bytes(tiled(plane, orientation))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), right)


@pytest.mark.parametrize(
    ("orientation", "turn", "notes"),
    [
        (["L", "F"], (1, 1), ()),
        (["R", "F"], (1, -1), ("mirrored",)),
        (["L", "H"], (-1, 1), ("upended",)),
        (["R", "H"], (-1, -1), ("mirrored", "upended")),
    ],
)
def test_a_film_hangs_as_its_header_says(orientation, turn, notes):
    rows, columns = turn
    filed = FILM[::rows, ::columns]
    (source,) = bytes_sources("a", dicom(filed, PatientOrientation=orientation))
    film = source.read()
    np.testing.assert_array_equal(film.pixels, FILM)
    np.testing.assert_array_equal(film.mask_to_file(film.pixels > 99), filed > 99)
    assert film.notes == notes


@pytest.mark.parametrize(
    ("description", "view"),
    [
        ("CHEST LAT", "LL"),
        ("W Chest Lateral", "LL"),
        ("Thorax seitlich", "LL"),
        ("CHEST PA", "PA"),
        ("CHEST PA AND LAT", ""),
        ("CHEST LAT DECUBITUS", ""),
        ("PLATE LATERALITY", ""),
    ],
)
def test_the_view_of_a_series(description, view):
    (source,) = bytes_sources("a", dicom(FILM, SeriesDescription=description))
    assert source.read().view == view


def bordered(value, width, offset=0):
    """A film of 16 bits with a band of one value that no header names."""
    pixels = DEEP + np.uint16(offset)
    pixels[:width] = value
    return encode(".png", pixels)


SCORED = {
    "02 a white bar": (lambda: bordered(65535, 14), "stretched"),
    "03 a black one, the film far above": (lambda: bordered(0, 14, 5000), "stretched"),
    "05 grey and alpha": (grey_alpha, "stretched"),
    "02 one hot pixel": (lambda: encode(".png", hot(DEEP)), "stretched"),
    "02 a hot marker": (lambda: dicom(hot(DEEP, 12)), "stretched"),
    "02 a hot pixel of 0": (lambda: encode(".png", hot(DEEP + 30000, 1, 0)), ""),
    "02 in floats": (lambda: encode(".tiff", hot(DEEP.astype(np.float32), 2)), ""),
    "04 a window of 16383": (lambda: windowed(2048, 16383), "stretched"),
    "06 a window of width 0": (lambda: windowed(0, 0), "window_unusable"),
}


@pytest.mark.parametrize("name", SCORED)
def test_contrast_is_not_lost(xray, right, name):
    make, note = SCORED[name]
    found, notes = look(xray, make())
    assert found.flags == ()
    assert found.involvement.total == pytest.approx(right, abs=CLOSE)
    assert not note or note in notes


def test_serving_keeps_contrast_as_triage_does(xray, right, tmp_path):
    """By a file and by an array; a window of CT stays as it is."""
    from covseg_tf.serving.client import _to_bytes
    from covseg_tf.serving.repository.bundle_servable import BundleServable

    served = BundleServable("xray")
    path = tmp_path / "film.png"
    path.write_bytes(encode(".png", hot(DEEP)))
    for image in (path, hot(DEEP)):
        grey = served._grey(cv2.imdecode(np.frombuffer(_to_bytes(image), np.uint8), -1))
        found = xray.predict(grey).involvement.total
        assert found == pytest.approx(right, abs=CLOSE)
    narrow = (FILM // 16 + 180).astype(np.uint8)
    np.testing.assert_array_equal(BundleServable("ct_small")._grey(narrow), narrow)


FLAGGED = {
    "04b four grey levels": lambda: encode(".png", FILM // 64 * 85),
    "04 a sixteenth of its brightness": lambda: encode(".png", FILM // 16),
    "06f a window of width 1": lambda: windowed(2048, 1),
    "14 one bit": lambda: encode(".tiff", (FILM > 127).astype(np.uint8) * 255),
    "14 one bit, by JPEG": lambda: encode(".jpg", (FILM > 127).astype(np.uint8) * 255),
}


@pytest.mark.parametrize("name", FLAGGED)
def test_too_few_greys_are_not_scored(xray, name):
    found, _ = look(xray, FLAGGED[name]())
    assert found.flags[0] == "too_few_greys"
    assert found.involvement.total is None


def test_a_ct_slice_is_not_widened(ct):
    """A window of CT is absolute: soft tissue alone must not become a chest."""
    narrow = (FILM // 16 + 180).astype(np.uint8)
    found = ct.predict(narrow)
    plain = ct.bundle.preprocessing.resize(narrow)
    np.testing.assert_array_equal(found.lung_levels, ct.run(plain)["lung"])


def test_every_drawn_case_of_the_list(xray):
    def percent(name):
        (source,) = find_sources([case(name)])
        return xray.predict(source.read().pixels).involvement.total

    right = {
        256: percent("00_reference.png"),
        160: percent("00_reference_12bit_160.dcm"),
    }
    # Its film has a noise of its own: the right number is of what pydicom reads.
    noisy = pydicom.dcmread(case("08_deflated_over_64k.dcm"))
    shown = pydicom.pixels.apply_voi_lut(noisy.pixel_array, noisy)
    shown = np.rint(shown * (255 / 4095)).astype(np.uint8)
    own = {"08_deflated_over_64k.dcm": xray.predict(shown).involvement.total}
    for path in sorted(case(".").glob("0*.*")):
        (source,) = find_sources([path])
        found = xray.predict(source.read().pixels)
        if path.name.startswith(("04b", "06f")):
            assert found.flags[0] == "too_few_greys", path.name
        else:
            expected = own.get(path.name) or right[source.read().shape[0]]
            assert found.involvement.total == pytest.approx(expected, abs=CLOSE), path
    (film,) = find_sources([case("10_no_preamble.dcm")])
    assert xray.predict(film.read().pixels).involvement.total == pytest.approx(
        right[160], abs=CLOSE
    )
    (film,) = find_sources([case("14_one_bit_g4.tif")])
    assert xray.predict(film.read().pixels).flags[0] == "too_few_greys"


def test_content_decides(tmp_path):
    jpeg, deep = encode(".jpg", FILM), dicom(DEEP)
    (tmp_path / "film.jfif").write_bytes(jpeg)
    (tmp_path / "film.jpe").write_bytes(jpeg)
    (tmp_path / "film").write_bytes(jpeg)
    (tmp_path / "CR000001").write_bytes(deep)
    (tmp_path / "IM1").write_bytes(deep[132:])  # no preamble, no mark
    bare = deep[132 + 12 + struct.unpack_from("<I", deep, 140)[0] :]
    (tmp_path / "IM2").write_bytes(bare)  # nor a file meta group
    left_out = {}
    sources = find_sources([tmp_path], left_out=(counter := _counter()))
    left_out |= counter
    assert [os.path.basename(s.name) for s in sources] == sorted(
        path.name for path in tmp_path.iterdir()
    )
    plain = dict(zip([s.name for s in sources], sources, strict=True))
    expected = plain[str(tmp_path / "CR000001")].read().pixels
    for name in ("IM1", "IM2"):
        film = plain[str(tmp_path / name)].read()
        np.testing.assert_array_equal(film.pixels, expected)
    assert left_out == {}


def test_linked_data_sets_and_thumbnails(tmp_path):
    blobs, main = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    main.mkdir(parents=True)
    (blobs / "0f3a").write_bytes(encode(".jpg", FILM))
    (main / "film.jpg").symlink_to("../../blobs/0f3a")
    (linked,) = find_sources([main])
    assert linked.read().shape == FILM.shape
    assert len(find_sources([tmp_path])) == 1
    nas = tmp_path / "nas"
    (nas / "@eaDir" / "film.png").mkdir(parents=True)
    (nas / "film.png").write_bytes(encode(".png", FILM))
    (nas / "@eaDir" / "film.png" / "SYNOPHOTO_THUMB_M.jpg").write_bytes(
        encode(".jpg", FILM[::4, ::4])
    )
    (nas / "notes").write_text("no film")
    counter = _counter()
    (film,) = find_sources([nas], left_out=counter)
    assert film.name == str(nas / "film.png")
    assert counter == {"thumbnails": 1, "no images": 1}


def test_what_is_left_out_is_told(tmp_path):
    for modality in ("PR", "SR"):
        path = tmp_path / modality
        path.write_bytes(dicom(FILM, Modality=modality))
        dataset = pydicom.dcmread(path)
        del dataset.PixelData, dataset.Rows, dataset.Columns
        dataset.save_as(path)
    with pytest.raises(ValueError, match=r"left out: 2 .*\(PR\).*\(SR\)"):
        find_sources([tmp_path])


def _counter():
    import collections

    return collections.Counter()


def test_a_name_that_is_not_utf8(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    name = os.fsencode(folder) + b"/radiograf\xeda.png"
    pathlib.Path(os.fsdecode(name)).write_bytes(encode(".png", FILM))
    command = [sys.executable, "-m", "covseg_tf.cli", "triage", str(folder)]
    out = tmp_path / "out"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--out", str(out)], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"radiograf\\xeda.png" in done.stdout
    for report in ("report.csv", "report.html"):
        assert r"radiograf\xeda.png" in (out / report).read_text("utf-8")
    assert (out / "report.json").is_file()


def volume_of(source, ct):
    volume = source.read()
    return score_volume(volume, ct), volume.notes


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("22_ct_split_over_folders.zip", ()),
        ("23_ct_one_slice_twice.zip", ("copies_dropped",)),
    ],
)
def test_one_series_however_it_lies(ct, name, note):
    (source,) = find_sources([case(name)])
    found, notes = volume_of(source, ct)
    (whole,) = find_sources([case("20_ct_reference.zip")])
    expected, _ = volume_of(whole, ct)
    assert found.involved_percent == pytest.approx(expected.involved_percent, abs=0.1)
    assert found.lung_ml == pytest.approx(expected.lung_ml)
    assert notes == note


@pytest.mark.data
def test_a_series_in_a_tree_of_orthanc(ct, tmp_path):
    with zipfile.ZipFile(case("20_ct_reference.zip")) as slices:
        for number, member in enumerate(m for m in slices.infolist() if m.file_size):
            path = tmp_path / f"{number:02x}" / "a0" / f"{number:02x}a0-4711"
            path.parent.mkdir(parents=True)
            path.write_bytes(slices.read(member))
    (source,) = find_sources([tmp_path])
    found, _ = volume_of(source, ct)
    assert found.involved_percent == pytest.approx(6.6, abs=0.1)


@pytest.mark.data
def test_a_ct_that_is_no_chest_in_hu():
    (source,) = find_sources([case("21_ct_without_intercept.zip")])
    assert "is not in HU" in failure(source)


@pytest.mark.data
def test_niftis(ct):
    (placed,), (unplaced,), (wide,) = (
        find_sources([case(f"{name}.nii.gz")])
        for name in ("26_reference", "26_no_affine", "28_int64")
    )
    assert volume_of(placed, ct)[0].lung_ml == pytest.approx(2195, abs=1)
    found, notes = volume_of(unplaced, ct)
    assert notes == ("unplaced",)
    assert found.lung_ml is None
    assert volume_of(wide, ct)[0].involved_percent == pytest.approx(6.1, abs=0.1)


def test_other_parts_of_the_body(tmp_path):
    from test_sources import ct_slice

    plane = np.full((8, 8), -800)
    for part, refused in (("BRAIN", True), ("CHESTABDPELVIS", False), ("", False)):
        path = tmp_path / f"slice_{part}.dcm"
        path.write_bytes(ct_slice(plane, 0, BodyPartExamined=part))
        (source,) = find_sources([path])
        if refused:
            assert "BodyPartExamined: BRAIN" in failure(source)
        else:
            assert describe("a", source.read(), "ct").flags == ()


def test_lungs_too_small_for_a_chest(ct, monkeypatch):
    from covseg_tf.imaging import Volume

    slices = np.stack([FILM, FILM])
    plain = score_volume(Volume(slices, None), ct)
    if "not_a_ct_slice" in plain.flags:
        monkeypatch.setattr("covseg_tf.edge.segmenter.guard_flags", lambda *_: ())
    assert score_volume(Volume(slices, (5.0, 1.5, 1.5)), ct).flags == ()
    small = score_volume(Volume(slices, (5.0, 0.1, 0.1)), ct)
    assert small.flags == ("lung_area_implausible",)
    assert (small.involved_percent, small.lung_ml) == (None, None)


def test_the_json_says_what_was_left_out(tmp_path, xray):
    import json

    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode(".png", FILM))
    (folder / "notes.txt").write_text("no film")
    triage([folder], tmp_path / "out", xray)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["left_out"] == {"no images": 1}
    assert cv2.imread(str(tmp_path / "out" / "masks" / "a_lung.png")) is not None
