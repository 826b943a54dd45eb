"""Refusals of the recipes, and a run that was cut off."""

import runpy

import pytest
from recipe_runs import RECIPES, read_csv


@pytest.mark.parametrize(
    ("recipe", "words", "message"),
    [
        ("xray.py", ["--bach-size", "2"], "did you mean --batch-size?"),
        ("xray_co_era_net.py", ["--data", "nowhere", "--out", "x"], "no such folder"),
        ("ct_edge.py", ["--data", "nowhere", "--out", "x"], "no such folder"),
        (
            "ablation.py",
            ["--data", "x", "--out", "x", "--networks", "rfa"],
            "--networks must be among",
        ),
    ],
)
def test_a_recipe_refuses_in_one_line(
    recipe, words, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(RECIPES / recipe))["main"]
    assert main(words) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.iterdir())


# The cut-off run leaves its log file open, as a kill does.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_fit_goes_on_after_a_kill_to_the_same_curve(
    tiny_model, phantom_data, tmp_path, eagerly
):
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
