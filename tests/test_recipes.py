"""Each recipe runs for real, small, and its result is used."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from covseg_tf.edge import Segmenter, draw_phantom

RECIPES = pathlib.Path(__file__).resolve().parents[1] / "recipes"


def run(*words):
    return subprocess.run(
        [sys.executable, RECIPES / "xray_edge.py", *words],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def test_xray_edge_trains_and_leaves_a_bundle(phantom_data, tmp_path):
    out = tmp_path / "run"
    words = ("--data", phantom_data, "--out", out, "--quick", "--batch-size", "2")
    result = run(*words)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "Bundle:" in result.stdout
    for stage in ("stage_1", "stage_2"):
        assert (out / stage / "best.keras").is_file()
        assert len((out / stage / "log.csv").read_text().splitlines()) == 2
        assert list((out / stage / "tensorboard").rglob("events*"))
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["int8"]["lung"]["all_images"]["images"] == 12
    card = (out / "xray" / "MODEL_CARD.md").read_text()
    assert "Research use only" in card
    assert "CC BY" in card
    prediction = Segmenter(out / "xray").predict(draw_phantom(0).image)
    assert prediction.lung.shape == (512, 512)

    # The same command again: nothing is overwritten.
    again = run(*words)
    assert again.returncode == 2
    assert "already there" in again.stderr.strip().splitlines()[-1]


# The cut-off run leaves its log file open, as a kill does.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_fit_goes_on_after_a_kill_to_the_same_curve(tiny_model, phantom_data, tmp_path):
    """Three epochs in one go, and one epoch, a fresh process state, two more."""
    import csv

    import keras

    from covseg_tf.data import make_dataset, read_covid_qu_ex
    from covseg_tf.edge import PreprocessingSpec
    from covseg_tf.training import compile_segmenter, fit_segmenter

    samples = read_covid_qu_ex(phantom_data, "Train")
    data = make_dataset(samples, PreprocessingSpec(64, 64), 4)

    class Killed(Exception):
        pass

    class KillInEpoch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations >= 4:
                raise Killed

    def fit(folder, kill=False):
        model = keras.models.clone_model(tiny_model)
        model.set_weights(tiny_model.get_weights())
        compile_segmenter(model, 1e-3)
        extra = [KillInEpoch()] if kill else []
        fit_segmenter(
            model, data, data, folder, 3, tensorboard=False, verbose=0, callbacks=extra
        )

    fit(tmp_path / "whole")
    with pytest.raises(Killed):
        fit(tmp_path / "cut", kill=True)
    fit(tmp_path / "cut")
    curves = []
    for name in ("whole", "cut"):
        with (tmp_path / name / "log.csv").open(newline="") as stream:
            curves.append([float(row["loss"]) for row in csv.DictReader(stream)])
    assert len(curves[0]) == 3
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
