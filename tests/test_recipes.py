"""Each recipe runs for real, small, and its result is used."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from covseg_tf.data import write_phantom_data
from covseg_tf.edge import Segmenter, draw_phantom

RECIPES = pathlib.Path(__file__).resolve().parents[1] / "recipes"


def command(recipe, *words):
    return [sys.executable, str(RECIPES / recipe), *map(str, words)]


ENVIRONMENT = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}


def run(recipe, *words):
    return subprocess.run(
        command(recipe, *words), capture_output=True, text=True, env=ENVIRONMENT
    )


def read_csv(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def phantom_slices(tmp_path_factory):
    """A folder with a manifest, as of CT slices: three splits, two patients each."""
    root = tmp_path_factory.mktemp("slices")
    rows = ["name,split,patient"]
    for part in ("train", "validation", "test"):
        for index in range(10):
            name = f"{part}_{index}"
            rows.append(f"{name},{part},{part}_{index % 2}")
            phantom = draw_phantom(len(rows), 0.4, 64)
            for folder, plane in (
                ("images", phantom.image),
                ("lung_masks", phantom.lung_mask.astype("uint8") * 255),
                ("infection_masks", phantom.infection_mask.astype("uint8") * 255),
            ):
                path = root / folder / f"{name}.png"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(cv2.imencode(".png", plane)[1].tobytes())
    (root / "manifest.csv").write_text("\n".join(rows))
    return root


# The first generation differs in its stages only.
@pytest.mark.parametrize(
    "network", [pytest.param("xray", marks=pytest.mark.slow), "xray_nano"]
)
def test_xray_edge_trains_and_leaves_a_bundle(network, phantom_data, tmp_path):
    out = tmp_path / "run"
    words = ("--data", phantom_data, "--out", out, "--quick", "--batch-size", "2")
    words += ("--network", network)
    result = run("xray_edge.py", *words)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "Bundle:" in result.stdout
    for stage in ("stage_1", "stage_2"):
        assert (out / stage / "best.keras").is_file()
        assert len((out / stage / "log.csv").read_text().splitlines()) == 2
        assert list((out / stage / "tensorboard").rglob("events*"))
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["int8"]["lung"]["all_images"]["images"] == 12
    card = (out / network / "MODEL_CARD.md").read_text()
    assert "Research use only" in card
    assert "CC BY" in card
    prediction = Segmenter(out / network).predict(draw_phantom(0).image)
    assert prediction.lung.shape == (512, 512)

    points = out / "presence.json"
    assert points.is_file() == (network != "xray")

    # The same command again: nothing is overwritten.
    again = run("xray_edge.py", *words)
    assert again.returncode == 2
    assert "already there" in again.stderr.strip().splitlines()[-1]


def test_a_killed_recipe_goes_on_to_the_same_curve(tmp_path):
    """SIGKILL in the middle, the same command again, against an unbroken run."""
    data = write_phantom_data(tmp_path / "data", images_per_finding=24, size=64)
    words = ("--data", data, "--quick", "--encoder-weights", "none")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    result = run("xray_co_era_net.py", *words, "--out", whole)
    assert result.returncode == 0, result.stderr[-2000:]

    resume = command("xray_co_era_net.py", *words, "--out", cut)
    process = subprocess.Popen(
        resume, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    backup = cut / "backup" / "training_metadata.json"
    while not backup.is_file() and process.poll() is None:
        assert time.monotonic() < deadline, "the first epoch never ended"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < len(read_csv(cut / "log.csv")) < 8

    result = run("xray_co_era_net.py", *words, "--out", cut)
    assert result.returncode == 0, result.stderr[-2000:]
    curves = [read_csv(folder / "log.csv") for folder in (whole, cut)]
    assert [row["epoch"] for row in curves[1]] == [str(i) for i in range(8)]
    for column in ("loss", "val_loss", "val_lung_dice", "val_infection_dice_lesions"):
        numbers = [[float(row[column]) for row in curve] for curve in curves]
        np.testing.assert_allclose(numbers[1], numbers[0], rtol=2e-4, atol=2e-5)
    scores = [json.loads((f / "metrics.json").read_text()) for f in (whole, cut)]
    for flow, protocol in (("lung", "all_images"), ("infection", "lesions")):
        assert scores[1][flow][protocol]["dice"] == pytest.approx(
            scores[0][flow][protocol]["dice"], abs=1e-3
        )


def test_ct_recipes_train_score_and_bundle(phantom_slices, tmp_path):
    bundle = ("evaluation_int8.csv", "ct_small/MODEL_CARD.md", "ct_small/model.tflite")
    for recipe, flags, files in (
        ("ct_edge.py", ("--mixed-precision",), bundle),
        ("ct_co_era_net.py", ("--mixed-precision", "--jit-compile"), ()),
    ):
        out = tmp_path / recipe
        words = ("--data", phantom_slices, "--out", out, "--quick", "--epochs", "4")
        result = run(recipe, *words, *flags)
        assert result.returncode == 0, result.stderr[-2000:]
        for file in ("best.keras", "log.csv", "evaluation.csv", "metrics.json", *files):
            assert (out / file).is_file(), file
        rows = read_csv(out / "evaluation.csv")
        assert [row["name"] for row in rows] == [f"test_{i}" for i in range(10)]


def test_ablation_scores_every_network_and_keeps_what_is_done(phantom_slices, tmp_path):
    words = ("--modality", "ct", "--data", phantom_slices, "--out", tmp_path)
    words += ("--quick", "--batch-size", "4", "--networks")
    both = ("baseline", "region_fusion_attention")
    result = run("ablation.py", *words, *both)
    assert result.returncode == 0, result.stderr[-2000:]
    runs = read_csv(tmp_path / "rows" / "runs.csv")
    assert [r["row"] for r in runs] == list(both)
    assert int(runs[1]["parameters"]) > int(runs[0]["parameters"])
    for facts in runs:
        rows = read_csv(tmp_path / "rows" / facts["rows_file"])
        curve = read_csv(tmp_path / "rows" / facts["curve_file"])
        assert len(rows) == 10
        assert len(curve) == 256
        assert ("lung_dice" in rows[0]) == (facts["row"] != "baseline")
    stamp = (tmp_path / "ct_baseline_seed0" / "runs.csv").stat().st_mtime_ns
    result = run("ablation.py", *words, "baseline")
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / "ct_baseline_seed0" / "runs.csv").stat().st_mtime_ns == stamp
    result = run("ablation.py", *words, "baseline", "--learning-rate", "1e-4")
    assert result.returncode == 2
    message = result.stderr.strip().splitlines()[-1]
    assert "learning_rate was 0.0015, is 0.0001. Give another --out." in message


@pytest.mark.parametrize(
    ("recipe", "words", "message"),
    [
        ("xray_edge.py", ["--bach-size", "2"], "did you mean --batch-size?"),
        ("xray_co_era_net.py", ["--data", "nowhere", "--out", "x"], "no such folder"),
        ("ct_edge.py", ["--data", "nowhere", "--out", "x"], "no such folder"),
        (
            "ablation.py",
            ["--data", "x", "--out", "x", "--networks", "rfa"],
            "--networks must be among",
        ),
    ],
)
def test_a_recipe_refuses_in_one_line(recipe, words, message, tmp_path):
    result = subprocess.run(
        command(recipe, *words),
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=tmp_path,
    )
    assert result.returncode == 2
    assert message in result.stderr.strip().splitlines()[-1]
    assert not list(tmp_path.iterdir())


# The cut-off run leaves its log file open, as a kill does.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_fit_goes_on_after_a_kill_to_the_same_curve(tiny_model, phantom_data, tmp_path):
    """Three epochs in one go, and one epoch, a fresh process state, two more."""
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
        log = read_csv(tmp_path / name / "log.csv")
        curves.append([float(row["loss"]) for row in log])
    assert len(curves[0]) == 3
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
