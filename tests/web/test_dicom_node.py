"""Both readers of DICOM, file by file: the same grey levels, or both refuse."""

import hashlib
import json
import pathlib
import shutil
import subprocess

import image_files
import numpy as np
import odd_dicom
import pydicom
import pytest

from covseg_tf.edge import draw_phantom
from covseg_tf.imaging.dicom.film import read_dicom_film
from covseg_tf.triage.score.film import is_lateral

SCRIPT = pathlib.Path(__file__).with_name("read_dicom.mjs")
IMAGE = np.ascontiguousarray(draw_phantom(5, 0.4, 64).image[:, :59])


@pytest.fixture(scope="module")
def files():
    settings = pydicom.config.settings
    before = settings.writing_validation_mode, settings.reading_validation_mode
    settings.writing_validation_mode = settings.reading_validation_mode = 0
    try:
        return image_files.dicom_files(IMAGE) | odd_dicom.files(IMAGE)
    finally:
        settings.writing_validation_mode, settings.reading_validation_mode = before


def read_by_python(data):
    try:
        film = read_dicom_film(data)
    except ValueError as error:
        return {"error": str(error)}
    if is_lateral(film):
        return {"error": "lateral"}
    sha256 = hashlib.sha256(np.ascontiguousarray(film.pixels).tobytes()).hexdigest()
    return {
        "shape": list(film.pixels.shape),
        "sha256": sha256,
        "notes": list(film.notes),
    }


@pytest.mark.filterwarnings("ignore")  # pydicom's, of the values that it writes
def test_the_page_reads_what_python_reads(files, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: the page's reader is not run outside a browser")
    names = dict(enumerate(files))
    for number, name in names.items():
        (tmp_path / str(number)).write_bytes(files[name])
    done = subprocess.run(
        [node, SCRIPT, tmp_path], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    page = json.loads(done.stdout)
    differ = {}
    for number, name in names.items():
        here, there = read_by_python(files[name]), page[str(number)]
        if here != there and not ("error" in here and "error" in there):
            differ[name] = here, there
    assert differ == {}
    assert sum("error" in answer for answer in page.values()) < len(page) / 8
