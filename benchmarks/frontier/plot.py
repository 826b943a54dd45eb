"""The frontier's plot: infection Dice against latency, both protocols."""

import pathlib

import matplotlib

from benchmarks.frontier.results import Results, frontier

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

# Okabe and Ito: told apart by colour-blind readers, and by shape by all others.
_STYLES = {
    ("ours", False): ("#D55E00", "o", "ours"),
    ("ours", True): ("#D55E00", "*", "ours, as bundled (longer schedule)"),
    ("peer", False): ("#0072B2", "s", "peer"),
    ("peer", True): ("#0072B2", "P", "peer, as bundled"),
}
_TITLES = {
    "lesions": "images with infection",
    "all_images": "all images (left empty where there is none: 1)",
}


def draw(results: Results, path: pathlib.Path) -> None:
    """Draws the entries that have a latency; the same results give the same file."""
    matplotlib.rcParams.update({"svg.hashsalt": "covseg", "font.size": 10})
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 6), layout="constrained")
    timed = [entry for entry in results.entries if entry.latency() is not None]
    for axis, protocol in zip(axes, _TITLES, strict=True):
        for entry in timed:
            _draw_entry(axis, entry, protocol)
        best = frontier([e for e in timed if not e.is_bundled], protocol)
        axis.plot(
            [entry.latency() for entry in best],
            [entry.mean_dice("infection", protocol) for entry in best],
            color="#999999",
            lw=1,
            zorder=0,
            label="frontier of the one schedule",
        )
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("{x:g}")
        axis.margins(x=0.25, y=0.12)
        axis.set_xlabel("int8 latency, ms, 1 thread")
        axis.set_ylabel("infection Dice, int8")
        axis.set_title(_TITLES[protocol], loc="left", fontsize=11)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=3,
        fontsize=9,
    )
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _draw_entry(axis, entry, protocol):
    colour, marker, label = _STYLES[entry.facts["kind"], entry.is_bundled]
    point = (entry.latency(), entry.mean_dice("infection", protocol))
    # Filled: the encoder began with ImageNet weights.
    filled = entry.facts["start"] == "ImageNet"
    axis.plot(
        *point,
        marker,
        color=colour,
        markerfacecolor=colour if filled else "white",
        ms=12 if marker == "*" else 7,
        label=f"{label}, {entry.facts['start']} start",
    )
    # One network's two points lie close: the name of one above, of the other below.
    below = entry.facts["kind"] == "ours" and not entry.is_bundled
    axis.annotate(
        entry.label,
        point,
        (0, -15 if below else 8),
        textcoords="offset points",
        fontsize=8,
        ha="center",
    )
