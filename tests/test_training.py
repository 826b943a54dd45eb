import keras
import numpy as np
import pytest
import tensorflow as tf

from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
from covseg_tf.options import run_command
from covseg_tf.training import (
    average_checkpoints,
    compile_segmenter,
    fit_segmenter,
    float32_copy,
    freeze_encoder,
    resume_epoch,
    transfer_weights,
    warmup_cosine,
)
from covseg_tf.training.fit import _best_so_far


def dense(kernel):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.array([[kernel]]), np.array([kernel + 1])])
    return model


def test_average_by_hand(tmp_path):
    paths = [tmp_path / "a.keras", tmp_path / "b.weights.h5"]
    dense(1.0).save(paths[0])
    dense(4.0).save_weights(paths[1])
    model = dense(9.0)
    average_checkpoints(model, paths)
    assert [w.item() for w in model.get_weights()] == [2.5, 3.5]


def test_average_refuses(tmp_path):
    with pytest.raises(ValueError, match="Received none"):
        average_checkpoints(dense(1.0), [])
    other = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match="shape"):
        average_checkpoints(dense(1.0), [tmp_path / "other.weights.h5"])


def test_best_so_far_follows_the_mode(tmp_path):
    log = tmp_path / "log.csv"
    assert _best_so_far(log, "val_loss", "min") is None
    log.write_text("epoch,val_loss\n0,0.7\n1,0.4\n2,0.5\n")
    assert _best_so_far(log, "val_loss", "min") == 0.4
    assert _best_so_far(log, "val_loss", "max") == 0.7
    assert _best_so_far(log, "val_dice", "max") is None


@pytest.mark.parametrize("lung_supervision", [False, True])
def test_the_logs_have_the_same_names_for_every_network(lung_supervision):
    encoder = EdgeEncoder((32, 32, 1), 4, (4, 6), (0, 0))
    model = DualFlowSegmenter(encoder, lung_supervision=lung_supervision)
    compile_segmenter(model, 1e-3)
    image = np.zeros((1, 32, 32, 1), "float32")
    logs = model.evaluate(
        image, {"lung": image, "infection": image}, verbose=0, return_dict=True
    )
    assert {"infection_dice", "infection_dice_lesions"} <= set(logs)
    assert ("lung_dice" in logs) == lung_supervision


def test_warmup_then_cosine_by_hand():
    rate = warmup_cosine(1.0, 100)  # 20 steps up from a tenth, 80 down to 1 %
    for step, value in ((0, 0.1), (10, 0.55), (20, 1.0), (60, 0.505), (100, 0.01)):
        assert float(rate(step)) == pytest.approx(value, abs=1e-6)


def test_early_stopping_counts_on_after_a_resume(tmp_path):
    """Two epochs without gain in the log: with patience 3, one more is run."""

    def fit(patience, epochs):
        model = dense(0.0)
        model.compile(keras.optimizers.SGD(0.0), "mse")
        data = (np.ones((4, 1), "float32"), np.ones((4, 1), "float32"))
        dataset = tf.data.Dataset.from_tensors(data)
        fit_segmenter(
            *(model, dataset, dataset, tmp_path, epochs, "val_loss", "min"),
            patience=patience,
            tensorboard=False,
            verbose=0,
        )
        return len((tmp_path / "log.csv").read_text().splitlines()) - 1

    assert fit(None, 3) == 3  # the first is the best, for the loss never moves
    assert resume_epoch(tmp_path) == 3
    assert fit(3, 20) == 4
    assert fit(3, 20) == 4  # it has stopped, and stays so
    assert resume_epoch(tmp_path / "nothing") == 0


def test_an_epoch_whose_backup_was_cut_off_is_run_and_logged_again(tmp_path):
    def fit(epochs):
        model = dense(0.5)
        model.compile(keras.optimizers.Adam(0.1), "mse")
        data = (np.ones((4, 1), "float32"), np.zeros((4, 1), "float32"))
        dataset = tf.data.Dataset.from_tensors(data)
        arguments = (model, dataset, dataset, tmp_path, epochs, "val_loss", "min")
        fit_segmenter(*arguments, tensorboard=False, verbose=0)
        lines = (tmp_path / "log.csv").read_text().splitlines()[1:]
        return [line.split(",")[:2] for line in lines]

    whole = fit(4)
    for path in (tmp_path / "log.csv", *(tmp_path / "backup").iterdir()):
        path.unlink()
    fit(2)
    # As a kill leaves it: epoch 2 is logged, and half a file of its weights written.
    with (tmp_path / "log.csv").open("a") as log:
        log.write("2,9.0,0.1,0.1\n")
    (tmp_path / "backup" / "epoch_3.weights.h5").write_bytes(b"half")
    assert resume_epoch(tmp_path) == 2
    resumed = fit(4)
    assert [epoch for epoch, _ in resumed] == ["0", "1", "2", "3"]
    for (_, loss), (_, expected) in zip(resumed, whole, strict=True):
        assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert [p.name for p in (tmp_path / "backup").glob("*.h5")] == [
        "epoch_4.weights.h5"
    ]


def test_a_float32_copy_computes_the_same_without_half_precision():
    policy = keras.mixed_precision.dtype_policy()
    try:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        encoder = EdgeEncoder((32, 32, 1), 4, (4, 6), (0, 0))
        model = DualFlowSegmenter(encoder, separable=True)
        copy = float32_copy(model)
    finally:
        keras.mixed_precision.set_global_policy(policy)
    kinds = {layer.compute_dtype for layer in copy._flatten_layers()}
    assert kinds == {"float32"}
    image = np.random.default_rng(0).random((1, 32, 32, 1), dtype="float32")
    for flow, values in copy(image).items():
        np.testing.assert_allclose(values, model(image)[flow], atol=0.03)


def test_run_command_says_bad_input_in_one_line(capsys, monkeypatch):
    def bad_file(_):
        def read(index):
            raise ValueError("x.png: cannot be decoded.\nmore")

        data = tf.data.Dataset.range(1)
        list(data.map(lambda i: tf.numpy_function(read, [i], tf.int64)))

    def bad_option(_):
        raise ValueError("--side must be 64.")

    def fault(_):
        raise KeyError("a fault of ours")

    assert run_command("a.py", lambda options: None, None) == 0
    assert run_command("a.py", bad_option, None) == 2
    assert capsys.readouterr().err == "a.py: --side must be 64.\n"
    assert run_command("a.py", bad_file, None) == 2
    assert capsys.readouterr().err == "a.py: x.png: cannot be decoded.\n"
    with pytest.raises(KeyError):
        run_command("a.py", fault, None)
    monkeypatch.setenv("COVSEG_TRACEBACK", "1")
    with pytest.raises(ValueError, match="--side"):
        run_command("a.py", bad_option, None)


def test_weights_move_between_networks_that_share_layers(tmp_path):
    encoder = EdgeEncoder((32, 32, 1), 4, (4, 6), (0, 0))
    gated = DualFlowSegmenter(encoder, attention="none", side_outputs=("presence",))
    gated.save(tmp_path / "gated.keras")
    plain = DualFlowSegmenter(
        EdgeEncoder((64, 64, 1), 4, (4, 6), (0, 0)), attention="none"
    )
    assert transfer_weights(plain, tmp_path / "gated.keras") == []
    for layer in plain.layers:
        for one, other in zip(
            layer.get_weights(),
            gated.get_layer(layer.name).get_weights() if layer.weights else [],
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    plain.save(tmp_path / "plain.keras")
    left = transfer_weights(gated, tmp_path / "plain.keras")
    assert left == [
        "presence_conv",
        "presence_norm",
        "presence_absence",
        "presence_slope",
    ]
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="mine")])
    with pytest.raises(ValueError, match="shares no layer with"):
        transfer_weights(other, tmp_path / "plain.keras")
    (tmp_path / "broken.keras").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="no Keras model to read"):
        transfer_weights(plain, tmp_path / "broken.keras")


def test_frozen_layers_keep_weights_and_statistics_until_they_learn_again(eagerly):
    model = DualFlowSegmenter.from_preset("xray_nano", (32, 32, 1))
    frozen = freeze_encoder(model)
    assert "block2_add" in frozen
    assert "block3_expand_conv" not in frozen
    images = np.random.default_rng(0).random((4, 32, 32, 1), "float32")
    masks = dict.fromkeys(("lung", "infection"), (images > 0.5) * 1.0)

    def moved():
        before = {x.name: x.get_weights() for x in model.layers + model.encoder.layers}
        compile_segmenter(model, 1e-3)
        model.fit(images, masks, verbose=0)
        after = {x.name: x.get_weights() for x in model.layers + model.encoder.layers}
        return {
            name
            for name, weights in after.items()
            if any((a != b).any() for a, b in zip(weights, before[name], strict=True))
        }

    learnt = moved()
    assert not learnt & set(frozen)
    assert {"block3_expand_conv", "block5_project_norm", "lung_logits"} <= learnt
    assert freeze_encoder(model, frozen=False) == frozen
    assert {"stem_conv", "stem_norm", "block2_project_conv"} <= moved()
    assert "block5_project_norm" in freeze_encoder(model, 3)
    for levels in (0, 4):
        with pytest.raises(ValueError, match=f"from 1 to 3.* Received: {levels}"):
            freeze_encoder(model, levels)


def test_a_run_killed_in_its_first_epoch_starts_anew(tmp_path):
    from covseg_tf.training.fit import _drop_unfinished

    log = tmp_path / "log.csv"
    log.touch()  # the logger opens it when training begins
    _drop_unfinished(log, 0)
    assert not log.exists()
