"""The node among real counterparts: Orthanc, DCMTK, dicom3tools."""

import os
import shutil
import subprocess
import threading

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")
pytest.importorskip("highdicom")

from node_peers import (  # noqa: E402
    PLUGIN,
    SYSTEM,
    NodeProcess,
    Orthanc,
    film,
    free_port,
    send,
    sockets_are_collected,  # noqa: F401
    wait_for,
    write_film,
)

from covseg_tf.node import Destination  # noqa: E402
from covseg_tf.node.sender import Sender  # noqa: E402

NAMES = ("Orthanc", "storescu", "echoscu", "dcmcrle", "dcmcjpeg", "dsrdump", "dciodvfy")
# pynetdicom brings a storescu of its own, into the environment's own folder.
PROGRAMS = {name: shutil.which(name, path=SYSTEM) for name in NAMES}
MISSING = [name for name, path in PROGRAMS.items() if not path]
pytestmark = pytest.mark.skipif(
    bool(MISSING),
    reason=f"{', '.join(MISSING)}: apt-get install orthanc orthanc-dicomweb dcmtk "
    "dicom3tools",
)


def run(*words):
    name, *words = map(str, words)
    result = subprocess.run(
        [PROGRAMS[name], *words], capture_output=True, text=True, timeout=120
    )
    return result.returncode, result.stdout + result.stderr


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory, port):
    made = Orthanc(tmp_path_factory.mktemp("orthanc"), port)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def node(tmp_path_factory, orthanc, port):
    store = tmp_path_factory.mktemp("node") / "store"
    to = ["--to", f"pacs=ORTHANC@127.0.0.1:{orthanc.port}"]
    if os.path.exists(PLUGIN):
        to += ["--to", f"web={orthanc.url}/dicom-web"]
    callers = ["--callers", "STORESCU", "ECHOSCU", "ORTHANC", "ANY"]
    made = NodeProcess(store, port, *to, *callers, "--quiet-seconds", "1").start()
    yield made
    made.stop()


def results(orthanc, one, count):
    return wait_for(
        lambda: (
            (found := orthanc.of_study(one.StudyInstanceUID))
            and len(found) == count
            and found
        ),
        120,
    )


def check_objects(orthanc, found, folder):
    """Returns the objects by modality; none has an error for dciodvfy."""
    datasets = {}
    for each in found:
        path = orthanc.download(each["ID"], folder / f"{each['ID']}.dcm")
        _, text = run("dciodvfy", path)
        assert "Error" not in text, text
        dataset = pydicom.dcmread(path)
        datasets[dataset.SOPClassUID.name] = (path, dataset)
    return datasets


def test_storescu_sends_and_orthanc_has_what_is_found(orthanc, node, tmp_path):
    one = film(201)
    path = write_film(tmp_path / "a.dcm", 201)
    assert run("echoscu", "-aec", "COVSEG", "127.0.0.1", node.port)[0] == 0
    sent = ["storescu", "-aec", "COVSEG", "127.0.0.1", node.port, path]
    assert run(*sent)[0] == 0
    assert run(*sent)[0] == 0  # again: one result
    found = results(orthanc, one, 3)
    objects = check_objects(orthanc, found, tmp_path)
    assert set(objects) == {
        "Segmentation Storage",
        "Secondary Capture Image Storage",
        "Comprehensive SR Storage",
    }
    code, text = run("dsrdump", objects["Comprehensive SR Storage"][0])
    assert code == 0
    assert text.count("Percent of lung involved") == 3  # both, right, left
    assert text.count("POLYLINE") == 2
    assert "(%,UCUM," in text
    referenced = objects["Comprehensive SR Storage"][1]
    evidence = referenced.CurrentRequestedProcedureEvidenceSequence[0]
    uids = {
        item.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert uids == {
        one.SOPInstanceUID,
        objects["Segmentation Storage"][1].SOPInstanceUID,
    }


def test_orthanc_routes_a_film_and_gets_its_report(orthanc, node, tmp_path):
    one = film(202, ViewPosition="LL")
    path = write_film(tmp_path / "a.dcm", 202, ViewPosition="LL")
    assert run("storescu", "127.0.0.1", orthanc.port, path)[0] == 0
    (identity,) = [each["ID"] for each in results(orthanc, one, 1)]
    orthanc.post("/modalities/node/store", identity)
    found = results(orthanc, one, 2)
    objects = check_objects(orthanc, found, tmp_path)
    _, text = run("dsrdump", objects["Comprehensive SR Storage"][0])
    assert "lateral_view" in text


@pytest.mark.skipif(not os.path.exists(PLUGIN), reason="needs orthanc-dicomweb")
def test_stow_brings_an_object(orthanc, tmp_path):
    one, sent = film(210), []
    path = write_film(tmp_path / "a.dcm", 210)
    place = Destination.parse(f"web={orthanc.url}/dicom-web")
    sender = Sender(
        place, "COVSEG", lambda key: ([path], "1"), lambda *words: sent.append(words)
    )
    sender.put("key")
    wait_for(lambda: sent == [("key", "1")])
    sender.close()
    assert len(orthanc.of_study(one.StudyInstanceUID)) == 1


def test_a_caller_that_is_not_listed_is_refused(node, tmp_path):
    path = write_film(tmp_path / "a.dcm", 203)
    code, text = run(
        "storescu", "-aet", "STRANGER", "-aec", "COVSEG", "127.0.0.1", node.port, path
    )
    assert code != 0
    assert "Association Rejected" in text


@pytest.mark.parametrize("option", ["--encode-lossless", "--encode-rle"])
def test_packed_films_are_taken_where_they_can_be_read(node, tmp_path, option):
    from covseg_tf.node.association import transfer_syntaxes

    path = write_film(tmp_path / "a.dcm", 204 + len(option))
    packed = tmp_path / "b.dcm"
    if option == "--encode-rle":
        assert run("dcmcrle", path, packed)[0] == 0
        words = ["-xr"]
    else:
        assert run("dcmcjpeg", "+eb", path, packed)[0] == 0
        words = ["-xy"]
    syntax = pydicom.dcmread(
        packed, stop_before_pixels=True
    ).file_meta.TransferSyntaxUID
    assert syntax in transfer_syntaxes()
    sent = ["storescu", *words, "-R", "-aec", "COVSEG", "127.0.0.1", node.port, packed]
    code, text = run(*sent)
    assert code == 0, text


def killed(tmp_path, kills, films):
    """Kills a node at random moments while films come; what comes of each film."""
    rng = np.random.default_rng(26)
    orthanc = Orthanc(tmp_path / "orthanc")
    to = f"pacs=ORTHANC@127.0.0.1:{orthanc.port}"
    node = NodeProcess(tmp_path / "store", free_port(), "--to", to).start()
    made = [film(1000 + number, 256) for number in range(films)]
    acknowledged, ended = set(), threading.Event()

    def come():
        while (left := [o for o in made if o.SOPInstanceUID not in acknowledged]) and (
            not ended.is_set()
        ):
            for one in left:
                if send(node.port, one) == [0]:
                    acknowledged.add(one.SOPInstanceUID)
                ended.wait(0.02)

    thread = threading.Thread(target=come)
    thread.start()
    try:
        for _ in range(kills):
            ended.wait(float(rng.uniform(0.2, 6)))
            node.kill()
            node.start()
        thread.join(600)
        assert len(acknowledged) == films
        wait_for(
            lambda: orthanc.get("/statistics")["CountInstances"] >= 3 * films, 900, 1
        )
        counts = {len(orthanc.of_study(one.StudyInstanceUID)) for one in made}
    finally:
        ended.set()
        thread.join()
        node.stop()
        orthanc.stop()
    return counts, orthanc


@pytest.mark.parametrize(
    ("kills", "films"),
    [(2, 6), pytest.param(30, 200, marks=pytest.mark.slow)],
)
@pytest.mark.filterwarnings(
    "ignore:.*[sS]ocket fd:pytest.PytestUnraisableExceptionWarning"
)
def test_killed_at_random_each_film_has_one_result(tmp_path, kills, films):
    counts, _ = killed(tmp_path, kills, films)
    assert counts == {3}  # Segmentation, overlay and report, once each
