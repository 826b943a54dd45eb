"""The page's files and their server. In a browser: `tests/web`."""

import hashlib
import http.client
import json
import pathlib
import re
import socket
import subprocess
import sys
import urllib.parse

import numpy as np
import pytest

from covseg_tf import cli
from covseg_tf.edge import load_bundle
from covseg_tf.triage.report.words import FLAG_TEXTS
from covseg_tf.web import PageServer, build_site, write_site
from covseg_tf.web.page_server import POLICY

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "covseg_tf/web/page"


@pytest.fixture(scope="module")
def site():
    return build_site("xray_nano")


@pytest.fixture(scope="module")
def server(site):
    with PageServer(site, port=0) as server:
        yield server


def ask(server, path, method="GET", host=None):
    place = urllib.parse.urlsplit(server.url).netloc
    connection = http.client.HTTPConnection(place, timeout=10)
    try:
        connection.request(method, path, headers={"Host": host or place})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("", "text/html; charset=utf-8"),
        ("js/main.js", "text/javascript; charset=utf-8"),
        ("vendor/litert/litert_wasm_compat_internal.wasm", "application/wasm"),
        ("model/bundle.json", "application/json"),
        ("model/model.tflite", "application/octet-stream"),
        ("model/LICENSE", "text/plain; charset=utf-8"),
        ("manifest.webmanifest", "application/manifest+json"),
        ("icon.svg", "image/svg+xml"),
        ("samples/phantom-mild.png", "image/png"),
    ],
)
def test_files_come_with_their_types(server, site, name, kind):
    status, headers, body = ask(server, f"/covseg/{name}?again=1")
    assert (status, headers["Content-Type"]) == (200, kind)
    assert body == site[name or "index.html"]
    status, headers, body = ask(server, f"/covseg/{name}", "HEAD")
    assert (status, body) == (200, b"")
    assert headers["Content-Length"] == str(len(site[name or "index.html"]))


def test_headers_close_the_page(server):
    for path in ("/covseg/", "/nothing"):
        _, headers, _ = ask(server, path)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Python" not in headers["Server"]


@pytest.mark.parametrize(
    "path",
    [
        "/covseg/../pyproject.toml",
        "/covseg/..%2f..%2fpyproject.toml",
        "/covseg/%2e%2e/page_server.py",
        "/covseg//etc/passwd",
        "/etc/passwd",
        "/covseg/package.json",
        "/covseg/js",
        "/index.html",
    ],
)
def test_nothing_else_is_served(server, path):
    assert ask(server, path)[0] == 404


def test_the_root_leads_to_the_page(server):
    status, headers, _ = ask(server, "/")
    assert (status, headers["Location"]) == (302, "/covseg/")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1"])
def test_another_host_name_is_refused(server, host):
    status, _, body = ask(server, "/covseg/", host=host)
    assert status == 421
    assert b"<html" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_only_reads(server, method):
    assert ask(server, "/covseg/", method)[0] == 501


def test_it_listens_to_this_machine_only(server):
    assert urllib.parse.urlsplit(server.url).hostname == "127.0.0.1"
    assert server._server.server_address[0] == "127.0.0.1"


def test_a_taken_port_and_a_wrong_one():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port} .* give another"):
            PageServer({}, port)
    with pytest.raises(ValueError, match="Received: 70000"):
        PageServer({}, 70000)


def test_the_command_serves_until_interrupted(monkeypatch, capsys):
    def interrupt(server):
        server._server.server_close()
        raise KeyboardInterrupt

    opened = []
    monkeypatch.setattr(PageServer, "run", interrupt)
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert cli.main(["web", "--model", "xray_nano", "--port", "0"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"Page: http://127\.0\.0\.1:\d+/covseg/ ", text)
    assert opened == [re.search(r"http://\S+", text).group()]
    assert "Stopped" in text


def test_the_worker_knows_every_file(site):
    text = site["service-worker.js"].decode()
    digests = json.loads(re.search(r"const FILES = (\{.*?\});", text, re.S).group(1))
    assert digests == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in site.items()
        if name != "service-worker.js"
    }
    version = re.search(r"const VERSION = '([0-9a-f]{16})';", text).group(1)
    other = build_site("xray")["service-worker.js"].decode()
    assert version not in other, "another model must be another version"


def test_the_site_is_complete(site):
    text = "\n".join(
        data.decode() for name, data in site.items() if name.endswith((".html", ".js"))
    )
    links = re.findall(r'(?:href|src)="([^"#:]+)"', site["index.html"].decode())
    assert set(links) <= set(site)
    for name, data in site.items():
        folder = pathlib.PurePosixPath(name).parent
        if name.startswith("js/"):
            for module in re.findall(r"from\s+'(\.[^']+)'", data.decode()):
                parts = pathlib.PurePosixPath(folder, module).parts
                while ".." in parts:
                    at = parts.index("..")
                    parts = parts[: at - 1] + parts[at + 1 :]
                assert "/".join(parts) in site, f"{name} imports {module}"
    for sample in re.findall(r"'(phantom-\w+\.png)'", text):
        assert f"samples/{sample}" in site
    assert {"vendor/litert/LICENSE", "vendor/dicom-parser/LICENSE"} <= set(site)
    assert site["model/model.tflite"] == load_bundle("xray_nano").model


def test_the_page_and_the_server_state_one_policy(site):
    page = site["index.html"].decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1)
    assert policy == POLICY
    assert "unsafe-inline" not in policy
    assert "http" not in policy


def test_own_scripts_write_no_html_and_name_no_other_host():
    for path in [*PAGE.glob("js/*.js"), PAGE / "service-worker.js"]:
        text = path.read_text("utf-8")
        assert not re.search(
            r"innerHTML|insertAdjacentHTML|document\.write|eval\(", text
        )
        assert not re.search(r"https?://", text), path
        assert len(text.splitlines()) <= 300, path


def test_flags_are_said_as_the_triage_report_says_them():
    text = (PAGE / "js/flags.js").read_text("utf-8")
    block = re.search(r"FLAG_TEXTS = \{(.*?)\};", text, re.S).group(1)
    spoken = dict(re.findall(r"(\w+):\s*'([^']+)'", block))
    elsewhere = {"not_a_ct_slice", "lateral_view", "wrong_modality"}  # readers, CT
    elsewhere |= {"photograph", "glare"}  # the page straightens none; a note says so
    expected = {k: v for k, v in FLAG_TEXTS.items() if k not in elsewhere}
    assert spoken == expected


def test_vendored_files_are_those_that_are_stated():
    vendor = PAGE / "vendor"
    stated = dict(
        re.findall(
            r"\| `([^`]+)` \| \d+ \| `([0-9a-f]{64})` \|",
            (vendor / "VENDORED.md").read_text("utf-8"),
        )
    )
    found = {
        path.relative_to(vendor).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in vendor.rglob("*")
        if path.is_file() and path.name != "VENDORED.md"
    }
    assert stated == found


def test_build_writes_a_site_and_overwrites_nothing(tmp_path, site):
    command = [sys.executable, ROOT / "export/web/build.py", "--model", "xray_nano"]
    command += ["--out", tmp_path / "site"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    for name, data in site.items():
        assert (tmp_path / "site" / name).read_bytes() == data
    sums = (tmp_path / "site/SHA256SUMS").read_text().splitlines()
    assert len(sums) == len(site)
    for line in sums:
        digest, name = line.split("  ")
        assert hashlib.sha256(site[name]).hexdigest() == digest
    with pytest.raises(ValueError, match="not an empty folder"):
        write_site(site, tmp_path / "site")


def test_models_that_the_page_cannot_use(monkeypatch):
    with pytest.raises(ValueError, match="no such model"):
        build_site("xray_huge")
    with pytest.raises(ValueError, match="for chest X-rays, this model is for ct"):
        build_site("ct_small")

    class Float:
        def __init__(self, **content):
            self.get_input_details = lambda: {"image": {"dtype": np.float32}}
            self.get_output_details = self.get_input_details

        def get_signature_runner(self, name):
            return self

    monkeypatch.setattr("ai_edge_litert.interpreter.Interpreter", Float)
    with pytest.raises(ValueError, match="take and give uint8"):
        build_site("xray_nano")
