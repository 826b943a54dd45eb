"""`covseg evaluate`: scores of any artifact of a network, and the poster's panel."""

import json
import pathlib

import cv2
import numpy as np

from covseg_tf.data import load_sample, read_samples
from covseg_tf.deploy import load_predictor
from covseg_tf.training.evaluation import (
    evaluate_with_curve,
    json_ready,
    summarize_rows,
    write_rows,
)
from covseg_tf.training.panel import draw_panel, pick_cases

PROTOCOLS = {"lesions": "lesions", "all_images": "all images"}


def evaluate_command(
    model: str,
    data: str | pathlib.Path,
    out: str | pathlib.Path,
    split: str | None = None,
    compare: tuple[str, ...] = (),
    cases: int = 6,
    mirror: bool = False,
    threads: int = 1,
    force: bool = False,
) -> int:
    """Scores a model on a data set, prints and writes what it finds.

    Writes `rows.csv` (one row per image), `summary.json`, `curve.csv` (the mean
    F-measure at 256 thresholds) and `panel.png`: the cases at equal steps
    through the images with infection, sorted by this model's Dice.

    Args:
        model: As for `load_predictor`.
        data: As for `read_samples`.
        out: Folder for the results.
        split: Which split; `None` for all.
        compare: `TITLE=MODEL` of the panel's columns left of this model's.
        cases: Rows of the panel; 0 for none.
        mirror: Average the maps with those of the mirror image.
        threads: Threads of LiteRT.
        force: Replace earlier results in `out`.

    Returns:
        Exit code 0.

    Raises:
        ValueError: If an argument is wrong; nothing was written then.
    """
    out = pathlib.Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; give a folder for the results.")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise ValueError(
            f"{out}: exists and is not empty; give another folder or add --force."
        )
    if cases < 0 or threads < 1:
        raise ValueError(
            f"--cases must be 0 or more and --threads at least 1. Received: {cases}, "
            f"{threads}"
        )
    predictor = load_predictor(model, threads)
    networks = {**_others(compare, threads), predictor.name: predictor}
    if len(networks) != len(compare) + 1:
        raise ValueError(
            f"--compare needs a title of its own for each model, other than "
            f"{predictor.name!r}. Received: {', '.join(compare)}"
        )
    if mirror:
        networks = {title: network.mirrored() for title, network in networks.items()}
        predictor = networks[predictor.name]
    samples = read_samples(data, split)

    rows, curve = evaluate_with_curve(
        predictor, samples, predictor.spec, predictor.threshold
    )
    summary = _summary(predictor, rows, curve, data, split, mirror)
    print(to_text(summary))
    out.mkdir(parents=True, exist_ok=True)
    write_rows(out / "rows.csv", rows)
    write_rows(out / "curve.csv", curve)
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    panel = out / "panel.png"
    panel.unlink(missing_ok=True)  # of an earlier run
    picked = _pick(rows, cases)
    if picked:
        picture = _panel(networks, predictor, [samples[i] for i in picked])
        panel.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    print(f"\nRows, curve, summary{' and panel' if picked else ''}: {out}")
    return 0


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


def _summary(predictor, rows, curve, data, split, mirror):
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
        "mirror": mirror,
        "data": pathlib.Path(data).resolve().name,
        "split": split or "all",
        "images": len(rows),
        "threshold": predictor.threshold,
        "scores": json_ready(summarize_rows(rows)),
        "f_measure": f_measure,
    }


def _others(compare, threads):
    others = {}
    for pair in compare:
        title, equals, path = pair.partition("=")
        if not equals or not title or not path:
            raise ValueError(
                f"--compare takes TITLE=MODEL, for example baseline=model.keras. "
                f"Received: {pair!r}"
            )
        others[title] = load_predictor(path, threads)
    return others


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
