"""Score any artifact of a network on a data set, and draw the poster's panel.

OUT receives rows.csv (one row per image), summary.json, curve.csv (the mean F-measure
at 256 thresholds) and panel.png: the cases at equal steps through the images with
infection, sorted by this model's Dice.
"""

import dataclasses
import json
import os
import pathlib

import cv2
import numpy as np

from covseg_tf.commands.target import check_folder
from covseg_tf.data import load_sample, read_samples
from covseg_tf.evaluation import draw_panel, evaluate_with_curve, pick_cases
from covseg_tf.evaluation.model_forms import artifact_form, bundle_predictor
from covseg_tf.evaluation.rows import json_ready, summarize_rows, write_rows
from covseg_tf.options import argument, command, option

_SAME_TITLE = (
    "--compare needs a title of its own for each model, other than that of the model "
    "it is compared with. Received: "
)
PROTOCOLS = {"lesions": "lesions", "all_images": "all images"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: str = argument(
        "bundled model, bundle, .tflite, .keras, .onnx, or a SavedModel's folder"
    )
    data: str = argument("the data set's folder")
    out: pathlib.Path = option("folder for the results")
    split: str | None = option("which split; without it all", None)
    compare: tuple[str, ...] = option(
        "models in the panel left of this one", (), metavar="TITLE=MODEL"
    )
    cases: int = option("rows of the panel; 0: no panel", 6)
    mirror: bool = option("average with the mirror image", False)
    threads: int = option("threads of LiteRT", 1)
    force: bool = option("replace earlier results in --out", False)

    def __post_init__(self):
        if self.cases < 0 or self.threads < 1:
            raise ValueError(
                "--cases must be 0 or more and --threads at least 1. Received: "
                f"{self.cases}, {self.threads}"
            )
        titles = set()
        for pair in self.compare:
            title, _, path = pair.partition("=")
            if not title or not path:
                raise ValueError(
                    "--compare takes TITLE=MODEL, for example baseline=model.keras. "
                    f"Received: {pair!r}"
                )
            titles.add(title)
        if len(titles) != len(self.compare):
            raise ValueError(_SAME_TITLE + ", ".join(self.compare))


def run(options: Options) -> None:
    """Scores the model, prints and writes what it finds."""
    check_folder(options.out, options.force)
    # Loading a network takes longer than finding that there is nothing to show it.
    others = dict(pair.split("=", 1) for pair in options.compare)
    forms = {artifact_form(path) for path in (options.model, *others.values())}
    samples = read_samples(options.data, options.split)
    networks, predictor = _load(options, others, forms)
    rows, curve = evaluate_with_curve(
        predictor, samples, predictor.spec, predictor.threshold
    )
    summary = _summary(predictor, rows, curve, options)
    print(to_text(summary))
    options.out.mkdir(parents=True, exist_ok=True)
    write_rows(options.out / "rows.csv", rows)
    write_rows(options.out / "curve.csv", curve)
    (options.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    panel = options.out / "panel.png"
    panel.unlink(missing_ok=True)  # of an earlier run
    picked = _pick(rows, options.cases)
    if picked:
        picture = _panel(networks, predictor, [samples[i] for i in picked])
        panel.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    print(f"\nRows, curve, summary{' and panel' if picked else ''}: {options.out}")


def to_text(summary: dict) -> str:
    """Returns the summary as a table, every protocol by its name."""
    lines = [
        f"{summary['model']} ({summary['height']}x{summary['width']}) on "
        f"{summary['data']}, split {summary['split']}: {summary['images']} images",
        "mean over images (standard deviation)",
        "",
        f"{'map':<10} {'protocol':<11} {'images':>6}  {'Dice':>15}  {'IoU':>15}  "
        f"{'MAE':>6}  {'max F':>6}  {'mean F':>6}  {'adaptive F':>10}",
    ]
    for flow in ("lung", "infection"):
        for protocol, score in summary["scores"].get(flow, {}).items():
            line = f"{flow:<10} {PROTOCOLS[protocol]:<11} {score['images']:>6}"
            if score["images"]:
                line += "".join(
                    f"  {score[key]:.4f} ({score[f'{key}_std']:.4f})"
                    for key in ("dice", "iou")
                )
                line += f"  {score['mae']:.4f}"
                if flow == "infection":
                    f = summary["f_measure"][protocol]
                    line += f"  {f['f_max']:.4f}  {f['f_mean']:.4f}"
                    line += f"  {f['f_adaptive']:>10.4f}"
            lines.append(line)
    lines += [
        f"no pixel painted where there is no infection, {finding}: {100 * share:.1f} %"
        for finding, share in summary["scores"]["left_empty"].items()
    ]
    return "\n".join(lines)


def _summary(predictor, rows, curve, options):
    f_measure = {}
    for protocol in PROTOCOLS:
        values = np.array([level[f"f_{protocol}"] for level in curve])
        if np.isnan(values).any():
            continue
        counted = [
            r["infection_adaptive_f"]
            for r in rows
            if protocol == "all_images" or r["infection_mask_pixels"]
        ]
        f_measure[protocol] = {
            "f_max": float(values.max()),
            "f_mean": float(values.mean()),
            "f_adaptive": float(np.mean(counted)),
        }
    return {
        "model": predictor.name,
        "height": predictor.spec.height,
        "width": predictor.spec.width,
        "mirror": options.mirror,
        "data": pathlib.Path(options.data).resolve().name,
        "split": options.split or "all",
        "images": len(rows),
        "threshold": predictor.threshold,
        "scores": json_ready(summarize_rows(rows)),
        "f_measure": f_measure,
    }


def _load(options, others, forms):
    """The networks by title, this one last; and this one."""
    load = bundle_predictor
    if forms != {"bundle"}:
        # TensorFlow greets on stderr unless told not to before it is imported.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from covseg_tf.deploy import load_predictor as load

    predictor = load(options.model, options.threads)
    if predictor.name in others:
        raise ValueError(_SAME_TITLE + ", ".join((*others, predictor.name)))
    networks = {title: load(path, options.threads) for title, path in others.items()}
    networks[predictor.name] = predictor
    if options.mirror:
        networks = {title: network.mirrored() for title, network in networks.items()}
    return networks, networks[predictor.name]


def _pick(rows, cases):
    """Indices through the whole range of Dice of the images with infection."""
    found = [i for i, row in enumerate(rows) if row["infection_mask_pixels"]]
    if not cases or not found:
        return []
    scores = [rows[i]["infection_dice"] for i in found]
    return [found[i] for i in pick_cases(scores, cases)]


def _panel(networks, predictor, samples):
    spec = predictor.spec
    planes = [load_sample(sample, spec) for sample in samples]
    predictions = []
    for network in networks.values():
        masks = []
        for sample in samples:
            pixels = load_sample(sample, network.spec)[0]
            probability = network(pixels)["infection"]
            size = (spec.width, spec.height)
            masks.append(cv2.resize(probability, size) > network.threshold)
        predictions.append(masks)
    return draw_panel(
        [p[0] for p in planes],
        dict(zip(networks, predictions, strict=True)),
        [p[2] for p in planes],
        [sample.name for sample in samples],
        f"cases at equal steps of the Dice of {predictor.name}",
    )


main = command("covseg evaluate", __doc__, Options, run, needs="tf")
