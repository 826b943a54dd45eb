"""The page's look at a JPEG against that of the edge runtime, byte for byte."""

import json
import pathlib
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from covseg_tf.edge import draw_phantom
from covseg_tf.imaging.png_jpeg import walk_jpeg

SCRIPT = pathlib.Path(__file__).parents[2] / "covseg_tf/web/page/js/jpeg.js"
MOST = 64_000_000
ASK = """
import {readFileSync} from 'node:fs';
const {walkJpeg} = await import(process.argv[1]);
const answers = process.argv.slice(2).map((path) => {
  try {
    return walkJpeg(new Uint8Array(readFileSync(path)), 64e6);
  } catch (error) {
    return null;
  }
});
console.log(JSON.stringify(answers));
"""


def files():
    """Whole, cut, damaged and padded pictures, of one scan and of many."""
    image = draw_phantom(3, 0.4, 96).image
    rng = np.random.default_rng(0)
    for progressive in (0, 1):
        options = [
            cv2.IMWRITE_JPEG_PROGRESSIVE,
            progressive,
            cv2.IMWRITE_JPEG_RST_INTERVAL,
            2,
        ]
        data = cv2.imencode(".jpg", image, options)[1].tobytes()
        yield data
        yield data + b"\xff" * 5
        yield data[:-2]
        yield data[:-2] + b"\xff"
        yield data[:2] + b"\xff\xff" + data[2:]
        for part in rng.integers(3, len(data), 60):
            yield data[:part]
        for place, value in rng.integers(0, (len(data) - 3, 256), (120, 2)):
            yield data[: place + 3] + bytes([value]) + data[place + 4 :]


def of_python(data):
    try:
        return walk_jpeg(data, MOST)._asdict()
    except ValueError:
        return None


def test_both_say_the_same_of_each_file(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: the page's look at a JPEG is not run outside a browser")
    expected, paths = [], []
    for number, data in enumerate(files()):
        expected.append(of_python(data))
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(data)
    command = [
        node,
        "--input-type=module",
        "-e",
        ASK,
        SCRIPT.as_uri(),
        *map(str, paths),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout)
    for number, (python, page) in enumerate(zip(expected, found, strict=True)):
        assert python == page, number
    kinds = {None if x is None else x["ended"] for x in expected}
    assert kinds == {None, True, False}  # each answer was asked for
