"""The rehearsal of the poster's study: JAX on a CPU, no TensorFlow, phantoms."""

import csv
import json
import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from covseg_tf.data import read_packed, write_phantom_data
from covseg_tf.edge import draw_phantom

ROOT = pathlib.Path(__file__).resolve().parents[1]
# As on a machine that has JAX and Keras alone; XLA compiles fast, and slow code.
WITHOUT_TENSORFLOW = """\
import sys, runpy
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "ai_edge_litert"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ENVIRONMENT = os.environ | {
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
}
NETWORKS = ("region_fusion_attention",)


def run(script, *words):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, str(script), *map(str, words)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )


def read_csv(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def write_folder(root, rows, infection=True):
    """A manifest over phantoms; those without outlines have readers' extents."""
    for index, row in enumerate(rows):
        phantom = draw_phantom(100 + index, 0.5, 64)
        planes = {"images": phantom.image}
        if infection:
            planes["lung_masks"] = phantom.lung_mask.astype("uint8") * 255
            planes["infection_masks"] = phantom.infection_mask.astype("uint8") * 255
        for folder, plane in planes.items():
            path = root / folder / f"{row['name']}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".png", plane)[1].tobytes())
    with (root / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    write_phantom_data(root / "covid_qu_ex", 6, 64)
    parts = ("train", "validation", "test")
    slices = [(f"{p}_slice_{i}", p) for p in parts for i in range(5)]
    write_folder(
        root / "covid_19_ct_seg",
        [{"name": n, "split": p, "patient": p} for n, p in slices],
    )
    write_folder(
        root / "general_blockchain", [{"name": n, "finding": "COVID-19"} for n in "ab"]
    )
    scores = {"geo_right_1": 2, "geo_right_2": 2, "geo_left_1": 0, "geo_left_2": 1}
    names = [("scored", "train"), ("kept", "test")]
    films = [{"name": n, "split": s, "finding": "COVID-19"} | scores for n, s in names]
    write_folder(root / "ralo", films, infection=False)
    films = [
        {"name": "nih", "split": "train", "finding": "NIH text label: No_findings"}
    ]
    write_folder(root / "nih_rsna", films, infection=False)
    file = root / "packed.npz"
    words = ("--data", root, "--out", file, "--side", "32")
    result = run(ROOT / "recipes" / "pack_images.py", *words)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "lossless" in result.stdout
    return file


@pytest.fixture(scope="module")
def study(packed, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "run"
    words = ("--packed", packed, "--out", out, "--quick", "--batch-size", "2")
    words += ("--epochs", "2", "--minutes", "30", "--networks", *NETWORKS)
    result = run(ROOT / "recipes" / "poster_study.py", *words)
    assert result.returncode == 0, result.stderr[-3000:]
    return out, words, result.stdout


def test_the_file_holds_what_may_be_trained_on(packed):
    found = read_packed(packed)
    rows = {row["name"]: row for row in found.rows}
    # 18 of Train, 18 of Val, 15 slices, 2 films to score, 1 scored by readers, 1 mined.
    assert len(found.rows) == 55
    assert found.images.shape == (55, 32, 32)
    assert "kept" not in rows
    assert all(
        (row["part"] == "test") == ("test" in row["name"])
        for row in found.rows
        if row["group"].startswith("c") and "slice" in row["name"]
    )
    # Right 2 is 25 to 50 %; left 0 and 1, so 0.5, is 0 to 12.5 %.
    assert rows["scored"]["bounds"] == [0.125, 0.3125]
    assert not rows["scored"]["has_infection"]
    assert rows["nih"]["has_infection"]
    assert found.infections[found.rows.index(rows["nih"])].max() == 0
    film = draw_phantom(100, 0.5, 64)
    index = found.rows.index(rows["a"])
    small = cv2.resize(film.image, (32, 32), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(found.images[index], small)
    assert found.lungs[index].sum() == pytest.approx(film.lung_mask.sum() / 4, rel=0.1)


def test_the_rehearsal_gives_the_table(study):
    out, _, printed = study
    runs = read_csv(out / "rows" / "runs.csv")
    sets = [(r["modality"], r["row"], r["test_set"]) for r in runs]
    assert sets == [
        (kind, row, test_set)
        for row in NETWORKS
        for kind, test_set in (
            ("xray", "covid_qu_ex_val"),
            ("xray", "general_blockchain"),
            ("ct", "covid_19_ct_seg_test"),
        )
    ]
    for facts in runs + read_csv(out / "rows" / "distilled.csv"):
        images = {"covid_qu_ex_val": 18, "general_blockchain": 2}
        scored = read_csv(out / "rows" / facts["rows_file"])
        assert len(scored) == images.get(facts["test_set"], 5)
        assert {"lung_dice", "infection_dice"} <= set(scored[0])
        assert len(read_csv(out / "rows" / facts["curve_file"])) == 256
        assert facts["encoder"] == "random"
        rate = float(facts["gflop_per_step"]) / float(facts["step_ms"])  # TFLOP/s
        share = float(facts["peak_share"]) * float(facts["peak_tflops"])
        assert share == pytest.approx(rate, rel=0.05, abs=2e-6)
    # 5 COVID-19 films train, in steps of two; the teacher has all findings and films.
    assert [int(r["steps"]) for r in runs[:3]] == [4, 4, 4]
    teacher, student = read_csv(out / "rows" / "distilled.csv")[::2]
    assert int(teacher["train_images"]) == int(student["train_images"]) == 17
    gates = read_csv(out / "rows" / "ct_region_fusion_attention_seed0_gates.csv")
    assert all(0 < float(gate["inside"]) < 1 for gate in gates)
    assert {gate["gate"].split(", ")[1] for gate in gates} == {"lung", "infection"}
    maps = read_packed(out / "teacher_maps.npz")
    assert [r["flow"] for r in maps.rows] == 17 * ["lung", "infection"]
    assert "% of the measured peak" in printed


def test_done_rows_are_kept_and_the_page_is_written(study, tmp_path):
    out, words, _ = study
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*.csv")}
    result = run(ROOT / "recipes" / "poster_study.py", *words)
    assert result.returncode == 0, result.stderr[-3000:]
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.csv")} == stamps

    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.poster", "table", "--rows", out / "rows"]
        + ["--out", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    text = (tmp_path / "poster.md").read_text()
    assert "| no attention (ours) | 0 | not run |" in text
    assert "| *+ region fusion attention* | 0.6736 | 0.7711 |" in text
    assert "| teacher | covid_qu_ex_val | 6 |" in text


def test_the_students_weights_give_the_same_under_tensorflow(study, tmp_path):
    import keras

    import covseg_tf.models  # registers the network's classes

    assert covseg_tf.models
    if keras.backend.backend() != "tensorflow":
        pytest.skip("compares TensorFlow with JAX")
    out, _, _ = study
    films = np.stack([draw_phantom(i, 0.4, 64).image[::2, ::2] for i in range(3)])
    images = films[..., None].astype("float32") / 255
    np.save(tmp_path / "images.npy", images)
    script = tmp_path / "predict.py"
    script.write_text(
        "import sys, keras, numpy as np\n"
        "import covseg_tf.models\n"
        "assert keras.backend.backend() == 'jax'\n"
        "model = keras.saving.load_model(sys.argv[1], compile=False)\n"
        "np.savez(sys.argv[3], **model.predict(np.load(sys.argv[2]), verbose=0))\n"
    )
    file = out / "student.keras"
    result = run(script, file, tmp_path / "images.npy", tmp_path / "maps.npz")
    assert result.returncode == 0, result.stderr[-2000:]
    model = keras.saving.load_model(file, compile=False)
    assert model.dtype_policy.compute_dtype == "float32"
    maps = model.predict(images, verbose=0)
    with np.load(tmp_path / "maps.npz") as of_jax:
        assert set(of_jax.files) == set(maps)
        for flow in of_jax.files:
            np.testing.assert_allclose(maps[flow], of_jax[flow], rtol=0, atol=1e-5)
            assert np.ptp(maps[flow]) > 1e-3


def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(packed, tmp_path):
    script = tmp_path / "resume.py"
    script.write_text(RESUME)
    result = run(script, packed, tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["steps"] == [2, 4, 6, 4, 6]  # whole; cut after epoch 0, then the rest
    assert told["difference"] == 0.0
    assert told["moved"] > 1e-3
    # Three forward passes: what a wider network adds to a step, to a pass. The loss and
    # the augmentation cost both networks the same.
    (narrow, narrow_pass), (wide, wide_pass) = told["flops"]
    assert 2.5 < (wide - narrow) / (wide_pass - narrow_pass) < 3.5


RESUME = """\
import json, sys
import keras, jax, numpy as np
from covseg_tf.data import read_packed
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
from covseg_tf.training import DeviceTrainer
packed = read_packed(sys.argv[1])
data = {"images": packed.images[:6],
        "masks": 255 * np.stack([packed.lungs, packed.infections], -1)[:6],
        "weights": np.ones((6, 2), "float32")}
data = {k: jax.numpy.asarray(v) for k, v in data.items()}
keras.utils.set_random_seed(0)
def network(width):
    encoder = EdgeEncoder((32, 32, 1), width, (width, width), depths=(0, 0))
    return DualFlowSegmenter(encoder, (width,), attention="none")
class Never:
    def submit(self, compile):
        pass
def flops(width):
    trainer = DeviceTrainer(network(width), data, 3, compiler=Never())
    forward = jax.jit(lambda w, x: trainer.model.stateless_call(*w, x, training=True))
    images = np.zeros((3, 32, 32, 1), "float32")
    cost = forward.lower(trainer.start()[:2], images).cost_analysis()
    return trainer.flops, cost["flops"]
trainer = DeviceTrainer(network(4), data, 3)
class Cut(Exception):
    pass
steps = []
def note(entry, state, cut=False):
    steps.append(entry["step"])
    if cut:
        raise Cut
whole = trainer.fit(data, 6, 1e-2, on_epoch=note)
backup = sys.argv[2] + "/backup.npz"
try:
    trainer.fit(data, 6, 1e-2, 0, backup, 0.0, lambda *of: note(*of, cut=True))
except Cut:
    steps.pop()
cut = trainer.fit(data, 6, 1e-2, 0, backup, 0.0, note)
far = lambda a, b: max(float(abs(x - y).max()) for x, y in zip(a[0], b[0]))
print(json.dumps({"steps": steps, "difference": far(whole, cut),
                  "moved": far(whole, trainer.start()),
                  "flops": [flops(16), flops(64)]}))
"""
