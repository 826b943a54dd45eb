"""Reader of the published CT volumes with lung and infection masks."""

import pathlib
import re
import typing

from covseg_tf.data.ct_slices import is_volume, read_ct_spacing, read_labels
from covseg_tf.data.faults import first_fault
from covseg_tf.data.sample import Sample
from covseg_tf.imaging.contrast import LUNG_LEVEL, LUNG_WIDTH

# Folders of volumes: image, lung, infection, labels that are infection, both in one.
_FOLDERS = (
    ("COVID-19-CT-Seg_20cases", "Lung_Mask", "Infection_Mask", None)
    + ("Lung_and_Infection_Mask",),
    ("ct_scans", "lung_mask", "infection_mask", None, "lung_and_infection_mask"),
    ("rp_im", "rp_lung_msk", "rp_msk", (1, 2), None),
)
_MEDSEG_SLICES = ("tr_im", "tr_lungmasks_updated", "tr_mask", (1, 2))
_KEEP = ("all", "lung", "infection")


class _Volume(typing.NamedTuple):
    name: str
    patient: str
    image: pathlib.Path
    lung: pathlib.Path
    infection: pathlib.Path
    infection_labels: tuple[int, ...] | None


def read_ct_volumes(
    root: str | pathlib.Path,
    keep: str = "lung",
    level: float = LUNG_LEVEL,
    width: float = LUNG_WIDTH,
) -> list[Sample]:
    """Lists the axial slices of CT volumes in NIfTI files.

    Layouts, several of which may lie in one folder, files ending in `.nii` or
    `.nii.gz`:

    - COVID-19-CT-Seg (Ma et al. 2021, doi:10.1002/mp.14676):
      `COVID-19-CT-Seg_20cases`, `Lung_Mask`, `Infection_Mask`; where one of
      the masks is absent, `Lung_and_Infection_Mask`, whose label 3 is
      infection. Or with the folder names of its copy on Kaggle (`ct_scans`,
      `lung_mask`, ...). The Radiopaedia half holds grey levels 0 to 255, not
      HU, and is taken as it is.
    - MedSeg (medicalsegmentation.com/covid19), volumes: `rp_im`,
      `rp_lung_msk`, `rp_msk`; single slices: `tr_im.nii.gz`,
      `tr_lungmasks_updated.nii.gz`, `tr_mask.nii.gz`. Labels 1 (ground glass)
      and 2 (consolidation) are infection; 3 (pleural effusion) is not.

    MedSeg's volumes and the Radiopaedia half of COVID-19-CT-Seg come from one
    source and may show the same patients: do not test on one and train on the
    other.

    Args:
        root: The folder.
        keep: `"lung"` (default): slices that show lung or infection;
            `"infection"`: those that show infection; `"all"`.
        level: Middle of the window in HU. Defaults to -600.
        width: Width of the window in HU. Defaults to 1500.

    Returns:
        One sample per slice, named `VOLUME/INDEX`, from the feet to the head;
        `patient` is the volume, or the Radiopaedia case of several volumes, or
        one name for all of MedSeg's single slices, which do not say whose they
        are; `finding` is `"COVID-19"` for a slice with infection, else
        `"No lesion"`; `spacing` is the header's. Reads every mask once.

    Raises:
        ValueError: If `keep` or `width` is out of range, no such folder is
            there, or a volume is missing, unreadable, of another size than its
            image, or holds other labels than 0 to 3.
    """
    if keep not in _KEEP:
        raise ValueError(f"`keep` must be one of {_KEEP}. Received: {keep!r}")
    if not width > 0:
        raise ValueError(f"`width` must be above 0 HU. Received: {width}")
    if not has_ct_volumes(root):
        raise ValueError(
            f"{root}: no CT volumes. Expected NIfTI files in "
            f"{', '.join(f[0] for f in _FOLDERS)}, or {_MEDSEG_SLICES[0]}.nii.gz."
        )
    samples, faults = find_ct_volumes(root, keep, level, width)
    first_fault(faults)
    return samples


def has_ct_volumes(root: str | pathlib.Path) -> bool:
    """Tells whether one of the known layouts lies in the folder."""
    root = pathlib.Path(root)
    folders = (root / layout[0] for layout in _FOLDERS)
    return any(f.is_dir() for f in folders) or _file(root, _MEDSEG_SLICES[0]).is_file()


def find_ct_volumes(
    root: str | pathlib.Path,
    keep: str = "lung",
    level: float = LUNG_LEVEL,
    width: float = LUNG_WIDTH,
) -> tuple[list[Sample], list[str]]:
    """Lists slices, and what is wrong with volumes, as `read_ct_volumes`."""
    samples, faults = [], []
    volumes = _volumes(pathlib.Path(root))
    for volume in volumes:
        try:
            samples += _slices(volume, keep, (float(level), float(width)))
        except ValueError as error:
            faults.append(str(error))
    if not volumes:
        faults.append(f"{root}: its folders hold no .nii or .nii.gz file.")
    return samples, faults


def _slices(volume, keep, window):
    for path, kind in ((volume.lung, "lung"), (volume.infection, "infection")):
        if not path.is_file():
            raise ValueError(f"{path}: missing, the {kind} mask of {volume.image}.")
    spacing = read_ct_spacing(volume.image)
    lung = read_labels(volume.lung, volume.image).any(axis=(1, 2))
    labels = volume.infection_labels
    infection = read_labels(volume.infection, volume.image, labels).any(axis=(1, 2))
    kept = {"all": lung | True, "lung": lung | infection, "infection": infection}
    return [
        Sample(
            f"{volume.name}/{index:03d}",
            volume.image,
            volume.lung,
            volume.infection,
            "COVID-19" if infection[index] else "No lesion",
            volume.patient,
            index,
            spacing,
            labels,
            window,
        )
        for index in kept[keep].nonzero()[0].tolist()
    ]


def _volumes(root):
    volumes = []
    for images, lungs, infections, labels, both in _FOLDERS:
        folder = root / images
        for image in sorted(p for p in folder.glob("*") if is_volume(p)):
            name = _plain_name(image)
            lung, infection = _file(root / lungs, name), _file(root / infections, name)
            kinds = labels
            if both and not infection.is_file() and _file(root / both, name).is_file():
                infection, kinds = _file(root / both, name), (3,)
            if both and not lung.is_file() and _file(root / both, name).is_file():
                lung = _file(root / both, name)
            name = f"{images}_{name}" if images == "rp_im" else name
            volumes.append(
                _Volume(name, _patient_of(name), image, lung, infection, kinds)
            )
    image, lung, infection, labels = _MEDSEG_SLICES
    files = [_file(root, name) for name in (image, lung, infection)]
    if files[0].is_file():
        volumes.append(_Volume(image, image, *files, labels))
    return volumes


def _file(folder, name):
    paths = [folder / f"{name}{suffix}" for suffix in (".nii.gz", ".nii")]
    return next((path for path in paths if path.is_file()), paths[0])


def _plain_name(path):
    """The name of a volume's masks, which images on Kaggle do not bear."""
    name = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    name = name.replace("_org_covid-19-pneumonia-", "_").replace("_org_", "_")
    return name.removesuffix("-dcm")


def _patient_of(name):
    # radiopaedia_29_86490_1 and radiopaedia_29_86491_1 are one patient's.
    case = re.match(r"(radiopaedia_\d+)_\d+_\d+$", name)
    return case[1] if case else name
