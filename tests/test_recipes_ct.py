"""The recipes for CT slices run for real, small."""

from recipe_runs import read_csv, run


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
