"""Reader of COVID-QU-Ex in the layout of its own download."""

import pathlib

from covseg_tf.data.faults import first_fault
from covseg_tf.data.sample import Sample

_FOLDER = "Infection Segmentation Data"
_FINDINGS = ("COVID-19", "Non-COVID", "Normal")


def read_covid_qu_ex(root: str | pathlib.Path, split: str) -> list[Sample]:
    """Lists one split of COVID-QU-Ex, infection segmentation part.

    Source: Tahir et al. 2021, doi:10.1016/j.compbiomed.2021.105002.

    Args:
        root: The download's folder, or its `Infection Segmentation Data`.
        split: Name of the split's folder: `"Train"`, `"Val"` or `"Test"`.

    Returns:
        Samples sorted by finding and name. Images of the findings
        `"Non-COVID"` and `"Normal"` have an empty infection mask.

    Raises:
        ValueError: If the folder does not have this layout, or an image has no
            mask.
    """
    folder = _base(root) / split
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: no such folder. Expected the layout of the COVID-QU-Ex "
            f"download: ROOT/{_FOLDER}/{split}/COVID-19/images/*.png with 'lung "
            "masks' and 'infection masks' beside 'images'."
        )
    samples, faults = find_covid_qu_ex(root, split)
    first_fault(faults)
    return samples


def find_covid_qu_ex(
    root: str | pathlib.Path, split: str
) -> tuple[list[Sample], list[str]]:
    """Lists one split, and what is wrong with it, as `read_covid_qu_ex`."""
    folder = _base(root) / split
    samples, faults = [], []
    for finding in _FINDINGS:
        for image in sorted((folder / finding / "images").glob("*.png")):
            lung, infection = (
                folder / finding / kind / image.name
                for kind in ("lung masks", "infection masks")
            )
            missing = [mask for mask in (lung, infection) if not mask.is_file()]
            faults += [f"{mask}: missing, the mask of {image}." for mask in missing]
            if not missing:
                name = f"{split}/{finding}/{image.stem}"
                samples.append(
                    Sample(name, image, lung, infection, finding, source="COVID-QU-Ex")
                )
    if not samples and not faults:
        faults.append(
            f"{folder}: no image in {', '.join(f'{f}/images' for f in _FINDINGS)}."
        )
    return samples, faults


def covid_qu_ex_splits(root: str | pathlib.Path) -> list[str]:
    """Lists the splits' folders; none if `root` is no COVID-QU-Ex."""
    order = ("Train", "Val", "Test")
    found = {
        path.parents[1].name
        for finding in _FINDINGS
        for path in _base(root).glob(f"*/{finding}/images")
    }
    return sorted(found, key=lambda s: (s not in order, (*order, s).index(s), s))


def _base(root):
    root = pathlib.Path(root)
    while (root / _FOLDER).is_dir():  # the archive has it twice
        root = root / _FOLDER
    return root
