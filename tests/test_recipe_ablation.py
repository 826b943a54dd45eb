"""The ablation runs for real, small, and keeps what is done."""

from recipe_runs import read_csv, run


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
