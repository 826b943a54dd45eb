"""The check of a data set, with faults planted in phantoms."""

import csv
import dataclasses
import shutil
import subprocess
import sys

import cv2
import nibabel
import numpy as np
import pytest

from covseg_tf import cli
from covseg_tf.data import (
    check_data,
    draw_contact_sheet,
    read_samples,
    write_phantom_data,
)
from covseg_tf.data.duplicates import find_near, take_fingerprint
from covseg_tf.edge import draw_phantom


@pytest.fixture
def data(phantom_data, tmp_path):
    """A copy to plant faults in; Val is drawn anew, at another size."""
    root = tmp_path / "data"
    shutil.copytree(phantom_data, root)
    shutil.rmtree(root / "Infection Segmentation Data" / "Val")
    write_phantom_data(tmp_path / "other", 2, 96, seed=500)
    inner = "Infection Segmentation Data"
    shutil.copytree(tmp_path / "other" / inner / "Val", root / inner / "Val")
    return root


def paths(root, split, index=0, finding="COVID-19"):
    folder = root / "Infection Segmentation Data" / split / finding
    kinds = ("images", "lung masks", "infection masks")
    return [folder / kind / f"phantom_{index}.png" for kind in kinds]


def save(path, plane):
    path.write_bytes(cv2.imencode(".png", plane)[1].tobytes())


def load(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_nothing_wrong(data):
    report = check_data(data)
    assert report.faults == report.notes == ()
    assert report.layout == "COVID-QU-Ex"
    assert report.images == 18
    names = [(g.split, g.finding, g.images, g.infected) for g in report.groups]
    assert names == [
        ("Train", "COVID-19", 4, 4),
        ("Train", "Non-COVID", 4, 0),
        ("Train", "Normal", 4, 0),
        ("Val", "COVID-19", 2, 2),
        ("Val", "Non-COVID", 2, 0),
        ("Val", "Normal", 2, 0),
    ]
    assert report.groups[0].sizes == {"128x128": 4}
    assert report.groups[3].sizes == {"96x96": 2}
    assert set(report.groups[0].outside_percent) == {0.0}


def test_coverage_by_hand(data):
    for index in range(2):
        _, lung, infection = paths(data, "Val", index)
        plane = np.zeros((96, 96), np.uint8)
        plane[:48] = 255  # half of the image
        save(lung, plane)
        plane[:] = 0
        plane[36:52, :48] = 255  # 12 rows of 16 in the lung: 576 of 4608 pixels
        save(infection, plane)
    group = check_data(data).groups[3]
    assert group.lung_percent == (50.0, 50.0)
    assert group.infection_percent == (12.5, 12.5)
    assert group.outside_percent == (25.0, 25.0)


def test_every_planted_fault_is_told(data):
    image, _, _ = paths(data, "Train", 0)
    image.write_bytes(b"nothing")
    _, missing, _ = paths(data, "Train", 1)
    missing.unlink()
    _, empty, _ = paths(data, "Train", 2)
    save(empty, np.zeros((128, 128), np.uint8))
    _, odd, small = paths(data, "Train", 3)
    save(odd, np.full((128, 128), 9, np.uint8))
    save(small, np.zeros((64, 64), np.uint8))
    faults = check_data(data).faults
    for path, text in (
        (image, "cannot be decoded"),
        (missing, "missing, the mask of"),
        (empty, "the lung mask is empty"),
        (odd, r"found values [9]"),
        (small, "the mask is 64x64 pixels but its image is 128x128"),
    ):
        (fault,) = [f for f in faults if f.startswith(f"{path}: ")]
        assert text in fault
    assert len(faults) == 5


def test_copies_across_splits(data):
    for source, target in zip(paths(data, "Train"), paths(data, "Val"), strict=True):
        shutil.copy(source, target)
    source, target = paths(data, "Train", 1)[0], paths(data, "Val", 1)[0]
    copy = cv2.resize(load(source), (96, 96), interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", copy, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    save(target, cv2.convertScaleAbs(cv2.imdecode(jpeg, 0), alpha=1.05, beta=5))
    report = check_data(data)
    one, two = "COVID-19/phantom_0", "COVID-19/phantom_1"
    assert report.exact_duplicates == ((f"Train/{one}", f"Val/{one}"),)
    assert report.near_duplicates == ((f"Train/{two}", f"Val/{two}"),)
    texts = ("the same pixels as", "looks like a copy of")
    for fault, path, text in zip(
        report.faults, (paths(data, "Val")[0], target), texts, strict=True
    ):
        assert fault.startswith(f"{path} (split Val): {text} ")
    shutil.copy(*(paths(data, "Train", i)[0] for i in (2, 3)))
    (note,) = check_data(data).notes
    assert note.startswith(f"{paths(data, 'Train', 3)[0]}: repeats another image")
    assert note.endswith("; 1 of all images do.")


def test_fingerprints():
    films = [draw_phantom(seed, 0.3, 128).image for seed in range(6)]
    prints = [take_fingerprint(film) for film in films]
    assert prints[0].bits.shape == (4,)
    assert find_near(prints[:3], prints[3:]) == []
    larger = cv2.resize(films[4], (300, 300), interpolation=cv2.INTER_CUBIC)
    assert find_near(prints, [take_fingerprint(larger)]) == [(4, 0)]
    assert find_near(prints, prints[:1]) == []  # equal pixels are told apart
    blank = [take_fingerprint(np.full((9, 9), v, np.uint8)) for v in (0, 7)]
    assert find_near(blank[:1], blank[1:]) == []


def test_patients_in_two_splits(data, tmp_path):
    folder = tmp_path / "manifest"
    rows = []
    for index, split in enumerate(["train", "train", "test"]):
        sources = paths(data, "Train", index)
        for kind, source in zip(
            ("images", "lung_masks", "infection_masks"), sources, strict=True
        ):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / kind / f"{index}.png")
        rows.append({"name": index, "split": split, "patient": "7" if index else "8"})
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    report = check_data(folder)
    assert (report.patients, report.shared_patients) == (2, ("7",))
    (fault,) = report.faults
    assert fault.startswith(f"{folder / 'images' / '2.png'}: the patient '7' is in")
    assert "Patients: 2, in several splits: 1" in report.to_text()


def test_volumes_are_checked(tmp_path):
    def put(folder, name, values):
        path = tmp_path / folder / f"{name}.nii"
        path.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
        return path

    hu = np.arange(8 * 8 * 3).reshape(8, 8, 3).astype(np.int16) * 5 - 1000
    mask = np.ones((8, 8, 3), np.uint8)
    mask_without = mask.copy()
    mask_without[:, :, 2] = 0
    for name, values, lung in (
        ("good", hu, mask),
        ("grey", np.abs(hu) // 8, mask),
        ("hollow", hu, mask_without),
        ("odd", hu - hu.min(), mask),
    ):
        put("COVID-19-CT-Seg_20cases", name, values)
        put("Lung_Mask", name, lung)
        put("Infection_Mask", name, mask)
    report = check_data(tmp_path)
    folder = tmp_path / "COVID-19-CT-Seg_20cases"
    assert report.layout == "CT volumes"
    assert report.images == 12
    assert report.faults == (
        f"{tmp_path / 'Lung_Mask' / 'hollow.nii'}, slice 2: the lung mask is empty.",
        f"{folder / 'odd.nii'}: holds 0 to 955, hardly any of it between -1400 and "
        "-300. Expected a CT in HU, which has air and lung there, or grey levels 0 to "
        "255; mend the slope and intercept of its header.",
    )
    grey = [note for note in report.notes if note.startswith(str(folder / "grey.nii"))]
    assert len(grey) == 1
    assert "not HU" in grey[0]


def test_limit_spreads(data):
    report = check_data(data, limit=2)
    assert report.images == 12
    assert [s.name[-1] for s in report.samples["Train"][:2]] == ["1", "3"]
    assert report.notes[0] == "at most 2 images per split and finding were checked."
    with pytest.raises(ValueError, match="`limit` must be at least 1. Received: 0"):
        check_data(data, limit=0)


def test_contact_sheet_draws_the_outlines(data):
    samples = read_samples(data, "Val")
    sheet = draw_contact_sheet({"Val": samples}, "a title", tiles=6, columns=3)
    assert sheet.shape == (54 + 34 + 2 * (192 + 38 + 10) + 24, 48 + 3 * 202 - 10, 3)
    cyan, amber = (230, 210, 0), (0, 160, 255)
    first = sheet[88 : 88 + 192, 24 : 24 + 192]
    last = sheet[328 : 328 + 192, 24 + 404 : 24 + 404 + 192]
    assert (first == amber).all(-1).sum() > 100
    assert (last == cyan).all(-1).sum() > 100
    assert not (last == amber).all(-1).any()  # a normal film


def test_contact_sheet_says_what_cannot_be_drawn(data):
    sample = read_samples(data, "Val")[0]
    sample.image.write_bytes(b"nothing")
    odd = dataclasses.replace(sample, name="\N{GREEK SMALL LETTER ALPHA}" * 99)
    sheet = draw_contact_sheet({"": [sample, odd], "none": []}, columns=2)
    assert (sheet == (30, 26, 48)).all(-1).sum() > 20000
    with pytest.raises(ValueError, match="at least one sample. Received: none"):
        draw_contact_sheet({"a": []})
    with pytest.raises(ValueError, match="Received: tiles=0, columns=8, side=192"):
        draw_contact_sheet({"a": [sample]}, tiles=0)


def test_command(data, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["data", "check", str(data), "--out", str(out)]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "18 images" in text
    assert "Faults: 0" in text
    sheet = load(out / "contact_sheet.png")
    assert sheet.shape[1] == 1654

    assert cli.main(words) == 2
    assert "covseg data check: " in (error := capsys.readouterr().err)
    assert "add --force" in error
    assert error.count("\n") == 1

    _, lung, _ = paths(data, "Train")
    save(lung, np.zeros((128, 128), np.uint8))
    assert cli.main([*words, "--force", "--limit", "4"]) == 1
    assert f"  {lung}: the lung mask is empty." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nothing"], "no such folder"),
        (["."], "no layout that is known"),
        ([".", "--limit", "0"], "--limit must be at least 1"),
        ([".", "--out", "file"], "is a file; give a folder"),
    ],
)
def test_command_refusals(tmp_path, monkeypatch, capsys, words, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert cli.main(["data", "check", *words]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_command_needs_no_tensorflow(data, tmp_path):
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; "
        "from covseg_tf.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["data", "check", str(data), "--out", str(tmp_path / "out")]
    result = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.data
@pytest.mark.parametrize("folder", ["general_blockchain", "covid_19_ct_seg"])
def test_real_folders_have_no_fault(covid_qu_ex, folder):
    report = check_data(covid_qu_ex.parent / folder, limit=20)
    assert report.faults == ()
    assert report.patients > 10
