"""The authors' network by its recipe, whole and killed in the middle."""

import json
import signal
import subprocess
import time

import numpy as np
import pytest
from recipe_runs import ENVIRONMENT, command, read_csv, run

from covseg_tf.data import write_phantom_data


def test_the_recipe_trains_and_scores(phantom_data, tmp_path):
    words = ("--data", phantom_data, "--out", tmp_path, "--quick", "--epochs", "1")
    words += ("--encoder-weights", "none", "--finding", "all")
    result = run("xray_co_era_net.py", *words)
    assert result.returncode == 0, result.stderr[-2000:]
    (row,) = read_csv(tmp_path / "log.csv")
    assert np.isfinite(float(row["loss"]))
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert 0 <= scores["infection"]["lesions"]["dice"] <= 1
    assert "Network:" in result.stdout


# In one process: test_fit_goes_on_after_a_kill_to_the_same_curve.
@pytest.mark.slow
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
