"""The end of a recipe: the scores of the test set, on disk and on the screen."""

import json
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from covseg_tf.data.sample import Sample
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.evaluation.rows import evaluate, json_ready, summarize_rows, write_rows


def score_run(
    predict: Callable[[np.ndarray], dict[str, np.ndarray]],
    samples: Sequence[Sample],
    spec: PreprocessingSpec,
    out: str | pathlib.Path,
) -> dict:
    """Scores a network on a test set, writes and prints the scores.

    Writes `evaluation.csv`, one row per image, and `metrics.json`.

    Args:
        predict: As for `evaluate`.
        samples: The test set.
        spec: The preprocessing that it was trained with.
        out: Folder of the run.

    Returns:
        The summary of `summarize_rows`.
    """
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rows = evaluate(predict, samples, spec)
    write_rows(out / "evaluation.csv", rows)
    metrics = summarize_rows(rows)
    (out / "metrics.json").write_text(json.dumps(json_ready(metrics), indent=2) + "\n")
    for flow, protocols in metrics.items():
        for protocol, score in protocols.items() if flow != "left_empty" else ():
            if not score["images"]:
                continue
            print(
                f"{flow} ({protocol}, {score['images']} images): "
                f"Dice {score['dice']:.4f}  IoU {score['iou']:.4f}"
            )
    return metrics
