import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from covseg_tf.losses import CombinedSegmentationLoss
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
from covseg_tf.training import (
    Distiller,
    compile_segmenter,
    fit_segmenter,
    soft_target_loss,
)

RECIPE = pathlib.Path(__file__).resolve().parents[1] / "recipes" / "distillation.py"


def network(seed, size=32, channels=1, **kwargs):
    keras.utils.set_random_seed(seed)
    encoder = EdgeEncoder((size, size, channels), 4, (4, 6), (0, 0))
    return DualFlowSegmenter(encoder, separable=True, **kwargs)


def batch(count=4, size=32):
    rng = np.random.default_rng(0)
    x = rng.random((count, size, size, 1), dtype="float32")
    lung, infection = ((x > t).astype("float32") for t in (0.3, 0.8))
    return x, {"lung": lung, "infection": infection}


def flat(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


def maps(*values):
    return np.array(values, "float32").reshape(1, 1, -1, 1)


@pytest.mark.backend
def test_soft_target_loss_by_hand():
    # 0.8 ln(0.8 / 0.5) + 0.2 ln(0.2 / 0.5) = 0.19274; the other pixel agrees.
    loss = soft_target_loss(maps(0.8, 0.1), maps(0.5, 0.1))
    assert ops.convert_to_numpy(loss) == pytest.approx([0.19274 / 2], abs=1e-4)
    # T = 2: odds of 4 become 2, so 4 (2/3 ln(4/3) + 1/3 ln(2/3)) = 0.22654.
    loss = soft_target_loss(maps(0.8), maps(0.5), temperature=2.0)
    assert ops.convert_to_numpy(loss) == pytest.approx([0.22654], abs=1e-4)
    # Saturated maps: agreement costs nothing, contradiction a finite amount.
    same = soft_target_loss(maps(0.0, 1.0), maps(0.0, 1.0))
    assert ops.convert_to_numpy(same) == pytest.approx([0.0], abs=1e-5)
    opposite = soft_target_loss(maps(0.0, 1.0), maps(1.0, 0.0))
    assert 10 < ops.convert_to_numpy(opposite)[0] < 20
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        soft_target_loss(maps(0.5), maps(0.5), temperature=0)


@pytest.mark.backend
def test_loss_of_both_flows_with_sample_weights_by_hand(eagerly):
    x, masks = batch(2)
    student, teacher = network(0), network(1)
    distiller = Distiller(student, teacher, alpha=0.25, temperature=2.0)
    distiller.compile("sgd", loss=CombinedSegmentationLoss())
    weights = {
        "lung": np.ones(2, "float32"),
        "infection": np.array([0.0, 3.0], "float32"),
    }
    got = distiller.evaluate(x, masks, sample_weight=weights, verbose=0)
    want = 0.0
    for flow, mask in masks.items():
        of_student, of_teacher = student(x)[flow], teacher(x)[flow]
        hard = CombinedSegmentationLoss(reduction="none")(mask, of_student)
        soft = soft_target_loss(of_teacher, of_student, 2.0)
        per_image = ops.convert_to_numpy(0.75 * hard + 0.25 * soft)
        want += (per_image * weights[flow]).mean()
    assert np.ravel(got)[0] == pytest.approx(want, rel=1e-5)


@pytest.mark.backend
def test_alpha_zero_is_training_without_a_teacher(eagerly):
    x, masks = batch()
    plain, student = network(0), network(0)
    compile_segmenter(plain, 1e-2)
    distiller = Distiller(student, network(1), alpha=0)
    compile_segmenter(distiller, 1e-2)
    assert distiller.output_names == plain.output_names
    logs = [
        model.fit(x, masks, batch_size=2, epochs=2, shuffle=False, verbose=0).history
        for model in (plain, distiller)
    ]
    np.testing.assert_allclose(flat(student), flat(plain), atol=1e-6)
    assert logs[0].keys() == logs[1].keys()
    for name, values in logs[0].items():
        assert logs[1][name] == pytest.approx(values, rel=1e-5), name


@pytest.mark.backend
def test_the_student_approaches_a_teacher_that_stays():
    x, masks = batch()
    student, teacher = network(0), network(1)
    # A teacher that says something: away from 0.5, and not what the masks say.
    for flow, bias in (("lung", -2.0), ("infection", 1.0)):
        teacher.get_layer(f"{flow}_logits").bias.assign([bias])
    before = flat(teacher)
    distiller = Distiller(student, teacher, alpha=1.0)
    distiller.compile(keras.optimizers.Adam(0.03), loss=CombinedSegmentationLoss())

    def distance():
        losses = [
            ops.mean(soft_target_loss(teacher(x)[flow], student(x)[flow]))
            for flow in masks
        ]
        return ops.convert_to_numpy(sum(losses))

    start = distance()
    distiller.fit(x, masks, epochs=60, verbose=0)
    assert distance() < 0.2 * start
    np.testing.assert_array_equal(flat(teacher), before)
    assert not teacher.trainable_variables


@pytest.mark.backend
def test_what_is_saved_is_the_student(tmp_path, eagerly):
    x, masks = batch()
    student = network(0)
    distiller = Distiller(student, network(1, side_outputs=("scales",)))
    compile_segmenter(distiller, 1e-3)
    data = tf.data.Dataset.from_tensor_slices((x, masks)).batch(2)
    best = fit_segmenter(
        distiller, data, data, tmp_path, 1, tensorboard=False, verbose=0
    )
    again = keras.saving.load_model(best, compile=False)
    assert type(again) is DualFlowSegmenter
    assert again.count_params() == student.count_params()
    np.testing.assert_array_equal(flat(again), flat(student))
    student.set_weights(network(2).get_weights())
    distiller.load_weights(best)
    np.testing.assert_array_equal(flat(student), flat(again))
    # What a resumed training starts from: the optimizer's state as well.
    distiller.save_weights(tmp_path / "all.weights.h5")
    other = Distiller(network(2), network(3, side_outputs=("scales",)))
    compile_segmenter(other, 1e-3)
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "all.weights.h5")
    np.testing.assert_array_equal(flat(other.student), flat(student))
    for one, two in zip(
        other.optimizer.variables, distiller.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(one), ops.convert_to_numpy(two)
        )
    with pytest.raises(NotImplementedError, match="`student` give the student"):
        distiller.get_config()


@pytest.mark.backend
def test_side_outputs_of_a_student_learn_from_the_masks_alone(eagerly):
    """Half the student's own loss, side outputs in it, and half the teacher's maps."""
    x, masks = batch()
    student, teacher = (
        network(0, side_outputs=("presence",), attention="none"),
        network(1),
    )
    compile_segmenter(student, 1e-3)
    own = student.evaluate(x, masks, verbose=0, return_dict=True)["loss"]
    maps, taught = student(x), teacher(x)
    soft = sum(
        float(ops.mean(soft_target_loss(taught[flow], maps[flow]))) for flow in masks
    )
    distiller = Distiller(student, teacher, alpha=0.5)
    compile_segmenter(distiller, 1e-3)
    logs = distiller.evaluate(x, masks, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx((own + soft) / 2, rel=1e-3)
    assert "infection_side_presence_loss" in logs


@pytest.mark.parametrize(
    ("student", "teacher", "arguments", "message"),
    [
        ({}, {}, {"alpha": 1.5}, r"`alpha` must be in \[0, 1\]. Received: alpha=1.5"),
        ({}, {}, {"temperature": 0}, "`temperature` must be positive"),
        ({"channels": 3}, {}, {}, r"student \(32, 32, 3\), teacher \(32, 32, 1\)"),
        ({"size": 64}, {}, {}, r"student \(64, 64, 1\), teacher \(32, 32, 1\)"),
        ({}, {"lung_supervision": False}, {}, r"lacks the student's outputs \['lung'"),
    ],
)
def test_networks_that_do_not_fit(student, teacher, arguments, message):
    with pytest.raises(ValueError, match=message):
        Distiller(network(0, **student), network(1, **teacher), **arguments)


def run_recipe(*words):
    return subprocess.run(
        [sys.executable, RECIPE, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_recipe_trains_a_teacher_and_a_student(phantom_data, tmp_path):
    out = tmp_path / "run"
    words = ("--data", phantom_data, "--quick", "--batch-size", 2)
    result = run_recipe(*words, "--out", out)
    assert result.returncode == 0, result.stderr[-2000:]
    for name in ("teacher", "student"):
        metrics = json.loads((out / name / "metrics.json").read_text())
        assert metrics["lung"]["all_images"]["images"] == 12
    student, teacher = (
        keras.saving.load_model(out / name / "best.keras", compile=False)
        for name in ("student", "teacher")
    )
    assert type(student) is DualFlowSegmenter
    assert student.count_params() < teacher.count_params()


def test_recipe_without_its_teacher(tmp_path):
    for words, message in (
        ((), "--teacher FILE is needed"),
        (("--teacher", tmp_path / "none.keras"), "none.keras: no such file"),
    ):
        result = run_recipe("--data", tmp_path, "--out", tmp_path, *words)
        assert result.returncode == 2
        assert message in result.stderr.strip().splitlines()[-1]
