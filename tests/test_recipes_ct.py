"""The recipes for CT slices run for real, small."""

import pytest
from recipe_runs import read_csv, run

BUNDLE = ("evaluation_int8.csv", "ct_small/MODEL_CARD.md", "ct_small/model.tflite")


@pytest.mark.parametrize(
    ("recipe", "flags", "files"),
    [
        ("ct_edge.py", ("--mixed-precision",), BUNDLE),
        ("ct_co_era_net.py", (), ()),
        pytest.param(
            "ct_co_era_net.py",
            ("--mixed-precision", "--jit-compile"),
            (),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_ct_recipes_train_score_and_bundle(
    recipe, flags, files, phantom_slices, tmp_path
):
    words = ("--data", phantom_slices, "--out", tmp_path, "--quick", "--epochs", "2")
    result = run(recipe, *words, *flags)
    assert result.returncode == 0, result.stderr[-2000:]
    for file in ("best.keras", "log.csv", "evaluation.csv", "metrics.json", *files):
        assert (tmp_path / file).is_file(), file
    rows = read_csv(tmp_path / "evaluation.csv")
    assert [row["name"] for row in rows] == [f"test_{i}" for i in range(10)]
