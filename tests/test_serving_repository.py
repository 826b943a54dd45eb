"""What is loaded, what the images are checked for, and the command."""

import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from serving_servers import benchmark, jpeg, phantom, png, scripted

from covseg_tf.cli import main
from covseg_tf.imaging import ImageTooLarge, check_image
from covseg_tf.serving import Client, ServerOptions
from covseg_tf.serving import load_repository as load
from covseg_tf.serving.client import with_retries
from covseg_tf.serving.repository.models_config import read_models_config

EXPORT = pathlib.Path(__file__).resolve().parents[1] / "export" / "serving"


@pytest.mark.parametrize("encode", [png, jpeg])
def test_a_file_cut_anywhere_is_refused(encode):
    data = encode(phantom())
    assert check_image(data, 128 * 128) == (128, 128)
    assert check_image(data + b"tail of a camera", 128 * 128) == (128, 128)
    for size in range(len(data)):
        with pytest.raises(ValueError, match="empty|not a PNG or JPEG|cut short"):
            check_image(data[:size], 128 * 128)


@pytest.mark.parametrize("encode", [png, jpeg])
def test_the_limit_is_pixels(encode):
    with pytest.raises(ImageTooLarge, match="100 x 50 pixels, at most 4999"):
        check_image(encode(np.zeros((100, 50), np.uint8)), 4999)


def test_jpeg_with_a_thumbnail_and_restarts():
    import cv2

    words = [cv2.IMWRITE_JPEG_RST_INTERVAL, 2, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    data = cv2.imencode(".jpg", phantom(), words)[1].tobytes()
    small = jpeg(phantom()[:16, :16])
    extra = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
    data = data[:2] + extra + data[2:]
    assert check_image(data, 128 * 128) == (128, 128)


MEGABYTES = 23 * 2**20


def test_fill_bytes_are_skipped_at_once():
    data = jpeg(phantom())
    start = time.perf_counter()
    filled = data[:2] + b"\xff" * MEGABYTES + data[2:]
    assert check_image(filled, 128 * 128) == (128, 128)
    with pytest.raises(ValueError, match="JPEG file is cut short"):
        check_image(data[:2] + b"\xff" * MEGABYTES, 128 * 128)
    assert time.perf_counter() - start < 1


def chunk(kind, data=b""):
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


@pytest.mark.parametrize("encode", [png, jpeg])
def test_a_file_of_too_many_parts_is_refused(encode):
    data = encode(phantom())
    place, part = (33, chunk(b"teXt")) if encode is png else (2, b"\xff\xfe\0\2")
    some = data[:place] + part * 9000 + data[place:]
    assert check_image(some, 128 * 128) == (128, 128)
    many = data[:place] + part * (MEGABYTES // len(part)) + data[place:]
    start = time.perf_counter()
    with pytest.raises(ValueError, match="has more than 10000 (chunks|segments)"):
        check_image(many, 128 * 128)
    assert time.perf_counter() - start < 1


@pytest.fixture(scope="module")
def base(tiny_bundle, tmp_path_factory):
    """A base folder with the versions 1, 2 and 10, and things that are none."""
    folder = tmp_path_factory.mktemp("models") / "xray_small"
    for version in ("1", "2", "10", ".draft-3"):
        shutil.copytree(tiny_bundle, folder / version)
    (folder / "4").mkdir()
    (folder / "notes").mkdir()
    return folder


def test_newest_version_and_those_with_a_label(base):
    repository = load(base)
    assert repository.names == ("xray_small",)
    assert repository.versions("xray_small") == [10]
    repository = load(base, "other", {"stable": 2})
    assert repository.versions("other") == [10, 2]
    assert repository.get("other", label="stable").version == 2
    assert repository.get("other").version == 10


def test_a_bundle_is_version_one(tiny_bundle):
    repository = load(tiny_bundle, labels={"stable": 1})
    assert repository.names == ("tiny",)
    assert repository.get("tiny", label="stable").version == 1
    assert load("xray").get("xray").version == 1


def test_a_saved_model_with_and_without_a_number(tiny_servable, tmp_path):
    folder = shutil.copytree(tiny_servable, tmp_path / "net" / "3")
    assert load(folder).get("net").version == 3
    folder = folder.rename(tmp_path / "plain")
    assert load(folder).get("plain").version == 1
    (folder / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a SavedModel that can be loaded"):
        load(folder)


CONFIG = """
model_config_list {{
  config {{
    name: "first" base_path: "{base}" model_platform: "tensorflow"
    model_version_policy {{ {policy} }}
    version_labels {{ key: "stable" value: 2 }}
  }}
}}
"""


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ("latest { num_versions: 2 }", [10, 2]),
        ("all {}", [10, 2, 1]),
        ("specific { versions: 1 versions: 2 }", [2, 1]),
        ("", [10, 2]),
    ],
)
def test_models_config(base, tmp_path, policy, versions):
    path = tmp_path / "models.config"
    path.write_text(CONFIG.format(base=base, policy=policy))
    repository = load(models_config=path)
    assert repository.versions("first") == versions
    assert repository.get("first", label="stable").version == 2


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("nonsense", "cannot be read"),
        ("", "lists no model"),
        ('model_config_list { config { name: "a" } }', "needs a name and a base_path"),
        (
            'model_config_list { config { name: "a" base_path: "nowhere" } }',
            "holds no version of model a",
        ),
        (
            CONFIG.format(base="{base}", policy="specific {{ versions: 7 }}"),
            "holds no version 7",
        ),
        (
            CONFIG.format(base="{base}", policy="specific {{ versions: 1 }}"),
            "version 2 of model first, which is not served",
        ),
    ],
)
def test_bad_models_config(base, tmp_path, text, match):
    path = tmp_path / "models.config"
    path.write_text(
        text.replace("{base}", str(base)).replace("{{", "{").replace("}}", "}")
    )
    with pytest.raises(ValueError, match=match):
        load(models_config=path)


def test_bad_models(base, tiny_bundle, tmp_path):
    with pytest.raises(ValueError, match="nowhere: no model there"):
        load("nowhere")
    with pytest.raises(ValueError, match="no model there") as caught:
        load(base.parent)
    for form in ("a bundled name (", "bundle.json", "saved_model.pb", "<number>"):
        assert form in str(caught.value)
    assert f"Give {base}." in str(caught.value)
    with pytest.raises(ValueError, match=r"of either\.$"):
        load(tmp_path)
    with pytest.raises(ValueError, match="one of the two"):
        load()
    with pytest.raises(ValueError, match="one of the two"):
        load(base, models_config=tmp_path)
    with pytest.raises(ValueError, match="those of the file"):
        load(name="a", models_config=tmp_path)
    with pytest.raises(ValueError, match="label 'a' is to mean|Label 'a' is to mean"):
        load(base, labels={"a": 3})


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"host": "0.0.0.0"}, "open to other machines and needs a token"),
        ({"host": "example.org"}, "needs a token"),
        ({"token": "abc "}, "`token` must be .* printable ASCII"),
        ({"token": "two words"}, "without blanks"),
        ({"token": "\u00fc"}, "without blanks"),
        ({"token": "a\n"}, "without blanks"),
        ({"token": ""}, "one or more"),
        ({"port": 70000}, "`port` must be in"),
        ({"grpc_port": -1}, "`grpc_port` must be in"),
        ({"workers": 0}, "`workers` must be at least 1"),
        ({"queue_size": -1}, "`queue_size` must be at least 0"),
    ],
)
def test_bad_options(settings, match):
    with pytest.raises(ValueError, match=match):
        ServerOptions(**settings)


def test_who_may_bind_where():
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert ServerOptions(host=host).token is None
    assert ServerOptions(host="0.0.0.0", token="sesame").host == "0.0.0.0"


def test_pauses_double_and_heed_the_server():
    from covseg_tf.serving import Unavailable

    pauses, error = [], Unavailable("busy")

    def fail():
        raise error

    with pytest.raises(Unavailable):
        with_retries(fail, 8, pauses.append)
    assert len(pauses) == 8
    for attempt, pause in enumerate(pauses):
        whole = min(0.1 * 2**attempt, 5)
        assert whole / 2 <= pause <= whole
    error.retry_after = 2.0
    pauses.clear()
    with pytest.raises(Unavailable):
        with_retries(fail, 1, pauses.append)
    assert pauses == [2.0]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["xray", "--host", "0.0.0.0"], "host 0.0.0.0 is open to other machines"),
        (["nowhere"], "nowhere: no model there"),
        ([], "one of the two"),
        (["xray", "--version-label", "stable"], "takes LABEL=VERSION"),
        (["xray", "--version-label", "stable=2"], "which is not served"),
    ],
)
def test_command_refuses(words, text, capsys, monkeypatch):
    monkeypatch.delenv("COVSEG_TOKEN", raising=False)
    assert main(["serve", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("covseg serve: ")
    assert text in error
    assert error.count("\n") == 1


def test_command_says_when_the_port_is_taken(tiny_bundle, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(tiny_bundle), "--port", port]) == 1
        assert f"127.0.0.1:{port} cannot be bound" in capsys.readouterr().err


def test_command_serves_and_ends_well(tiny_bundle, monkeypatch):
    monkeypatch.setenv("COVSEG_TOKEN", "sesame")
    words = "--name", "tiny", "--version-label", "stable=1"
    with benchmark().serve(tiny_bundle, *words) as (process, url):
        with Client(url, "tiny", label="stable", token="sesame") as client:
            assert client.predict([phantom()])[0].lung.shape == (64, 64)
        with Client(url, "tiny") as client:
            assert not client.is_ready()
    assert process.returncode == 0


def test_a_signal_at_once_is_heeded(tiny_bundle):
    with benchmark().serve(tiny_bundle, "--grpc-port", "0") as (process, _):
        pass
    assert process.returncode == 0


def test_the_client_needs_neither_tensorflow_nor_a_web_framework():
    banned = "tensorflow", "keras", "starlette", "uvicorn", "grpc", "prometheus_client"
    block = "".join(f"sys.modules[{name!r}] = None; " for name in banned)
    code = (
        f"import sys; {block}import covseg_tf.serving as s; "
        "assert 'requests' not in sys.modules; s.Client('http://127.0.0.1:1'); "
        "s.load_repository('xray')\n"
        "try: s.Client('grpc://127.0.0.1:1')\n"
        "except ValueError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "pip install 'covseg-tf[serving]'" in result.stdout


@pytest.mark.parametrize(
    ("state", "code"), [("AVAILABLE", 0), ("UNAVAILABLE", 1), ("LOADING", 1)]
)
def test_the_health_check_of_the_container(state, code):
    compose = (EXPORT / "compose.yaml").read_text("utf-8")
    check = compose.split("- >-\n")[1].split("interval:")[0]
    body = f'{{"state": "{state}", "status": {{"error_code": "UNAVAILABLE"}}}}'
    with scripted((200, {}, body.encode())) as (url, seen):
        port = url.rpartition(":")[2]
        # YAML folds the lines; HTTP/1.0 ends when the server hangs up.
        check = " ".join(check.split()).replace("127.0.0.1/8501", f"127.0.0.1/{port}")
        result = subprocess.run(["bash", "-c", check], timeout=10)
    assert result.returncode == code
    assert seen == ["/v1/models/xray"]


def test_the_container_gets_what_it_reads():
    """Every file that compose.yaml names is there, and models.config is its proto."""
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    compose = (EXPORT / "compose.yaml").read_text("utf-8")
    for name in ("models.config", "monitoring.config", "batching.config"):
        assert f"/config/{name}" in compose
        assert (EXPORT / name).is_file()
    for line in compose.splitlines():
        # Published on this machine alone.
        if line.strip().startswith('- "') and line.rstrip('"').endswith(
            ("8500", "8501")
        ):
            assert '"127.0.0.1:' in line
    (config,) = read_models_config(EXPORT / "models.config")
    assert config.name == "xray"
    assert config.base_path == pathlib.Path("/models/xray")
    assert config.labels == {"stable": 1}
    message = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((EXPORT / "models.config").read_text("utf-8"), message)
    again = model_server_config_pb2.ModelServerConfig.FromString(
        message.SerializeToString()
    )
    assert again == message
    assert again.model_config_list.config[0].model_platform == "tensorflow"
