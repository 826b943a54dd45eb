"""The ablation runs for real, small, and keeps what is done."""

import pytest
from recipe_runs import read_csv, run

NETWORKS = ("baseline", "region_fusion_attention")


@pytest.mark.parametrize(
    "networks", [NETWORKS[1:], pytest.param(NETWORKS, marks=pytest.mark.slow)]
)
def test_ablation_scores_every_network_and_keeps_what_is_done(
    networks, phantom_slices, tmp_path
):
    words = ("--modality", "ct", "--data", phantom_slices, "--out", tmp_path)
    words += ("--quick", "--batch-size", "4", "--networks")
    result = run("ablation.py", *words, *networks)
    assert result.returncode == 0, result.stderr[-2000:]
    runs = read_csv(tmp_path / "rows" / "runs.csv")
    assert [r["row"] for r in runs] == list(networks)
    parameters = [int(r["parameters"]) for r in runs]
    assert parameters == sorted(set(parameters))  # attention is added
    for facts in runs:
        rows = read_csv(tmp_path / "rows" / facts["rows_file"])
        curve = read_csv(tmp_path / "rows" / facts["curve_file"])
        assert len(rows) == 10
        assert len(curve) == 256
        assert ("lung_dice" in rows[0]) == (facts["row"] != "baseline")
    done = tmp_path / f"ct_{networks[0]}_seed0" / "runs.csv"
    stamp = done.stat().st_mtime_ns
    result = run("ablation.py", *words, networks[0])
    assert result.returncode == 0, result.stderr[-2000:]
    assert done.stat().st_mtime_ns == stamp
    result = run("ablation.py", *words, networks[0], "--learning-rate", "1e-4")
    assert result.returncode == 2
    message = result.stderr.strip().splitlines()[-1]
    assert "learning_rate was 0.0015, is 0.0001. Give another --out." in message
