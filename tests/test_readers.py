"""Readers on files made by hand, with results worked out by hand."""

import csv
import gzip
import shutil
import sys

import cv2
import nibabel
import numpy as np
import pydicom
import pytest

from covseg_tf.data import (
    list_splits,
    load_sample,
    make_dataset,
    read_covid_qu_ex,
    read_ct_volumes,
    read_manifest,
    read_parts,
    read_samples,
    split_samples,
    window_hounsfield,
)
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.imaging import read_film

RAS = np.diag([0.8, 0.7, 5.0, 1.0])


def save_volume(path, values, affine=RAS):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def ct_seg(root, name="coronacases_001", affine=RAS, transform=lambda v: v, infect=1):
    """A CT of 4 x 3 x 3 voxels: lung in slices 0 and 1, infection in slice 1."""
    image = np.full((4, 3, 3), -850, np.int16)
    image[3, 2, 0] = 150  # far right, front, feet
    image[0, 2, 0] = -2000  # far left, front, feet
    lung = np.zeros((4, 3, 3), np.uint8)
    lung[:2, :, :2], lung[2:, :, :2] = 1, 2
    infection = np.zeros((4, 3, 3), np.uint8)
    infection[3, 0, 1] = infect  # far right, back
    for folder, values in (
        ("COVID-19-CT-Seg_20cases", image),
        ("Lung_Mask", lung),
        ("Infection_Mask", infection),
    ):
        save_volume(root / folder / f"{name}.nii.gz", transform(values), affine)
    return root


def planes(sample, rows=3, columns=4):
    return load_sample(sample, PreprocessingSpec(rows, columns))


def test_window_by_hand():
    grey = window_hounsfield(np.array([[-2000, -1350, -850, -50, 150, 3000]]))
    assert grey.tolist() == [[0, 0, 85, 221, 255, 255]]
    assert window_hounsfield([0, 50, 100], level=50, width=100).tolist()[::2] == [
        0,
        255,
    ]
    with pytest.raises(ValueError, match="above 0 HU. Received: 0"):
        window_hounsfield([0], width=0)
    with pytest.raises(ValueError, match="NaN or infinity"):
        window_hounsfield([np.nan])


def test_ct_slices_lie_as_they_are_looked_at(tmp_path):
    samples = read_ct_volumes(ct_seg(tmp_path))
    assert [s.name for s in samples] == ["coronacases_001/000", "coronacases_001/001"]
    assert [s.slice_index for s in samples] == [0, 1]
    assert [s.finding for s in samples] == ["No lesion", "COVID-19"]
    assert {s.patient for s in samples} == {"coronacases_001"}
    assert samples[0].spacing == pytest.approx((0.7, 0.8))
    image, lung, infection = planes(samples[0])
    # Front on top, the patient's right on the left.
    assert image.tolist() == [[255, 85, 85, 0], [85] * 4, [85] * 4]
    assert lung.all()
    assert not infection.any()
    assert planes(samples[1])[2].tolist() == [[0] * 4, [0] * 4, [1, 0, 0, 0]]


@pytest.mark.parametrize(
    ("affine", "transform"),
    [
        # Stored from right to left and front to back, as DICOM is.
        (np.diag([-0.8, -0.7, 5.0, 1.0]), lambda v: v[::-1, ::-1]),
        # Stored from head to feet.
        (np.diag([0.8, 0.7, -5.0, 1.0]), lambda v: v[:, :, ::-1]),
        # Sagittal slices: the axes are y, z, x.
        (
            np.array([[0, 0, 0.8, 0], [0.7, 0, 0, 0], [0, 5.0, 0, 0], [0, 0, 0, 1]]),
            lambda v: v.transpose(1, 2, 0),
        ),
    ],
)
def test_ct_headers_are_obeyed(tmp_path, affine, transform):
    plain = read_ct_volumes(ct_seg(tmp_path / "plain"))
    other = read_ct_volumes(ct_seg(tmp_path / "other", "b", affine, transform))
    assert len(plain) == len(other) == 2
    for one, two in zip(plain, other, strict=True):
        assert one.spacing == pytest.approx(two.spacing)
        for a, b in zip(planes(one), planes(two), strict=True):
            np.testing.assert_array_equal(a, b)


def test_ct_slices_that_are_kept(tmp_path):
    root = ct_seg(tmp_path)
    count = {keep: len(read_ct_volumes(root, keep)) for keep in ("all", "infection")}
    assert count == {"all": 3, "infection": 1}
    image = planes(read_ct_volumes(root, level=-850, width=100)[0])[0]
    assert image[0].tolist()[::3] == [255, 0]
    assert image[1, 0] in (127, 128)
    with pytest.raises(ValueError, match="`keep` must be one of"):
        read_ct_volumes(root, "healthy")
    with pytest.raises(ValueError, match="`width` must be above 0"):
        read_ct_volumes(root, width=-1)


def test_ct_lung_and_infection_in_one_file(tmp_path):
    both = np.ones((4, 3, 2), np.uint8)
    both[0, 0, 1] = 3
    image = np.full((4, 3, 2), -900, np.int16)
    save_volume(tmp_path / "COVID-19-CT-Seg_20cases" / "a.nii", image)
    save_volume(tmp_path / "Lung_and_Infection_Mask" / "a.nii", both)
    _, lung, infection = planes(read_samples(tmp_path)[1])
    assert lung.all()
    assert infection.sum() == 1
    assert infection[2, 3] == 1  # back, left


def test_kaggle_names_and_cases_of_one_patient(tmp_path):
    zero, air = np.zeros((2, 2, 1), np.uint8), np.full((2, 2, 1), -900, np.int16)
    pairs = {
        "coronacases_org_001": "coronacases_001",
        "radiopaedia_org_covid-19-pneumonia-29_86490_1-dcm": "radiopaedia_29_86490_1",
        "radiopaedia_org_covid-19-pneumonia-29_86491_1-dcm": "radiopaedia_29_86491_1",
    }
    for image, mask in pairs.items():
        save_volume(tmp_path / "ct_scans" / f"{image}.nii", air)
        save_volume(tmp_path / "lung_mask" / f"{mask}.nii", zero + 1)
        save_volume(tmp_path / "infection_mask" / f"{mask}.nii", zero)
    samples = read_samples(tmp_path)
    assert [s.patient for s in samples] == [
        "coronacases_001",
        "radiopaedia_29",
        "radiopaedia_29",
    ]


def test_medseg_effusion_is_no_infection(tmp_path):
    image = np.full((4, 1, 2), -900, np.int16)
    labels = np.zeros((4, 1, 2), np.uint8)
    labels[:, 0, 0] = [0, 1, 2, 3]
    for folder, values in (
        ("rp_im", image),
        ("rp_lung_msk", labels * 0 + 1),
        ("rp_msk", labels),
    ):
        save_volume(tmp_path / folder / "1.nii.gz", values)
    for name, values in (
        ("tr_im", image),
        ("tr_lungmasks_updated", labels * 0 + 1),
        ("tr_mask", labels),
    ):
        save_volume(tmp_path / f"{name}.nii.gz", values)
    samples = read_samples(tmp_path)
    assert [s.name for s in samples] == [
        *("rp_im_1/000", "rp_im_1/001", "tr_im/000", "tr_im/001")
    ]
    assert {s.patient for s in samples} == {"rp_im_1", "tr_im"}
    # Columns run from the patient's right, the last voxels of the file.
    assert planes(samples[0], 1)[2].tolist() == [[0, 1, 1, 0]]
    assert planes(samples[2], 1)[2].tolist() == [[0, 1, 1, 0]]


def test_grey_volumes_are_not_windowed(tmp_path):
    root = ct_seg(tmp_path)
    path = root / "COVID-19-CT-Seg_20cases" / "coronacases_001.nii.gz"
    grey = np.zeros((4, 3, 3), np.float64)
    grey[3, 2, 0], grey[0, 2, 0] = 255, 17
    save_volume(path, grey)
    assert planes(read_ct_volumes(root)[0])[0][0].tolist() == [255, 0, 0, 17]
    save_volume(path, grey.astype(np.int16) * 16)
    refusal = "holds 0 to 4080, .* Expected a CT in HU"
    with pytest.raises(ValueError, match=refusal) as e:
        planes(read_ct_volumes(root)[0])
    assert str(path) in str(e.value)


def test_volume_errors_name_the_file(tmp_path):
    root = ct_seg(tmp_path)
    mask = root / "Infection_Mask" / "coronacases_001.nii.gz"
    good = mask.read_bytes()
    cases = {
        "cannot be read as NIfTI": b"nothing",
        "the mask is 4x3x2 voxels but its image is 4x3x3": np.zeros((4, 3, 2), "u1"),
        r"the labels 0 to 3 only; found \[7\]": np.full((4, 3, 3), 7, np.uint8),
        r"expected a volume \(x, y, z\). Received shape: \(4, 3\)": np.zeros((4, 3)),
    }
    for text, content in cases.items():
        if isinstance(content, bytes):
            mask.write_bytes(content)
        else:
            save_volume(mask, content)
        with pytest.raises(ValueError, match=text) as caught:
            read_ct_volumes(root)
        assert str(caught.value).startswith(f"{mask}: ")
    data = gzip.decompress(good)
    mask.write_bytes(gzip.compress(data[:-20]))
    with pytest.raises(ValueError, match="the NIfTI file is cut short"):
        read_ct_volumes(root)
    mask.unlink()
    with pytest.raises(ValueError, match="missing, the infection mask of"):
        read_ct_volumes(root)
    mask.write_bytes(good)
    assert len(read_ct_volumes(root)) == 2  # the cache follows the files
    with pytest.raises(ValueError, match="no CT volumes"):
        read_ct_volumes(tmp_path / "Lung_Mask")


def test_a_volume_needs_a_slice(tmp_path):
    import dataclasses

    sample = read_ct_volumes(ct_seg(tmp_path))[0]
    for index in (None, 3):
        with pytest.raises(ValueError, match="slices 0 to 2; give `slice_index`"):
            planes(dataclasses.replace(sample, slice_index=index))


def test_slices_of_a_patient_stay_on_one_side(tmp_path):
    for number in range(6):
        ct_seg(tmp_path, f"coronacases_{number:03d}")
    rest, held = split_samples(read_samples(tmp_path), 0.34, seed=1)
    assert (len(rest), len(held)) == (8, 4)
    assert not {s.patient for s in rest} & {s.patient for s in held}


def test_ct_slices_as_a_dataset(tmp_path):
    root = ct_seg(ct_seg(tmp_path), "coronacases_002")
    samples = read_samples(root)
    ((images, masks),) = make_dataset(samples, PreprocessingSpec(3, 4), batch_size=4)
    assert images.shape == (4, 3, 4, 1)
    np.testing.assert_allclose(images[2, 0, :, 0], [1, 1 / 3, 1 / 3, 0], atol=1e-6)
    assert masks["infection"].numpy().sum(axis=(1, 2, 3)).tolist() == [0, 1, 0, 1]


def save_dicom(path, pixels, **fields):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = "DX"
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.Rows, dataset.Columns = pixels.shape
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated = bits
    dataset.BitsStored, dataset.HighBit = (12, 11) if bits == 16 else (8, 7)
    dataset.PixelData = pixels.tobytes()
    for name, value in fields.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


DEEP = np.array([[0, 1000, 2000, 3000]], np.uint16)
WINDOW = {
    "RescaleSlope": 2,
    "RescaleIntercept": -100,
    "WindowCenter": [2000, 1],
    "WindowWidth": [2001, 1],
}


@pytest.mark.parametrize(
    ("pixels", "fields", "expected"),
    [
        # 1900: ((1900 - 1999.5) / 2000 + 0.5) * 255 = 114.8
        (DEEP, WINDOW, [0, 115, 255, 255]),
        (
            *(DEEP, WINDOW | {"PhotometricInterpretation": "MONOCHROME1"}),
            [255, 140, 0, 0],
        ),
        # 1900: (1900 - 2000) / 2001 + 0.5 = 0.45002
        (DEEP, WINDOW | {"VOILUTFunction": "LINEAR_EXACT"}, [0, 115, 255, 255]),
        # 1900: 255 / (1 + exp(4 * 100 / 2001)) = 114.8
        (DEEP, WINDOW | {"VOILUTFunction": "SIGMOID"}, [4, 115, 249, 255]),
        (DEEP, {}, [0, 85, 170, 255]),
        (DEEP, {"PhotometricInterpretation": "MONOCHROME1"}, [255, 170, 85, 0]),
        (
            np.array([[3, 70, 9, 200]], np.uint8),
            {"RescaleSlope": 1, "RescaleIntercept": 0},
            [3, 70, 9, 200],
        ),
    ],
)
def test_dicom_grey_levels_by_hand(tmp_path, pixels, fields, expected):
    path = save_dicom(tmp_path / "a.dcm", pixels, **fields)
    assert read_film(path).pixels.tolist() == [expected]


def test_dicom_table_of_interest(tmp_path):
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 8], [10, 20, 200, 250]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    path = save_dicom(
        tmp_path / "a.dcm",
        np.array([[0, 1, 2, 7]], np.uint8),
        VOILUTSequence=[table],
        RescaleSlope=1,
        RescaleIntercept=0,
    )
    assert read_film(path).pixels.tolist() == [[10, 20, 200, 250]]


GOOD = {"WindowCenter": 1000.5, "WindowWidth": 2001}
SHOWN = [0, 128, 255, 255]  # 1000 / 2000 * 255 = 127.5


@pytest.mark.parametrize(
    ("fields", "expected", "notes"),
    [
        (
            {"WindowCenter": [0, 1000.5], "WindowWidth": [0, 2001]},
            *(SHOWN, ("window_unusable",)),
        ),
        (
            {"WindowCenter": 1000, "WindowWidth": -5},
            *([0, 85, 170, 255], ("window_unusable", "stretched")),
        ),
        ({"WindowCenter": None, "WindowWidth": 9}, [0, 85, 170, 255], ("stretched",)),
        (GOOD | {"VOILUTFunction": ""}, SHOWN, ()),
        (GOOD | {"VOILUTFunction": "SMOOTH"}, SHOWN, ()),
        (GOOD | {"VOILUTSequence": "empty"}, SHOWN, ("window_unusable",)),
        (GOOD | {"VOILUTSequence": "short"}, SHOWN, ("window_unusable",)),
        (
            GOOD | {"RescaleSlope": 0, "RescaleIntercept": 0},
            *(SHOWN, ("rescale_unusable",)),
        ),
        (
            GOOD | {"RescaleSlope": None, "RescaleIntercept": None},
            *(SHOWN, ("rescale_unusable",)),
        ),
        # 1000 + 500 = 1500: 1500 / 2000 * 255 = 191.25
        (
            GOOD | {"RescaleSlope": "", "RescaleIntercept": 500},
            *([64, 191, 255, 255], ("rescale_unusable",)),
        ),
        (GOOD | {"ModalityLUTSequence": "empty"}, SHOWN, ("rescale_unusable",)),
    ],
)
def test_what_means_nothing_gives_way_to_the_next_rule(
    tmp_path, fields, expected, notes
):
    from pydicom.dataset import Dataset

    fields = dict(fields)
    for name in ("VOILUTSequence", "ModalityLUTSequence"):
        if name in fields:
            table = Dataset()
            if fields[name] == "short":  # 4096 entries stated, 4 held
                table.LUTDescriptor, table.LUTData = [4096, 0, 12], [0, 1, 2, 3]
                table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
            fields[name] = [table]
    path = save_dicom(tmp_path / "a.dcm", DEEP)
    dataset = pydicom.dcmread(path)
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    film = read_film(path)
    assert film.pixels.tolist() == [expected]
    assert film.notes == notes


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"PixelPaddingValue": 3000}, [0, 128, 255, 0]),  # 1000 of 2000: 127.5
        ({"PixelPaddingValue": 0}, [0, 0, 128, 255]),
        ({"PixelPaddingValue": 2000, "PixelPaddingRangeLimit": 4095}, [0, 255, 0, 0]),
        (
            {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"},
            [0, 255, 127, 0],
        ),
    ],
)
def test_padding_is_black_and_takes_no_part_in_the_range(tmp_path, fields, expected):
    film = read_film(save_dicom(tmp_path / "a.dcm", DEEP, **fields))
    assert film.pixels.tolist() == [expected]
    assert film.notes == ("stretched", "padding_left_out")


def item_of(descriptor, entries, kind="US"):
    """An item of a table; "OB" holds bytes, "OW" words, "US" numbers."""
    item = pydicom.Dataset()
    item.add_new(0x00283002, "SS" if min(descriptor) < 0 else "US", descriptor)
    if kind != "US":
        entries = np.array(entries, {"OB": np.uint8, "OW": np.uint16}[kind]).tobytes()
    item.add_new(0x00283006, kind, entries)
    return item


STEPS = [0, 819, 2457, 4095]  # of 4095: 0, 51, 153, 255


@pytest.mark.parametrize(
    ("stored", "descriptor", "entries", "kind"),
    [
        ([0, 1, 2, 3], [4, 0, 12], STEPS, "OW"),
        ([0, 1, 2, 3], [4, 0, 10], STEPS, "US"),
        ([0, 1, 2, 3], [4, 0, 99], STEPS, "OW"),
        ([0, 1, 2, 3], [4, 0, 8], [0, 51, 153, 255], "OB"),
        ([0, 1, 2, 3], [4, 0, 8], [0, 51, 153, 255], "OW"),
        ([0, 1, 2, 3], [0, 0, 12], STEPS + [4095] * (2**16 - 4), "OW"),
        ([-2, -1, 0, 1], [4, -2, 12], STEPS, "OW"),
        ([-2, -1, 0, 1], [4, 65534, 12], STEPS, "OW"),  # its sign is lost
        ([40000, 40001, 40002, 40003], [4, 40000, 12], STEPS, "OW"),
    ],
)
@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables_by_hand(tmp_path, name, stored, descriptor, entries, kind):
    signed = int(min(stored) < 0)
    pixels = np.array([stored], np.int16 if signed else np.uint16)
    fields = {name: [item_of(descriptor, entries, kind)]}
    fields |= {"BitsStored": 16, "HighBit": 15}
    if name == "ModalityLUTSequence" and max(entries) > 255:
        fields |= {"WindowCenter": 2048, "WindowWidth": 4096}
    path = save_dicom(tmp_path / "a.dcm", pixels, PixelRepresentation=signed, **fields)
    assert read_film(path).pixels.tolist() == [[0, 51, 153, 255]]


def test_a_table_that_states_more_bits_than_it_holds(tmp_path):
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 16], [0, 819, 2457, 4095]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    steps = np.array([[0, 1, 2, 3]], np.uint16)
    film = read_film(save_dicom(tmp_path / "a.dcm", steps, VOILUTSequence=[table]))
    assert film.pixels.tolist() == [[0, 51, 153, 255]]  # 819 / 4095 * 255 = 51


def test_a_mirrored_film_and_its_masks_are_learnt_as_they_are_filed(tmp_path):
    root = manifest_folder(tmp_path, ROWS[:1])
    (root / "images" / "a.png").unlink()
    right = np.tile(np.arange(0, 240, 30, dtype=np.uint8), (8, 1))
    save_dicom(root / "images" / "a.dcm", right, PatientOrientation=["R", "F"])
    mask = np.where(right > 90, 255, 0).astype(np.uint8)
    save_png(root / "lung_masks" / "a.png", mask)
    (sample,) = read_samples(root)
    assert read_film(sample.image).pixels.tolist() == right[:, ::-1].tolist()
    image, lung, _ = planes(sample, 8, 8)
    np.testing.assert_array_equal(image, right)
    np.testing.assert_array_equal(lung, right > 90)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"Modality": "MR"}, "is of modality MR. Expected a radiograph"),
        ({"NumberOfFrames": 2}, "holds 2 images. Expected one"),
        ({"PixelData": None}, "holds no pixels"),
        ({"PixelData": b"\0\0"}, "The number of bytes of pixel data is less"),
    ],
)
def test_dicom_errors(tmp_path, fields, text):
    path = save_dicom(tmp_path / "a.dcm", DEEP, **fields)
    with pytest.raises(ValueError, match=text) as caught:
        read_film(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_files_that_are_no_dicom(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        read_film(tmp_path / "a.dcm")
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a PNG, JPEG, TIFF, BMP, WebP, DICOM"):
        read_film(tmp_path / "a.dcm")


def test_missing_packages_are_named(tmp_path, monkeypatch):
    root = ct_seg(tmp_path)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(
        ValueError, match=r"nibabel: pip install 'covseg-tf\[medical\]'"
    ):
        read_ct_volumes(root)
    with pytest.raises(
        ValueError, match=r"pydicom: pip install 'covseg-tf\[medical\]'"
    ):
        read_film(save_dicom(tmp_path / "a.dcm", DEEP))


def save_png(path, plane):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", plane)[1].tobytes())


def manifest_folder(root, rows):
    root.mkdir(exist_ok=True)
    with (root / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for index, row in enumerate(rows):
        save_png(root / "images" / f"{row['name']}.png", np.full((8, 8), index, "u1"))
        for kind in ("lung_masks", "infection_masks"):
            save_png(root / kind / f"{row['name']}.png", np.full((8, 8), 255, "u1"))
    return root


ROWS = [
    {"name": "a", "split": "train", "patient": "1", "finding": "COVID-19"},
    {"name": "b", "split": "test", "patient": "2", "finding": ""},
    {"name": "c", "split": "train", "patient": "", "finding": "Normal"},
]


def test_manifest(tmp_path):
    root = manifest_folder(tmp_path, ROWS)
    samples = read_manifest(root)
    assert [s.name for s in samples] == ["a", "b", "c"]
    assert [s.patient for s in samples] == ["1", "2", None]
    assert [s.finding for s in samples] == ["COVID-19", "unknown", "Normal"]
    assert list_splits(root) == ["train", "test"]
    assert read_samples(root, "train") == [samples[0], samples[2]]
    assert read_samples(root) == samples
    with pytest.raises(ValueError, match="no image of the split 'val'. It has: train"):
        read_samples(root, "val")


def test_manifest_with_dicom_images(tmp_path):
    root = manifest_folder(tmp_path, ROWS[:1])
    (root / "images" / "a.png").unlink()
    save_dicom(
        root / "images" / "a.dcm",
        np.full((8, 8), 9, np.uint8),
        ImagerPixelSpacing=[0.2, 0.1],
    )
    (sample,) = read_samples(root)
    assert sample.spacing == (0.2, 0.1)
    image, lung, infection = planes(sample, 8, 8)
    assert (image == 9).all()
    assert lung.all()
    assert infection.all()


def test_masks_may_lack_as_a_whole_but_not_one_by_one(tmp_path):
    root = manifest_folder(tmp_path, ROWS)
    (root / "infection_masks" / "b.png").unlink()
    with pytest.raises(ValueError, match="infection_masks/b.png: missing; the mani"):
        read_samples(root)
    shutil.rmtree(root / "infection_masks")
    samples = read_samples(root)
    assert {sample.infection_mask for sample in samples} == {None}
    assert all(sample.lung_mask.is_file() for sample in samples)
    assert planes(samples[0], 8, 8)[2].sum() == 0


def test_extents_out_of_range_are_named(tmp_path):
    path = tmp_path / "manifest.csv"
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((8, 8), np.uint8))
    path.write_text("name,geo_right_1,geo_left_1\na,2,\n")
    assert read_samples(tmp_path)[0].extents == (2.0, None)
    for text in ("7", "two", "-1"):
        path.write_text(f"name,geo_right_1\na,{text}\n")
        with pytest.raises(ValueError, match=f"0 to 4. Received for 'a': {text}"):
            read_samples(tmp_path)


def test_manifest_errors(tmp_path):
    with pytest.raises(ValueError, match="Expected a CSV file with a column name"):
        read_manifest(tmp_path)
    path = tmp_path / "manifest.csv"
    for text, content in {
        "has no column 'name'": b"image\na\n",
        "names no image": b"name\n",
        "row 1 has no name": b"name,split\n,train\n",
        "cannot be read as CSV": b"name\n\xff\xfe\n",
        r"images/a.png: missing; the manifest names 'a'.": b"name\na\n",
        r"'\.\./\.\./a' leads out of the folder": b"name\n../../a\n",
        r"'/etc/a' leads out of the folder": b"name\n/etc/a\n",
    }.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=text):
            read_manifest(tmp_path)
    twice = manifest_folder(tmp_path / "twice", [ROWS[0], ROWS[0]])
    with pytest.raises(ValueError, match=r"manifest.csv: names 'a' twice\.$"):
        read_manifest(twice)


def test_read_samples_tells_layouts_apart(phantom_data, tmp_path):
    assert list_splits(phantom_data) == ["Train", "Val"]
    assert read_samples(phantom_data, "Val") == read_covid_qu_ex(phantom_data, "Val")
    assert len(read_samples(phantom_data)) == 24
    with pytest.raises(ValueError, match="no split 'Test'. It has: Train, Val"):
        read_samples(phantom_data, "Test")
    with pytest.raises(ValueError, match="no layout that is known. Known are: COVID"):
        read_samples(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        list_splits(tmp_path / "nothing")
    root = ct_seg(tmp_path)
    assert list_splits(root) == []
    with pytest.raises(ValueError, match="It has: none; use split_samples"):
        read_samples(root, "train")


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (np.array([[0, 128]], np.uint8), r"0 and 255 only; found values \[0, 128\]"),
        (np.array([[[0, 0, 255]] * 2], np.uint8), "the mask is coloured"),
        (np.zeros((2, 2), np.uint8), "mask is 2x2 pixels but its image is 2x1"),
        (b"nothing", "cannot be decoded"),
        (None, "missing, the lung mask of"),
    ],
)
def test_mask_errors(tmp_path, mask, text):
    root = manifest_folder(tmp_path, ROWS[:1])
    (sample,) = read_samples(root)
    save_png(sample.image, np.zeros((1, 2), np.uint8))
    if mask is None:
        sample.lung_mask.unlink()
    elif isinstance(mask, bytes):
        sample.lung_mask.write_bytes(mask)
    else:
        save_png(sample.lung_mask, mask)
    with pytest.raises(ValueError, match=text) as caught:
        planes(sample)
    assert str(caught.value).startswith(f"{sample.lung_mask}: ")


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_masks_of_16_bits(tmp_path, top):
    (sample,) = read_samples(manifest_folder(tmp_path, ROWS[:1]))
    save_png(sample.lung_mask, np.full((8, 8), top, np.uint16))
    assert planes(sample, 8, 8)[1].all()


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "splits", "count"),
    [
        ("covid_qu_ex", ["Train", "Val"], 2947),
        ("general_blockchain", [], 23),
        ("covid_19_ct_seg", ["train", "test", "validation"], 521),
    ],
)
def test_real_folders(covid_qu_ex, folder, splits, count):
    root = covid_qu_ex.parent / folder
    assert list_splits(root) == splits
    samples = read_samples(root)
    assert len(samples) == count
    image, lung, infection = planes(samples[0], 256, 256)
    assert image.any()
    assert lung.sum() > infection.sum() > 0


def parts_folder(root, rows):
    return manifest_folder(root, [dict(zip(FIELDS, row, strict=True)) for row in rows])


FIELDS = ("name", "split", "patient")


def test_read_parts_takes_a_data_set_at_its_word(phantom_data, tmp_path):
    rows = [(f"{p}{i}", s, p) for p, s in zip("abc", PARTS, strict=True) for i in "01"]
    parts = read_parts(parts_folder(tmp_path / "three", rows))
    for patient, part in zip("abc", PARTS, strict=True):
        assert [s.name for s in parts[part]] == [f"{patient}0", f"{patient}1"]
    # Train and Val alone: Val is scored, a tenth of Train chooses the epoch.
    parts = read_parts(phantom_data)
    assert [len(parts[part]) for part in PARTS] == [9, 3, 12]
    assert {s.name.split("/")[0] for s in parts["test"]} == {"Val"}
    # No split at all: by patient, a fifth to test.
    rows = [(f"{p}{i}", "", p) for p in "abcdefghij" for i in "01"]
    parts = read_parts(parts_folder(tmp_path / "none", rows), seed=3)
    assert [len(parts[part]) for part in PARTS] == [14, 2, 4]
    patients = [{s.patient for s in parts[part]} for part in PARTS]
    assert not set.intersection(*patients)
    assert sum(map(len, patients)) == 10


PARTS = ("train", "validation", "test")


def test_read_parts_refuses(tmp_path):
    rows = [("a", "train", "7"), ("b", "test", "7"), ("c", "validation", "8")]
    with pytest.raises(ValueError, match="patient '7' is in train and in test"):
        read_parts(parts_folder(tmp_path / "both", rows))
    with pytest.raises(ValueError, match="named train and test. It has: train"):
        read_parts(parts_folder(tmp_path / "one", [("a", "train", "1")]))
    with pytest.raises(ValueError, match="too few patients or images"):
        read_parts(parts_folder(tmp_path / "few", [("a", "", "1"), ("b", "", "1")]))


def test_a_mask_of_another_image_is_not_taken(tmp_path):
    root = parts_folder(tmp_path, [("P1", "", ""), ("P1.2", "", "")])
    assert len(read_manifest(root)) == 2
    (root / "lung_masks" / "P1.2.png").unlink()
    with pytest.raises(ValueError, match=r"P1\.2\.png: missing"):
        read_manifest(root)


def test_the_nested_folder_of_the_archive(phantom_data, tmp_path):
    folder = "Infection Segmentation Data"
    (tmp_path / folder).mkdir()
    (tmp_path / folder / folder).symlink_to(phantom_data / folder)
    assert len(read_covid_qu_ex(tmp_path, "Train")) == 12
    assert list_splits(tmp_path) == ["Train", "Val"]
