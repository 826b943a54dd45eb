import keras
import numpy as np
import pytest

from covseg_tf.training import average_checkpoints
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
