"""One interface to every data set: which layout is it, and what is in it."""

import pathlib

from covseg_tf.data.covid_qu_ex import covid_qu_ex_splits, find_covid_qu_ex
from covseg_tf.data.ct_volumes import find_ct_volumes, has_ct_volumes
from covseg_tf.data.faults import first_fault
from covseg_tf.data.manifest import find_manifest, read_manifest
from covseg_tf.data.sample import Sample, split_samples

LAYOUTS = (
    "COVID-QU-Ex ('Infection Segmentation Data/Train/COVID-19/images', ...); "
    "manifest.csv with images/, lung_masks/ and infection_masks/; CT volumes as "
    "NIfTI in COVID-19-CT-Seg_20cases/, ct_scans/ or rp_im/, or tr_im.nii.gz"
)


def read_samples(root: str | pathlib.Path, split: str | None = None) -> list[Sample]:
    """Lists the samples of a data set in any layout that is known.

    The layouts are those of `read_covid_qu_ex`, `read_manifest` (X-rays may be
    DICOM there) and `read_ct_volumes` (slices that show lung or infection,
    lung window); they are told apart by their files.

    Args:
        root: The data set's folder.
        split: Which of `list_splits(root)`; `None` (default) for all.

    Returns:
        Samples for `load_sample`, `make_dataset` and `split_samples`, which
        keeps a patient's images on one side.

    Raises:
        ValueError: If the layout is not known, there is no such split, or a
            file is missing; the text names it.
    """
    root = pathlib.Path(root)
    if layout_of(root) == "manifest":
        return read_manifest(root, split)
    by_split, faults = find_samples(root)
    if split is not None and split not in by_split:
        raise ValueError(
            f"{root}: no split {split!r}. It has: "
            f"{', '.join(by_split) if any(by_split) else 'none; use split_samples'}."
        )
    first_fault(faults)
    kept = by_split if split is None else (split,)
    return [sample for name in kept for sample in by_split[name]]


def list_splits(root: str | pathlib.Path) -> list[str]:
    """Lists the splits that a data set comes with; none for CT volumes.

    Args:
        root: The data set's folder.

    Raises:
        ValueError: If the layout is not known.
    """
    layout = layout_of(root)
    if layout == "COVID-QU-Ex":
        return covid_qu_ex_splits(root)
    if layout == "manifest":
        return [split for split in find_manifest(root)[0] if split]
    return []


def read_parts(root: str | pathlib.Path, seed: int = 0) -> dict[str, list[Sample]]:
    """Lists what to train on, what to choose the epoch by, and what to score.

    A data set with splits of these names, in any case, is taken at its word: train;
    test or else val; and validation, where there is both a test and a validation
    split. A validation part that is not there is carved out of train, a tenth. A
    data set without splits is split at random, a fifth to test. A patient is always
    on one side.

    Args:
        root: As for `read_samples`.
        seed: Seed of what is split at random.

    Returns:
        Dict of `"train"`, `"validation"` and `"test"`.

    Raises:
        ValueError: As `read_samples`; if a part is empty or a patient is in two of
            them.
    """
    found = {split.lower(): split for split in list_splits(root)}
    test = found.get("test") or found.get("val") or found.get("validation")
    if found and ("train" not in found or test is None):
        raise ValueError(
            f"{root}: expected splits named train and test. It has: "
            f"{', '.join(found.values())}."
        )
    if found:
        parts = {"train": read_samples(root, found["train"])}
        parts["test"] = read_samples(root, test)
    else:
        parts = dict(
            zip(
                ("train", "test"),
                split_samples(read_samples(root), 0.2, seed),
                strict=True,
            )
        )
    validation = found.get("validation") or found.get("val")
    if validation not in (None, test):
        parts["validation"] = read_samples(root, validation)
    else:
        parts["train"], parts["validation"] = split_samples(parts["train"], 0.1, seed)
    _check_patients(root, parts)
    return parts


def _check_patients(root, parts):
    of: dict[str, str] = {}
    for part, samples in parts.items():
        if not samples:
            raise ValueError(f"{root}: too few patients or images for {part!r}.")
        for patient in {s.patient for s in samples if s.patient}:
            if of.setdefault(patient, part) != part:
                raise ValueError(
                    f"{root}: patient {patient!r} is in {of[patient]} and in {part}; "
                    "keep each patient in one split."
                )


def find_samples(
    root: str | pathlib.Path,
) -> tuple[dict[str, list[Sample]], list[str]]:
    """Lists samples by split (`""` for none) and what is wrong with the rest.

    Raises:
        ValueError: If the layout is not known or a manifest cannot be read.
    """
    layout = layout_of(root)
    if layout == "manifest":
        return find_manifest(root)
    if layout == "CT volumes":
        samples, faults = find_ct_volumes(root)
        return {"": samples}, faults
    by_split, faults = {}, []
    for split in covid_qu_ex_splits(root):
        by_split[split], more = find_covid_qu_ex(root, split)
        faults += more
    return by_split, faults


def layout_of(root: str | pathlib.Path) -> str:
    """Returns `"manifest"`, `"COVID-QU-Ex"` or `"CT volumes"`.

    Raises:
        ValueError: If it is none of them.
    """
    root = pathlib.Path(root)
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder.")
    if (root / "manifest.csv").is_file():
        return "manifest"
    if covid_qu_ex_splits(root):
        return "COVID-QU-Ex"
    if has_ct_volumes(root):
        return "CT volumes"
    raise ValueError(f"{root}: no layout that is known. Known are: {LAYOUTS}.")
