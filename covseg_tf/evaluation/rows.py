"""Per-image scores of any predictor on a split."""

import csv
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from covseg_tf.data.load_sample import load_sample
from covseg_tf.data.sample import Sample
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.evaluation.f_measure import adaptive_f_measure, f_measure_curve
from covseg_tf.evaluation.scores import image_scores, summarize


def evaluate(
    predict: Callable[[np.ndarray], dict[str, np.ndarray]],
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    threshold: float = 0.5,
) -> list[dict]:
    """Scores a predictor image by image, on the network's grid.

    Args:
        predict: Takes prepared pixels, uint8 `(height, width)`, and gives a
            dict from flow to probabilities `(height, width)` in `[0, 1]`.
        samples: The split.
        spec: How pixels are prepared.
        threshold: Foreground is above it. Defaults to 0.5.

    Returns:
        One dict per image: `name`, `finding`, `patient` (empty where not known),
        and for each flow the scores of `image_scores` as `<flow>_<score>`.
    """
    scored = score_images(predict, samples, spec, threshold)
    return [row for row, _, _ in scored]


def evaluate_with_curve(
    predict: Callable[[np.ndarray], dict[str, np.ndarray]],
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    threshold: float = 0.5,
) -> tuple[list[dict], list[dict]]:
    """As `evaluate`, with the F-measures of the infection map.

    Args:
        predict: As for `evaluate`; must give an infection map.
        samples: The split.
        spec: How pixels are prepared.
        threshold: Foreground is above it. Defaults to 0.5.

    Returns:
        `(rows, curve)`: the rows of `evaluate`, each with
        `infection_adaptive_f`; and the dataset-mean F-measure at 256 thresholds
        as dicts of `threshold` (0 to 255), `f_lesions` and `f_all_images`, the
        first NaN where no image has infection.
    """
    return with_curve(score_images(predict, samples, spec, threshold))


def with_curve(
    scored: Iterable[tuple[dict, dict[str, np.ndarray], dict[str, np.ndarray]]],
) -> tuple[list[dict], list[dict]]:
    """Adds the F-measures of the infection map to scores of images.

    Args:
        scored: What `score_images` yields, or rows of `score_maps` with their masks
            and maps.

    Returns:
        As `evaluate_with_curve`.
    """
    rows: list[dict] = []
    curves: dict[str, list] = {"lesions": [], "all_images": []}
    for row, masks, maps in scored:
        infection, probability = masks["infection"], maps["infection"]
        row["infection_adaptive_f"] = adaptive_f_measure(infection, probability)
        rows.append(row)
        f_measure = f_measure_curve(infection, probability)
        curves["all_images"].append(f_measure)
        if row["infection_mask_pixels"]:
            curves["lesions"].append(f_measure)
    means = {
        f"f_{protocol}": np.mean(of, axis=0) if of else np.full(256, np.nan)
        for protocol, of in curves.items()
    }
    curve = [
        {"threshold": level} | {key: float(mean[level]) for key, mean in means.items()}
        for level in range(256)
    ]
    return rows, curve


def score_images(
    predict: Callable[[np.ndarray], dict[str, np.ndarray]],
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    threshold: float = 0.5,
) -> Iterator[tuple[dict, dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Scores one image after the other, and hands on what it was scored from.

    Args:
        predict: As for `evaluate`.
        samples: The split.
        spec: How pixels are prepared.
        threshold: Foreground is above it. Defaults to 0.5.

    Yields:
        `(row, masks, maps)`: the row of `evaluate`, the masks and the predicted
        maps by flow.
    """
    for sample in samples:
        pixels, lung, infection = load_sample(sample, spec)
        masks = {"lung": lung, "infection": infection}
        maps = predict(pixels)
        facts = {
            "name": sample.name,
            "finding": sample.finding,
            "patient": sample.patient or "",
        }
        yield facts | score_maps(masks, maps, threshold), masks, maps


def score_maps(
    masks: dict[str, np.ndarray], maps: dict[str, np.ndarray], threshold: float = 0.5
) -> dict:
    """Scores the maps of one image.

    Args:
        masks: By flow, `(height, width)`.
        maps: By flow, probabilities of the same shape; a flow that is not here is not
            scored.
        threshold: Foreground is above it. Defaults to 0.5.

    Returns:
        The scores of `image_scores` as `<flow>_<score>`.
    """
    return {
        f"{flow}_{key}": value
        for flow, mask in masks.items()
        if flow in maps
        for key, value in image_scores(mask, maps[flow], threshold).items()
    }


def summarize_rows(rows: Sequence[dict]) -> dict:
    """Returns both protocols for each flow, and the empty masks per finding.

    Args:
        rows: From `evaluate`.

    Returns:
        Dict `{"lung": {"all_images": {...}}, "infection": {"lesions": {...},
        "all_images": {...}}, "left_empty": {finding: share}}`; `left_empty` is
        the share of the images without infection on which no pixel was
        painted.
    """
    summary: dict = {}
    for flow, protocols in (
        ("lung", ("all_images",)),
        ("infection", ("lesions", "all_images")),
    ):
        scores = [_of_flow(row, flow) for row in rows if f"{flow}_dice" in row]
        if scores:
            summary[flow] = {p: summarize(scores, p) for p in protocols}
    healthy = [row for row in rows if row.get("infection_mask_pixels") == 0]
    findings = sorted({row["finding"] for row in healthy})
    summary["left_empty"] = {
        finding: float(
            np.mean(
                [
                    row["infection_predicted_pixels"] == 0
                    for row in healthy
                    if row["finding"] == finding
                ]
            )
        )
        for finding in findings
    }
    return summary


def json_ready(summary: dict) -> dict:
    """Returns a summary whose means of no image are `None`: JSON has no NaN.

    Args:
        summary: From `summarize_rows`.
    """
    ready = dict(summary)
    for flow in ("lung", "infection"):
        if flow in summary:
            ready[flow] = {
                protocol: score
                if score["images"]
                else {k: v if k == "images" else None for k, v in score.items()}
                for protocol, score in summary[flow].items()
            }
    return ready


def write_rows(
    path: str | pathlib.Path, rows: Iterable[dict], digits: int | None = None
) -> None:
    """Writes per-image scores as CSV.

    Args:
        path: The CSV file; one that exists is replaced.
        rows: From `evaluate`.
        digits: Decimals of a float; `None` (default) keeps them all.
    """
    rows = list(rows)
    if digits is not None:
        rows = [
            {k: round(v, digits) if isinstance(v, float) else v for k, v in row.items()}
            for row in rows
        ]
    with pathlib.Path(path).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _of_flow(row, flow):
    prefix = f"{flow}_"
    return {k.removeprefix(prefix): v for k, v in row.items() if k.startswith(prefix)}
