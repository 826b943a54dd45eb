"""The ablation's per-image scores, read back and compared in pairs."""

import functools

import numpy as np

from benchmarks.tables import read_csv
from covseg_tf.evaluation.intervals import paired_bootstrap

NETWORKS = {
    "baseline": "baseline",
    "lung_region": "+ lung region",
    "region_fusion_attention": "+ region fusion attention",
    "no_attention": "no attention (ours)",
}
# What was tried to help Region Fusion Attention; not part of the study's table.
VARIANTS = {
    "rfa_residual": "residual: F + A F in place of A F",
    "rfa_open": "gates open at the start: bias 2, so 0.88",
    "rfa_released": "as released: linear gate, dilations 1, 5, 5",
    "rfa_warm_up": "lung flow learns alone first, then steers",
}
PAIRS = (
    ("lung_region", "baseline"),
    ("region_fusion_attention", "baseline"),
    ("region_fusion_attention", "lung_region"),
    ("region_fusion_attention", "no_attention"),
)
TITLES = {"xray": "Chest X-ray", "ct": "CT"}
TEST_SETS = {
    "covid_qu_ex_val": "COVID-QU-Ex, split Val",
    "general_blockchain": "General Blockchain, never trained on",
    "covid_19_ct_seg_test": "COVID-19-CT-Seg, patients never trained on",
}


class Run:
    """One network, one seed, one test set."""

    def __init__(self, facts, folder):
        self.facts = facts
        self.path = folder / facts["rows_file"]
        self.rows = read_csv(self.path)
        self.curve = read_csv(folder / facts["curve_file"])

    @property
    def names(self):
        return [row["name"] for row in self.rows]

    def lesions(self):
        return [row for row in self.rows if int(row["infection_mask_pixels"])]

    def scores(self, column, protocol):
        rows = self.rows if protocol == "all_images" else self.lesions()
        return np.array([float(row[column]) for row in rows])

    def table_row(self, protocol):
        """IoU, Dice, MAE, mean F, maximum F, lung Dice of this run."""
        curve = [float(level[f"f_{protocol}"]) for level in self.curve]
        means = [
            self.scores(f"infection_{key}", protocol).mean()
            for key in ("iou", "dice", "mae")
        ]
        lung = np.nan
        if "lung_dice" in self.rows[0]:
            lung = self.scores("lung_dice", "all_images").mean()
        return (*means, np.mean(curve), np.max(curve), lung)


def read_runs(folder, names=NETWORKS):
    """Dict (modality, test set) -> network -> its runs, by seed; of these names."""
    groups: dict = {}
    for facts in read_csv(folder / "runs.csv"):
        for column, known in (("modality", TITLES), ("row", NETWORKS | VARIANTS)):
            if facts.get(column) not in known:
                raise ValueError(
                    f"{folder / 'runs.csv'}: {column} must be one of "
                    f"{', '.join(known)}. Found: {facts.get(column)!r}"
                )
        if facts["row"] not in names:
            continue
        key = (facts["modality"], facts["test_set"])
        groups.setdefault(key, {name: [] for name in names})
        groups[key][facts["row"]].append(Run(facts, folder))
    for networks in groups.values():
        for runs in networks.values():
            runs.sort(key=lambda run: int(run.facts["seed"]))
        check_images(all_runs(networks))
    order = list(TEST_SETS)
    return dict(
        sorted(
            groups.items(),
            key=lambda item: (
                item[0][0] != "xray",
                order.index(item[0][1]) if item[0][1] in order else len(order),
            ),
        )
    )


def check_images(runs):
    """Differences are paired by position: every run has the same images."""
    if not runs[0].lesions():
        raise ValueError(f"{runs[0].path}: no image has infection; nothing to report.")
    for run in runs[1:]:
        if run.names != runs[0].names:
            raise ValueError(
                f"{run.path}: has other images, or another order, than "
                f"{runs[0].path.name}. Score both on the same test set."
            )


def all_runs(networks):
    return [run for runs in networks.values() for run in runs]


def missing_runs(groups):
    """What a whole study would have and this one has not, in words."""
    found = []
    for modality, title in TITLES.items():
        sets = {t: n for (m, t), n in groups.items() if m == modality}
        if not sets:
            found.append(f"{title}: no run at all")
        seeds = sorted(
            {run.facts["seed"] for n in sets.values() for run in all_runs(n)}, key=int
        )
        for test_set, networks in sets.items():
            for name, runs in networks.items():
                lacks = [s for s in seeds if s not in {r.facts["seed"] for r in runs}]
                if lacks:
                    found.append(
                        f"{title}, {TEST_SETS.get(test_set, test_set)}: "
                        f"{NETWORKS[name]}, seed {', '.join(lacks)}"
                    )
    return found


def patient_of(row):
    """The column, or a slice's name up to `_slice_`; empty where not known."""
    name, cut, _ = row["name"].partition("_slice_")
    return row.get("patient") or (name if cut else "")


def patients_of(networks):
    """Patient of each image with infection, or None if images are all there is."""
    patients = [patient_of(row) for row in all_runs(networks)[0].lesions()]
    repeated = all(patients) and len(set(patients)) < len(patients)
    return patients if repeated else None


def mean_dice(runs):
    """Infection Dice of each image with infection, mean over runs."""
    return np.mean([run.scores("infection_dice", "lesions") for run in runs], axis=0)


def difference(networks, first, second, by_patient=False):
    """Paired difference of the infection Dice and its number of seeds, or None."""
    seeds = [{run.facts["seed"]: run for run in networks[n]} for n in (first, second)]
    common = sorted(set(seeds[0]) & set(seeds[1]))
    if not common:
        return None
    means = [mean_dice([of[seed] for seed in common]) for of in seeds]
    clusters = tuple(patients_of(networks)) if by_patient else None
    return _bootstrap(*map(tuple, means), clusters), len(common)


@functools.cache  # the table and the plot ask for the same
def _bootstrap(scores, others, clusters):
    return paired_bootstrap(scores, others, clusters)
