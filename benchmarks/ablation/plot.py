"""The study's plots: Dice of every image, and paired differences."""

import matplotlib

from benchmarks.ablation.scores import (
    NETWORKS,
    PAIRS,
    TEST_SETS,
    difference,
    mean_dice,
    patients_of,
)

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

COLOURS = {  # Okabe and Ito: told apart by colour-blind readers
    "baseline": "#555555",
    "lung_region": "#56B4E9",
    "region_fusion_attention": "#D55E00",
    "no_attention": "#009E73",
}


def draw(sets, path):
    """Draws a row per test set; `sets` is test set -> network -> runs."""
    # The salt: the same scores give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "covseg", "font.size": 10})
    heights = [1.2 + 0.62 * len(_present(networks)) for networks in sets.values()]
    figure, axes = pyplot.subplots(
        len(sets),
        2,
        figsize=(11, sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for (left, right), (test_set, networks) in zip(axes, sets.items(), strict=True):
        _draw_scores(left, networks)
        _draw_differences(right, networks)
        images = len(mean_dice(networks[_present(networks)[0]]))
        title = f"{TEST_SETS.get(test_set, test_set)} ({images} images with infection)"
        left.set_title(title, loc="left", fontsize=11)
    for axis in axes.ravel():
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _present(networks):
    return [name for name in NETWORKS if networks[name]]


def _draw_scores(axis, networks):
    present = _present(networks)
    boxes = axis.boxplot(
        [mean_dice(networks[name]) for name in present],
        orientation="horizontal",
        patch_artist=True,
        widths=0.55,
        showmeans=True,
        flierprops={"markersize": 3, "alpha": 0.4},
        meanprops={
            "marker": "D",
            "markerfacecolor": "white",
            "markeredgecolor": "black",
        },
        medianprops={"color": "black"},
    )
    for box, name in zip(boxes["boxes"], present, strict=True):
        box.set(facecolor=COLOURS[name], alpha=0.65)
    axis.set_yticks(range(1, len(present) + 1), [NETWORKS[name] for name in present])
    axis.invert_yaxis()
    axis.set(xlim=(-0.02, 1.02))
    axis.set_xlabel("infection Dice per image, mean over seeds\n(diamond: mean)")


def _draw_differences(axis, networks):
    by_patient = patients_of(networks) is not None
    labels = []
    for first, second in PAIRS:
        found = difference(networks, first, second)
        if found is None:
            continue
        y, of = len(labels), found[0]
        axis.plot([of.low, of.high], [y, y], color=COLOURS[first], lw=4)
        axis.plot(of.mean, y, "o", color="black", ms=6, zorder=3)
        if by_patient:
            of = difference(networks, first, second, by_patient=True)[0]
            axis.plot([of.low, of.high], [y + 0.2] * 2, "k|-", lw=1, ms=6)
        labels.append(f"{NETWORKS[first]}\nless {NETWORKS[second]}")
    axis.locator_params(axis="x", nbins=5)
    axis.axvline(0, color="#999999", lw=1, zorder=0)
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.5, -0.5)
    thin = "by image; thin: by patient" if by_patient else "by image"
    axis.set_xlabel(f"difference of infection Dice,\n95 % interval {thin}")
