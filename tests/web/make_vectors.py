"""Writes the test vectors that Python and the page's JavaScript both answer to.

    python tests/web/make_vectors.py

Inputs are drawn by rules that any language can follow (a linear congruential
generator, rectangles), so that the file holds checksums and no images.
"""

import dataclasses
import hashlib
import json
import pathlib

import cv2
import numpy as np

from covseg_tf.edge import Prediction, PreprocessingSpec, ReadersScale
from covseg_tf.imaging import to_grey

FILE = pathlib.Path(__file__).with_name("pixel_vectors.json")
_ABOUT = (
    "Pixels: x <- (1664525 x + 1013904223) mod 2^32 from `seed`, x >> 24 (8 bit) or "
    "x >> 16 (16 bit) row by row, colour as red, green, blue. A mask's levels are "
    "`shapes`, rectangles [top, left, bottom, right, lung, infection] painted in "
    "turn on zeros. `sha256` is of the bytes that Python gives, `first` their start. "
    "Written by tests/web/make_vectors.py."
)
_SIZES = (
    *((256, 256), (512, 512), (1024, 768), (512, 256), (256, 512), (768, 256)),
    *((257, 257), (255, 255), (300, 300), (299, 511), (1000, 999), (640, 480)),
    *((480, 640), (128, 128), (64, 64), (100, 700), (700, 100), (1, 1), (1, 300)),
    *((300, 1), (2, 3), (256, 100), (100, 256), (1270, 1011), (2022, 1734)),
    *((331, 257), (256, 257), (1280, 1280), (1536, 2048), (3000, 260)),
)
# As bundles carry it: the style of the logit, and knots from share to extent.
READERS = ReadersScale(0.42, -0.7, (0.04, 0.2, 0.55, 0.8), (0.0, 1.1, 2.9, 4.0))
_ODD = (((7, 5), (3, 2)), ((10, 10), (5, 5)), ((9, 6), (3, 3)), ((5, 7), (11, 13)))


def pixels(seed: int, count: int, shift: int = 24) -> np.ndarray:
    """Returns pixels of the generator that the file describes."""
    # All steps at once: x_n = a^n x_0 + c (1 + a + ... + a^(n-1)), modulo 2^32.
    powers = np.full(count, 1664525, np.uint32)
    powers = np.multiply.accumulate(powers, dtype=np.uint32)
    sums = np.add.accumulate(np.r_[np.uint32(1), powers[:-1]], dtype=np.uint32)
    values = powers * np.uint32(seed) + sums * np.uint32(1013904223) >> shift
    return values.astype(np.uint8 if shift == 24 else np.uint16)


def levels(case: dict) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lung and infection levels that a mask's shapes describe."""
    lung, infection = np.zeros((2, case["grid"], case["grid"]), np.uint8)
    for top, left, bottom, right, of_lung, of_infection in case["shapes"]:
        lung[top:bottom, left:right] = of_lung
        infection[top:bottom, left:right] = of_infection
    return lung, infection


def answer(values: np.ndarray) -> dict:
    """Returns what the file keeps of a result."""
    data = np.ascontiguousarray(values, np.uint8).tobytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "first": list(data[:12])}


def resize_answer(case: dict) -> dict:
    """Returns Python's answer to a resize case."""
    rows, columns = case["from"]
    image = pixels(case["seed"], rows * columns).reshape(rows, columns)
    return answer(PreprocessingSpec(*case["to"]).resize(image))


def grey_answer(case: dict) -> dict:
    """Returns Python's answer to a case of colour or depth."""
    channels, shift = case["channels"], 24 if case["bits"] == 8 else 16
    values = pixels(case["seed"], case["pixels"] * channels, shift)
    image = values.reshape(1, -1, channels)[..., ::-1]
    return answer(to_grey(image))


def mask_answer(case: dict) -> dict:
    """Returns Python's answer to a case of levels."""
    prediction = Prediction(tuple(case["image"]), *levels(case))
    found = prediction.involvement
    by_readers = dataclasses.replace(prediction, readers=READERS)
    return {
        "lung": answer(prediction.lung_mask),
        "infection": answer(prediction.infection_mask),
        "involvement": [found.total, found.right, found.left],
        "extent": [
            prediction.extent,
            prediction.extent_right,
            prediction.extent_left,
        ],
        "readers_extent": [
            by_readers.extent,
            by_readers.extent_right,
            by_readers.extent_left,
        ],
        "zones": prediction.zones and prediction.zones.percents,
        "flags": list(prediction.flags),
    }


def cases() -> dict[str, list]:
    """Returns the questions, without answers."""
    resizes = [(size, (256, 256)) for size in _SIZES] + list(_ODD)
    return {
        "resize": [
            {"seed": seed, "from": list(size), "to": list(to)}
            for seed, (size, to) in enumerate(resizes, start=1)
        ],
        "grey": [
            {"seed": 1, "pixels": 20000, "channels": 3, "bits": 8},
            {"seed": 2, "pixels": 3000, "channels": 1, "bits": 16},
            {"seed": 3, "pixels": 3000, "channels": 3, "bits": 16},
        ],
        "mask": [
            {"image": list(image), "grid": 256, "shapes": shapes}
            for image in ((256, 256), (400, 300), (128, 128), (90, 777))
            for shapes in _shapes()
        ],
    }


def _shapes():
    right, left = [60, 30, 200, 110, 255, 0], [62, 150, 190, 230, 200, 0]
    spot, faint = [120, 40, 160, 90, 255, 254], [70, 160, 100, 200, 255, 128]
    speck, outside = [180, 160, 185, 165, 255, 255], [10, 120, 40, 140, 0, 255]
    bridge = [100, 109, 110, 151, 255, 255]
    corner = [200, 110, 215, 140, 255, 0]  # touches the right lung by a corner
    third = [215, 200, 235, 230, 255, 0]
    return [
        [right, left, spot, faint, speck, outside],
        [right, left, bridge, spot],
        [right, left, corner, third, spot, [180, 160, 190, 180, 255, 129]],
        [right],
        [],
        [[0, 0, 250, 250, 255, 255]],
        [[10, 10, 30, 30, 255, 255], [40, 40, 41, 41, 255, 0]],
        [right, [60, 32, 198, 108, 129, 200], left],
        [[20, 30, 120, 110, 255, 0], [130, 150, 250, 230, 255, 0], spot],
        [[150, 10, 256, 100, 255, 0], [160, 140, 256, 240, 255, 200]],
    ]


def main() -> None:
    """Writes the file."""
    document = {"about": _ABOUT}
    answers = {"resize": resize_answer, "grey": grey_answer, "mask": mask_answer}
    for name, questions in cases().items():
        document[name] = [q | {"answer": answers[name](q)} for q in questions]
    lines = [
        f'"about": {json.dumps(document.pop("about"))}',
        f'"readers": {json.dumps(READERS.to_dict())}',
    ]
    for name, rows in document.items():
        body = ",\n".join(json.dumps(row) for row in rows)
        lines.append(f'"{name}": [\n{body}\n]')
    FILE.write_text("{" + ",\n".join(lines) + "}\n", "utf-8")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
