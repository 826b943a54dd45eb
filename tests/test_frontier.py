"""The frontier: peers by hand-known sizes, one real run, measurements, the page."""

import csv
import importlib
import pathlib
import xml.etree.ElementTree as xml

import keras
import numpy as np
import pytest
from keras import ops

from covseg_tf.deploy.tflite import convert_network
from covseg_tf.evaluation import write_rows
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder, EfficientNetLiteEncoder

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture
def frontier():
    """The command as a module."""
    return importlib.import_module("benchmarks.frontier.__main__")


def read_csv(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def norms(model):
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


# The tutorial's decoder: transposed 3x3 convolutions of 512, 256, 128 and 64
# channels without bias, 4 weights per channel of a norm, and 2 maps with bias.
def tutorial_decoder(deepest, skips):
    total, width = 0, deepest
    for filters, skip in zip((512, 256, 128, 64), skips, strict=True):
        total += 9 * width * filters + 4 * filters
        width = filters + skip
    return total + 9 * width * 2 + 2


SIZES = {
    # The tutorial prints 6,504,227 for three maps; the third is 9 * 160 + 1.
    "unet_mobilenet_v2": 6_504_227 - 1_441,
    # keras-hub's preset has 939,120 with a last convolution from 96 to 576.
    "unet_mobilenet_v3_small": 939_120
    - (96 * 576 + 4 * 576)
    + tutorial_decoder(96, (288, 96, 72, 16)),
    # The preset's 3,321,962 have a classifier of 10; then four projections to 256,
    # their fusion, and 2 maps.
    "segformer_b0": 3_321_962
    - (256 * 10 + 10)
    + (32 + 64 + 160 + 256) * 256
    + 4 * 256
    + (1024 * 256 + 4 * 256)
    + (256 * 2 + 2),
    # The preset `resnet_18_imagenet`; pyramid pooling (two 1x1, three 3x3, the
    # projection, six norms); low-level projection; fusion; 2 maps.
    "deeplab_v3_plus": 11_186_112
    + (2 * 512 * 256 + 3 * 9 * 512 * 256 + 5 * 256 * 256 + 6 * 4 * 256)
    + (64 * 48 + 4 * 48)
    + (304 * 256 + 4 * 256)
    + 256 * 2,
}


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")  # inside keras-hub
@pytest.mark.parametrize(
    "name", [*SIZES, "unet_efficientnet_lite0", "miniseg_sized"]
)  # fmt: skip
def test_peers(frontier, name):
    from benchmarks.frontier.networks import PEERS

    model = PEERS[name].build(64, None)
    if name == "miniseg_sized":
        assert model.count_params() == pytest.approx(83_000, rel=0.03)
    elif name == "unet_efficientnet_lite0":
        decoder = tutorial_decoder(320, (672, 240, 144, 96))
        encoder = EfficientNetLiteEncoder((64, 64, 1)).count_params()
        assert model.count_params() == encoder + decoder
    else:
        assert model.count_params() == SIZES[name]
    assert all(norm.momentum <= 0.98 for norm in norms(model))

    before = [ops.convert_to_numpy(norm.moving_mean) for norm in norms(model)]
    image = np.linspace(0, 1, 64 * 64, dtype="float32").reshape(1, 64, 64, 1)
    maps = model(image)
    assert set(maps) == {"lung", "infection"}
    assert set(model.output_names) == set(maps)
    for values in maps.values():
        assert values.shape == (1, 64, 64, 1)
        assert 0 <= float(ops.min(values)) <= float(ops.max(values)) <= 1
    # Called without `training`, as an exporter does, nothing trains.
    for norm, mean in zip(norms(model), before, strict=True):
        np.testing.assert_array_equal(mean, ops.convert_to_numpy(norm.moving_mean))


def test_every_network_has_a_start_and_a_kind(frontier):
    from benchmarks.frontier.networks import NETWORKS, find

    assert {network.kind for network in NETWORKS.values()} == {"ours", "peer"}
    assert {network.start for network in NETWORKS.values()} == {"random", "ImageNet"}
    assert len({network.title for network in NETWORKS.values()}) == len(NETWORKS)
    assert find("xray_bundled") is NETWORKS["xray"]
    with pytest.raises(ValueError, match="xrai: no network of this name"):
        find("xrai")


def test_macs_of_a_file_by_hand(frontier):
    from benchmarks.frontier.measure import count_file_macs

    image = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Conv2D(5, 3, strides=2, padding="same")(image)
    y = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    y = keras.layers.Conv2DTranspose(3, 3, strides=2, padding="same")(y)
    rows = keras.layers.Reshape((16, 5))(x)
    product = ops.matmul(rows, ops.transpose(rows, (0, 2, 1)))
    model = keras.Model(image, {"y": y, "z": keras.layers.Dense(7)(product)})
    data = convert_network(model, (1, 8, 8, 2), "float32", "float32")
    convolutions = 16 * (9 * 2 * 5) + 16 * (9 * 5) + 16 * (9 * 5 * 3)
    assert count_file_macs(data) == convolutions + 16 * 5 * 16 + 16 * 16 * 7


def test_macs_agree_with_those_of_the_layers(frontier):
    from benchmarks.ablation.sizes import count_macs
    from benchmarks.frontier.measure import count_file_macs

    encoder = EdgeEncoder((64, 64, 1), 4, (6, 8), (1, 0))
    model = DualFlowSegmenter(encoder, (6,), attention="none", separable=True)
    data = convert_network(model, (1, 64, 64, 1), "float32", "float32")
    assert count_file_macs(data) == count_macs(model)


def test_measure(frontier, tiny_bundle, tmp_path, monkeypatch, capsys):
    from benchmarks.frontier import measure

    monkeypatch.setattr(measure, "PEAK_SHAPES", ((8, 16),))
    out = tmp_path / "results" / "latency.csv"
    words = ["measure", "--out", str(out), "--rounds", "2", "--runs", "2", "--models"]
    models = [f"xray={tiny_bundle / 'model.tflite'}", f"xray_bundled={tiny_bundle}"]
    assert frontier.main([*words, *models]) == 0
    rows = read_csv(out)
    assert [(row["network"], row["threads"]) for row in rows] == [
        (name, threads) for name in ("xray", "xray_bundled") for threads in "12"
    ]
    for row in rows:
        number = {k: float(v) for k, v in row.items() if k not in ("network", "cpu")}
        assert number["fastest_round_ms"] <= number["latency_ms"]
        assert number["latency_ms"] <= number["slowest_round_ms"]
        share = number["gmacs_per_s"] / number["int8_peak"]
        assert number["share_of_peak"] == pytest.approx(share, abs=0.01)
        assert number["peak_memory_mb"] > 10
        assert (number["rounds"], number["runs"]) == (2, 2)
        assert row["cpu"]
    assert frontier.main([*words, *models]) == 2
    assert "already there" in capsys.readouterr().err


@pytest.fixture
def tiny(frontier, monkeypatch):
    """A U-Net of the tutorial's form, so small that it trains in a test."""
    from benchmarks.frontier import networks, peers

    def build(side, imagenet):
        image = x = keras.Input((side, side, 1), name="image")
        levels = []
        for level in range(5):
            x = keras.layers.Conv2D(4, 3, 2, padding="same", name=f"conv{level}")(x)
            levels.append(x)
        return peers._unet(image, levels, "tiny")

    monkeypatch.setattr(peers, "_UP_FILTERS", (10, 8, 6, 4))
    network = networks.Network("Tiny U-Net", "peer", "random", build)
    monkeypatch.setitem(networks.NETWORKS, "tiny", network)


def test_train_score_and_table(
    frontier, tiny, phantom_data, tiny_bundle, tmp_path, capsys
):
    run, words = tmp_path / "run", ["--data", str(phantom_data), "--out"]
    words.append(str(run))
    train = ["train", *words, "--networks", "tiny", "--quick"]
    assert frontier.main(train) == 0
    folder = run / "tiny"
    for stage in ("stage_1", "stage_2"):
        assert (folder / stage / "best.keras").is_file()
        assert len(read_csv(folder / stage / "log.csv")) == 1
    assert len(read_csv(folder / "evaluation_int8.csv")) == 12

    score = ["score", *words, "--models", f"xray={tiny_bundle}"]
    assert frontier.main(score) == 0
    facts = read_csv(run / "results" / "networks.csv")
    assert [line["network"] for line in facts] == ["xray_bundled", "tiny"]
    assert [line["schedule"] for line in facts] == ["as bundled", "1+1"]
    assert int(facts[1]["bytes"]) == (folder / "model.tflite").stat().st_size
    scores = read_csv(run / "results" / "scores.csv")
    assert len(scores) == 4 + 8  # the bundle has no float network
    images = read_csv(run / "results" / "images.csv")
    lesions = [line for line in images if int(line["infection_mask_pixels"])]
    line = next(
        x for x in scores
        if x["network"] == "tiny" and x["form"] == "int8"
        and (x["flow"], x["protocol"]) == ("infection", "lesions")
    )  # fmt: skip
    assert int(line["images"]) == len(lesions) == 4
    mean = np.mean([float(x["tiny_infection"]) for x in lesions])
    assert float(line["dice"]) == pytest.approx(mean, abs=1e-4)

    # The same command again trains nothing; other epochs need another folder.
    before = (run / "results" / "scores.csv").read_bytes()
    assert frontier.main(train) == 0
    assert "tiny: done before" in capsys.readouterr().out
    assert (run / "results" / "scores.csv").read_bytes() == before
    assert frontier.main([*train, "--epochs-256", "2"]) == 2
    assert "runs with other options" in capsys.readouterr().err

    # Without latencies the page has its table, and says nothing of speed.
    assert frontier.main(["table", "--results", str(run / "results")]) == 0
    page = (run / "results.md").read_text("utf-8")
    assert "| covseg xray, as bundled | random | as bundled |" in page
    assert "CPU:" not in page


def write_results(folder):
    """Ours is 0.1 better than the peer on each of two films, and twice as fast."""
    folder.mkdir(parents=True)
    names = {
        "xray": ("covseg xray", "ours", "random", "30+10"),
        "xray_bundled": ("covseg xray", "ours", "random", "as bundled"),
        "unet": ("U-Net", "peer", "ImageNet", "30+10"),
    }
    infection = {"xray": 0.7, "xray_bundled": 0.8, "unet": 0.6}
    facts, scores, speed = [], [], []
    for name, words in names.items():
        keys = ("title", "kind", "start", "schedule")
        line = {"network": name, **dict(zip(keys, words, strict=True))}
        facts.append(line | {"parameters": 1_234_567, "macs": 2.5e8, "bytes": 987_654})
        facts[-1]["macs"] = 250_000_000
        for form in ("float", "int8"):
            for flow in ("lung", "infection"):
                for protocol in ("lesions", "all_images"):
                    value = infection[name] if flow == "infection" else 0.95
                    value += 0.01 * (form == "float")
                    scores.append(
                        {
                            "network": name,
                            "form": form,
                            "flow": flow,
                            "protocol": protocol,
                            "images": 2 if protocol == "lesions" else 3,
                            "dice": value,
                            "dice_std": 0.125,
                        }
                    )
        for threads in (1, 2):
            latency = (8.0 if name == "unet" else 4.0) / threads
            speed.append(
                {
                    "network": name,
                    "threads": threads,
                    "latency_ms": latency,
                    "rounds": 7,
                    "runs": 30,
                    "peak_memory_mb": 81.2,
                    "int8_peak": 200.0 * threads,
                    "share_of_peak": 0.25,
                    "operators": 140,
                    "delegated": 137,
                    "partitions": 1,
                    "cpu": "a CPU, 2 cores",
                }
            )
    images = [
        {"name": f"film_{i}", "finding": "", "infection_mask_pixels": 5 * (i < 2)}
        | {f"{name}_lung": 0.95 for name in names}
        | {f"{name}_infection": value for name, value in infection.items()}
        for i in range(3)
    ]
    for file, rows in (
        ("networks.csv", facts),
        ("scores.csv", scores),
        ("latency.csv", speed),
        ("images.csv", images),
    ):
        write_rows(folder / file, rows)
    return folder


def build(frontier, folder):
    assert frontier.main(["table", "--results", str(folder)]) == 0
    return folder.with_suffix(".md").read_text("utf-8")


def test_tables_by_hand(frontier, tmp_path):
    page = build(frontier, write_results(tmp_path / "frontier"))
    assert (
        "| covseg xray | random | 30+10 | 0.9500 ± 0.12 | 0.7000 ± 0.12 | "
        "0.7000 ± 0.12 | 0.7100 | 0.7100 |"
    ) in page
    assert (
        "| U-Net | 1.23 M | 250.00 M | 0.99 | 8.00 | 4.00 | 25% | 25% | 81 | "
        "137 of 140 |"
    ) in page
    assert "| U-Net | +0.1000 (+0.1000 to +0.1000) |" in page
    # The bundle, of another schedule, is in the table and not on the frontier.
    assert "| covseg xray, as bundled | random | as bundled |" in page
    assert "lesions, of the one schedule: covseg xray (4.0 ms, 0.7000)." in page
    for words in ("a CPU, 2 cores", "200 on 1 thread, 400 on 2 threads", "2 images"):
        assert words in page


def test_frontier_leaves_out_what_another_beats(frontier, tmp_path):
    from benchmarks.frontier.results import frontier as best
    from benchmarks.frontier.results import read_results

    entries = read_results(write_results(tmp_path / "frontier")).entries
    assert [e.facts["network"] for e in best(entries, "lesions")] == ["xray_bundled"]
    slow = [e for e in entries if e.facts["network"] != "xray_bundled"]
    assert [e.facts["network"] for e in best(slow, "lesions")] == ["xray"]


def test_the_words_around_the_tables_stay(frontier, tmp_path):
    folder = write_results(tmp_path / "frontier")
    page = folder.with_suffix(".md")
    first = build(frontier, folder)
    plot = folder.with_suffix(".svg").read_bytes()
    assert xml.fromstring(plot).tag.endswith("svg")
    page.write_text(f"Before.\n\n{first}\nAfter.\n", "utf-8")
    again = build(frontier, folder)
    assert again == f"Before.\n\n{first}\nAfter.\n"
    assert folder.with_suffix(".svg").read_bytes() == plot


def test_bad_results_are_refused_in_one_line(frontier, tmp_path, capsys):
    folder = write_results(tmp_path / "frontier")

    def refused(text):
        assert frontier.main(["table", "--results", str(folder)]) == 2
        error = capsys.readouterr().err
        assert text in error
        assert error.count("\n") == 1

    folder.with_suffix(".md").write_text("No marker.\n")
    refused("must have the line '<!-- Between these markers")
    networks = folder / "networks.csv"
    whole = networks.read_text()
    networks.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    refused("scores.csv: has unet, which networks.csv does not have")
    networks.write_text(whole + whole.splitlines()[1].replace("xray", "other") + "\n")
    refused("networks.csv has other, which scores.csv or images.csv does not have")
    networks.unlink()
    refused("networks.csv: No such file")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--networks", "segformer"], "--networks must be among xray "),
        (["--networks", "xray", "--epochs-128", "0"], "must be at least 1"),
        ([], "give the ImageNet weights with --imagenet"),
        (["--networks", "xray", "--imagenet", "none.pth"], "none.pth: no such file"),
        (["--networks", "xray"], "no such folder. Expected the layout"),
    ],
)
def test_train_refuses(frontier, tmp_path, capsys, words, text):
    places = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]
    assert frontier.main(["train", *places, *words]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["xray"], "--models takes NAME=PATH words"),
        (["xray=a", "xray=b"], "each name once"),
        (["xrai=a.tflite"], "xrai: no network of this name"),
        (["xray=a.tflite"], "a.tflite: no such file"),
        (["xray=none"], "none: no such model"),
    ],
)
def test_measure_refuses(frontier, tmp_path, capsys, words, text):
    out = ["--out", str(tmp_path / "latency.csv")]
    assert frontier.main(["measure", *out, "--models", *words]) == 2
    assert text in capsys.readouterr().err


def test_an_unknown_word_is_refused(frontier):
    assert frontier.main(["table", "--result", "x"]) == 2
    assert frontier.main(["tables"]) == 2


def test_the_committed_page_is_what_its_files_give(frontier, tmp_path):
    import shutil

    folder = ROOT / "docs" / "results" / "frontier"
    shutil.copytree(folder, tmp_path / "frontier")
    page = folder.with_suffix(".md").read_text("utf-8")
    (tmp_path / "frontier.md").write_text(page, "utf-8")
    assert build(frontier, tmp_path / "frontier") == page
