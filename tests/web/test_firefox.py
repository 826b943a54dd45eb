"""The page in a real Firefox: the same answers, and no broken file scored."""

import base64
import subprocess

import cv2
import image_files
import numpy as np
import pytest
from firefox import Firefox
from test_browser import _READ as READ
from test_browser import as_png, assert_same, site_of

from covseg_tf.edge import Segmenter, draw_phantom
from covseg_tf.imaging import read_image
from covseg_tf.web import PageServer


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    with PageServer(site_of("xray"), port=0) as server:
        browser = Firefox(tmp_path_factory.mktemp("firefox"))
        try:
            browser.go(server.url)
            yield browser
        finally:
            browser.close()


@pytest.fixture
def reader(firefox):
    return lambda data: firefox.call(READ, base64.b64encode(data).decode())


def test_a_browser_that_dies_at_its_start_is_cleared_away(tmp_path, monkeypatch):
    script = tmp_path / "firefox"
    script.write_text("#!/bin/sh\necho no display >&2\n")
    script.chmod(0o755)
    monkeypatch.setenv("COVSEG_FIREFOX", str(script))
    made, start = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: made.append(start(*a, **k)) or made[0]
    )
    with pytest.raises(RuntimeError, match="ended before it listened"):
        Firefox(tmp_path)
    assert made[0].poll() is not None
    assert made[0].stderr.closed


def as_jpeg(image, **options):
    flags = [x for name, value in options.items() for x in (getattr(cv2, name), value)]
    return cv2.imencode(".jpg", image, flags)[1].tobytes()


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter("xray")


@pytest.mark.parametrize("size", [256, 301])
def test_png_and_dicom_answer_as_python_does(reader, segmenter, size):
    image = draw_phantom(4, 0.4, size).image
    assert_same(reader(as_png(image)), image, segmenter)
    assert_same(reader(image_files.dicom(image)), image, segmenter)


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_whole_jpeg_is_scored_and_a_cut_one_is_not(reader, tmp_path, progressive):
    image = draw_phantom(5, 0.5, 320).image
    data = as_jpeg(image, IMWRITE_JPEG_PROGRESSIVE=progressive)
    (tmp_path / "film.jpg").write_bytes(data)
    answer = reader(data)
    assert answer["shape"] == [320, 320]
    grey = np.frombuffer(base64.b64decode(answer["grey"]), np.uint8).reshape(320, 320)
    # Decoders of JPEG may differ by a level or two, never by a missing half.
    assert np.abs(grey.astype(int) - read_image(tmp_path / "film.jpg")).max() <= 3
    for part in (0.3, 0.5, 0.9, 0.99):
        assert "cut short" in reader(data[: int(part * len(data))])["error"]


def test_a_jpeg_that_lacks_its_end_mark_alone_is_scored(reader):
    data = as_jpeg(draw_phantom(6, 0.3, 200).image)
    whole, without = reader(data), reader(data[:-2])
    assert without["grey"] == whole["grey"]
    assert without["involvement"] == whole["involvement"]


def test_a_cut_jpeg_in_a_dicom_is_not_scored(reader):
    image = draw_phantom(7, 0.4, 256).image
    data = as_jpeg(image)
    uid = image_files.pydicom.uid.JPEGBaseline8Bit
    assert "error" not in reader(image_files.dicom(image, syntax=uid, frames=[data]))
    half = image_files.dicom(image, syntax=uid, frames=[data[: len(data) // 2]])
    assert "cut short" in reader(half)["error"]


def test_other_kinds_are_whole_or_refused(reader):
    image = draw_phantom(8, 0.4, 128).image
    for ending in (".bmp", ".webp"):
        data = cv2.imencode(ending, image)[1].tobytes()
        assert reader(data)["shape"] == [128, 128]
        assert "cut short" in reader(data[: len(data) // 2])["error"]
    assert "no image" in reader(b"GIF89a" + bytes(40))["error"]
