"""The reliability plot of a model report: no image, the same file every time."""

INFECTION, LUNG = "#D55E00", "#0072B2"  # Okabe and Ito
CURVES = (
    ("infection_in_lung", "infection, inside the lung mask", INFECTION, "o"),
    ("lung", "lung, all pixels", LUNG, "s"),
)


def load_matplotlib():
    """Returns pyplot, drawing SVG.

    Raises:
        ValueError: If matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise ValueError(
            "The plot needs matplotlib; install it with pip install 'covseg-tf[docs]'."
        ) from None
    matplotlib.use("svg")
    from matplotlib import pyplot

    # The salt: the same numbers give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "covseg", "font.size": 10})
    return pyplot


def draw_reliability(calibration, path):
    """Draws stated against observed, and how many pixels state it, as SVG.

    Args:
        calibration: From `calibration_summary`.
        path: The SVG file.
    """
    pyplot = load_matplotlib()
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(10, 4.6), layout="constrained"
    )
    left.plot([0, 1], [0, 1], color="#999999", lw=1, zorder=0)
    for key, label, colour, marker in CURVES:
        found = calibration[key]
        if not found:
            continue
        curve = found["curve"]
        stated, observed, share, start = (
            [point[name] for point in curve]
            for name in ("stated", "observed", "share", "from")
        )
        label = f"{label} (ECE {found['ece']:.3f})"
        left.plot(stated, observed, marker=marker, ms=5, color=colour, label=label)
        right.step(
            [*start, curve[-1]["to"]],
            [*share, share[-1]],
            where="post",
            color=colour,
        )
    left.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    left.set(xlabel="stated probability", ylabel="observed share in the mask")
    left.legend(loc="upper left", frameon=False, fontsize=9)
    right.set(xlabel="stated probability", ylabel="share of the pixels", yscale="log")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
