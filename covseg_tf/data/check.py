"""Checks a data set before anything is trained on it."""

import collections
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from covseg_tf.data.ct_slices import holds_hounsfield, is_volume
from covseg_tf.data.data_report import DataReport, GroupSummary
from covseg_tf.data.duplicates import Fingerprint, find_near, take_fingerprint
from covseg_tf.data.load_sample import load_image, load_mask
from covseg_tf.data.read_samples import find_samples, layout_of
from covseg_tf.data.sample import Sample


@dataclasses.dataclass(frozen=True)
class _Record:
    split: str
    sample: Sample
    fingerprint: Fingerprint
    shape: tuple[int, int]
    lung_percent: float | None = None
    infection_percent: float | None = None
    outside_percent: float | None = None


def check_data(root: str | pathlib.Path, limit: int | None = None) -> DataReport:
    """Reads every image and mask of a data set and reports what is wrong.

    Faults: a file that is missing or cannot be read; a mask of another size
    than its image or with other values than 0 and 255; an empty lung mask; an
    image that a second split holds too, exactly or nearly (difference hash
    within 32 of 256 bits and thumbnails correlating by at least 0.96); a
    patient in two splits. It goes on after a fault and reports all.

    Args:
        root: The data set's folder, in a layout that `read_samples` knows.
        limit: Images to check per split and finding, spread evenly; `None`
            (default) for all. Duplicates are looked for among those only.

    Returns:
        The report; `faults` is empty if nothing is wrong.

    Raises:
        ValueError: If the layout is not known, a manifest cannot be read, or
            `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"`limit` must be at least 1. Received: {limit}")
    root = pathlib.Path(root)
    by_split, faults = find_samples(root)
    checked, groups, records = {}, [], []
    notes: list = []
    for split, samples in by_split.items():
        taken = {
            finding: spread(members, limit)
            for finding, members in by_finding(samples).items()
        }
        chosen = {sample.name for members in taken.values() for sample in members}
        # In the order of listing, so that a volume is read once.
        checked[split] = tuple(s for s in samples if s.name in chosen)
        found = list(_measure_all(split, checked[split], faults, notes))
        records += found
        groups += [
            _summary(split, finding, len(members), found)
            for finding, members in taken.items()
        ]
    exact, near = _duplicates(records, faults, notes)
    shared = _shared_patients(by_split, faults)
    if limit is not None:
        notes.insert(0, f"at most {limit} images per split and finding were checked.")
    patients = {s.patient for samples in by_split.values() for s in samples}
    return DataReport(
        root,
        layout_of(root),
        checked,
        tuple(groups),
        len(patients - {None}),
        tuple(exact),
        tuple(near),
        tuple(shared),
        tuple(dict.fromkeys(faults)),
        tuple(dict.fromkeys(notes)),
    )


def by_finding(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Groups samples by what the data set says of them, in order."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.finding, []).append(sample)
    return groups


def spread(members: Sequence[Sample], count: int | None) -> list[Sample]:
    """Returns `count` members spread evenly, or all if there are fewer."""
    if count is None or len(members) <= count:
        return list(members)
    step = len(members) / count
    return [members[int((i + 0.5) * step)] for i in range(count)]


def _measure_all(split, samples, faults, notes):
    broken, seen = set(), set()
    for sample in samples:
        if sample.image in broken:
            continue  # the next slice of a volume that was told already
        try:
            image = load_image(sample)
            if sample.image not in seen:
                notes += _grey_note(sample)
            seen.add(sample.image)
        except ValueError as error:
            faults.append(str(error))
            broken.add(sample.image)
            image = None
        record = _measure(split, sample, image, faults)
        if record is not None:
            yield record


def _measure(split, sample, image, faults):
    shape = None if image is None else image.shape
    masks = []
    for kind in ("lung", "infection"):
        try:
            masks.append(load_mask(sample, kind, shape).astype(bool))
        except ValueError as error:
            faults.append(str(error))
    if len(masks) == 2 and not masks[0].any():
        where = "" if sample.slice_index is None else f", slice {sample.slice_index}"
        faults.append(f"{sample.lung_mask}{where}: the lung mask is empty.")
    if image is None:
        return None
    record = _Record(split, sample, take_fingerprint(image), shape)
    if len(masks) < 2 or not masks[0].any():
        return record
    lung, infection = masks
    area, size = np.count_nonzero(lung), np.count_nonzero(infection)
    inside = np.count_nonzero(infection & lung)
    return dataclasses.replace(
        record,
        lung_percent=100 * area / lung.size,
        infection_percent=100 * inside / area if size else None,
        outside_percent=100 * (size - inside) / size if size else None,
    )


def _summary(split, finding, count, records):
    records = [record for record in records if record.sample.finding == finding]
    whole = [record for record in records if record.lung_percent is not None]
    infected = [record for record in whole if record.infection_percent is not None]
    sizes = collections.Counter(f"{r.shape[1]}x{r.shape[0]}" for r in records)
    return GroupSummary(
        split,
        finding,
        count,
        len(infected),
        dict(sizes),
        tuple(record.lung_percent for record in whole),
        tuple(record.infection_percent for record in infected),
        tuple(record.outside_percent for record in infected),
    )


def _duplicates(records, faults, notes):
    """Pairs across splits, which are faults; those within one are a note."""
    exact, near, repeated = [], [], []
    by_digest: dict[str, list[_Record]] = {}
    by_split: dict[str, list[_Record]] = {}
    for record in records:
        by_digest.setdefault(record.fingerprint.digest, []).append(record)
        by_split.setdefault(record.split, []).append(record)
    for same in by_digest.values():
        first_of: dict[str, _Record] = {}
        for record in same:
            if first_of.setdefault(record.split, record) is not record:
                repeated.append(record)
        for one, other in itertools.combinations(first_of.values(), 2):
            exact.append((one.sample.name, other.sample.name))
            faults.append(_copy(one, other, "the same pixels as"))
    for some, others in itertools.combinations(by_split.values(), 2):
        pairs = find_near(*([r.fingerprint for r in side] for side in (some, others)))
        for i, j in pairs:
            near.append((some[i].sample.name, others[j].sample.name))
            faults.append(_copy(some[i], others[j], "looks like a copy of"))
    if repeated:
        notes.append(
            f"{_place(repeated[0])}: repeats another image of its own split; "
            f"{len(repeated)} of all images do."
        )
    return exact, near


def _copy(one, other, relation):
    return (
        f"{_place(other)} (split {other.split or 'none'}): {relation} "
        f"{_place(one)} (split {one.split or 'none'})."
    )


def _place(record):
    index = record.sample.slice_index
    return f"{record.sample.image}{'' if index is None else f', slice {index}'}"


def _shared_patients(by_split: Mapping[str, Sequence[Sample]], faults):
    seen: dict[str, dict[str, Sample]] = {}
    for split, samples in by_split.items():
        for sample in samples:
            if sample.patient is not None:
                seen.setdefault(sample.patient, {}).setdefault(split, sample)
    shared = [patient for patient, where in seen.items() if len(where) > 1]
    for patient in shared:
        (_, first), (split, other), *_ = seen[patient].items()
        faults.append(
            f"{other.image}: the patient {patient!r} is in the split {split or 'none'} "
            f"and in others, for example {first.image}."
        )
    return shared


def _grey_note(sample):
    """Asked while the volume is still in the readers' cache."""
    path = sample.image
    if not is_volume(path) or holds_hounsfield(path, sample.window):
        return []
    return [f"{path}: holds grey levels 0 to 255, not HU; taken as it is, no window."]
