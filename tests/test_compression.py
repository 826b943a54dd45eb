"""Pruning and clustering, on a tiny network and phantoms."""

import importlib.util
import pathlib

import numpy as np
import pytest

# Not importorskip: the import would set TF_USE_LEGACY_KERAS for all other tests.
if importlib.util.find_spec("tensorflow_model_optimization") is None:
    pytest.skip("needs covseg-tf[quant]", allow_module_level=True)

from covseg_tf.deploy.calibration import read_calibration
from covseg_tf.deploy.optimization.compression import (
    cluster,
    compressed_size,
    integer_kernels,
    prune,
)
from covseg_tf.deploy.optimization.fine_tuning import training_batches
from covseg_tf.deploy.tflite import export_tflite
from covseg_tf.edge import PreprocessingSpec, Segmenter, load_bundle

SPEC = PreprocessingSpec(64, 64)
COMMAND = pathlib.Path(__file__).parents[1] / "export" / "compress.py"
# The tiny network's largest kernels.
LARGE = {"minimum_weights": 200}


@pytest.fixture(scope="module")
def batches(phantom_data):
    return training_batches(phantom_data, SPEC, batch_size=4)


@pytest.fixture(scope="module")
def pruned(tiny_model, batches):
    return prune(tiny_model, batches, 0.7, epochs=2, **LARGE)


@pytest.fixture(scope="module")
def clustered(tiny_model, batches):
    return cluster(tiny_model, batches, 6, epochs=1, **LARGE)


@pytest.fixture(scope="module")
def export(phantom_data):
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    images = [*read_calibration(phantom_data, SPEC), ramp]
    return lambda model: export_tflite(model, SPEC, images)


@pytest.fixture(scope="module")
def pruned_file(pruned, export):
    return export(pruned.model)


def kernels_of(model, names):
    return {
        layer.name: layer.get_weights()[0]
        for layer in model.layers
        if layer.name in names
    }


def test_half_and_more_of_the_weights_are_zero(pruned, tiny_model):
    assert set(pruned.kernels) == {"p3_down_conv", "p4_down_conv"}
    kernels = kernels_of(pruned.model.encoder, pruned.kernels)
    originals = kernels_of(tiny_model.encoder, pruned.kernels)
    for name, kernel in kernels.items():
        stated = pruned.kernels[name]
        zeros = kernel == 0
        assert zeros.mean() == pytest.approx(stated.sparsity)
        assert zeros.sum() >= np.floor(0.7 * kernel.size)
        assert stated.weights == kernel.size
        # What went is what was small, and the original kept it.
        original = np.abs(originals[name])
        assert original[zeros].mean() < original[~zeros].mean()
        assert np.all(original > 0)
    assert 0 < pruned.share < 1
    assert len(pruned.history["loss"]) == 2


def test_zeros_survive_in_the_file(pruned, pruned_file):
    shares = [
        float((kernel == 0).mean())
        for kernel in integer_kernels(pruned_file)
        if kernel.size in {k.weights for k in pruned.kernels.values()}
    ]
    assert len(shares) >= 2
    assert sorted(shares)[-2] >= 0.69
    assert Segmenter.from_bytes(pruned_file, SPEC).run(np.zeros((64, 64), np.uint8))


def test_pruned_file_packs_smaller(pruned_file, tiny_model, export):
    plain = export(tiny_model)
    assert compressed_size(plain) < len(plain)
    assert compressed_size(pruned_file) < compressed_size(plain)


def test_kernels_share_few_values(clustered, export):
    kernels = kernels_of(clustered.model.encoder, clustered.kernels)
    assert set(kernels) == {"p3_down_conv", "p4_down_conv"}
    for name, kernel in kernels.items():
        unique = len(np.unique(kernel))
        assert unique == clustered.kernels[name].unique
        assert 2 <= unique <= 6
    # Scales are per filter, so the few values are few in each filter.
    sizes = {k.weights for k in clustered.kernels.values()}
    counts = [
        max(len(np.unique(one)) for one in kernel)
        for kernel in integer_kernels(export(clustered.model))
        if kernel.size in sizes
    ]
    assert sorted(counts)[1] <= 6


def test_compressed_size_is_gzips():
    import gzip

    data = bytes(1000) + np.random.default_rng(0).bytes(1000)
    assert compressed_size(data) == len(gzip.compress(data, 9))
    assert 1000 < compressed_size(data) < 1100


@pytest.mark.parametrize(
    ("method", "options", "text"),
    [
        (prune, {"sparsity": 1.0}, r"`sparsity` must be in \(0, 1\)"),
        (prune, {"epochs": 0}, "`epochs` must be at least 1"),
        (prune, {"minimum_weights": 10**6}, "No convolution has as many"),
        (cluster, {"clusters": 1}, "`clusters` must be at least 2"),
    ],
)
def test_bad_arguments(tiny_model, batches, method, options, text):
    with pytest.raises(ValueError, match=text):
        method(tiny_model, batches, **options)


def test_command(pruned, tiny_model, phantom_data, tmp_path, monkeypatch, capsys):
    """All but the training, which the tests above did."""
    spec = importlib.util.spec_from_file_location("compress_command", COMMAND)
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    monkeypatch.setattr(command, "prune", lambda *_: pruned)
    tiny_model.save(tmp_path / "tiny.keras")
    words = [str(tmp_path / "tiny.keras"), "--method", "prune", "--sparsity", "0.7"]
    words += ["--data", str(phantom_data), "--out", str(tmp_path / "tiny")]
    assert command.main([*words, "--batch-size", "4"]) == 0
    size = compressed_size(load_bundle(tmp_path / "tiny").model)
    assert f"{size} after gzip -9" in capsys.readouterr().out
    assert "sparsity 0.7 in 2 kernels" in (tmp_path / "tiny/MODEL_CARD.md").read_text()
    assert command.main(words) == 2
    assert "already there" in capsys.readouterr().err
