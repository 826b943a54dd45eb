"""The node by itself and before pynetdicom's own peers."""

import errno
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import time
import urllib.request

import cv2
import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")
pynetdicom = pytest.importorskip("pynetdicom")

from node_peers import (  # noqa: E402
    NodeProcess,
    associate,
    ct_slice,
    film,
    free_port,
    send,
    sockets_are_collected,  # noqa: F401
    wait_for,
    write_film,
)
from pydicom.sr.codedict import codes  # noqa: E402
from pynetdicom import AE, evt  # noqa: E402

from covseg_tf import cli  # noqa: E402
from covseg_tf.edge.bundle import load_bundle  # noqa: E402
from covseg_tf.node import Destination, Node, NodeSettings  # noqa: E402
from covseg_tf.node.association import transfer_syntaxes  # noqa: E402
from covseg_tf.node.quick_socket import QuickSocket  # noqa: E402
from covseg_tf.node.store import Store, is_uid  # noqa: E402
from covseg_tf.triage.record.row import TriageRow  # noqa: E402
from covseg_tf.triage.report.dicom.encode import encode_report  # noqa: E402
from covseg_tf.triage.report.dicom.series import derived_uid  # noqa: E402
from covseg_tf.triage.report.dicom.structured_report import structured_report  # noqa: E402

UID = "1.2.3.4"
# pynetdicom leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*[sS]ocket fd:pytest.PytestUnraisableExceptionWarning"
)


# ---------------------------------------------------------------- what it is told


def test_a_destination_is_read():
    pacs = Destination.parse("pacs=ORTHANC@127.0.0.1:4242")
    assert pacs == Destination("pacs", "ORTHANC", "127.0.0.1", 4242)
    web = Destination.parse("web=https://pacs.local/dicom-web/")
    assert web.url == "https://pacs.local/dicom-web"


@pytest.mark.parametrize(
    "text",
    [
        *("pacs", "pacs=", "=A@b:1", "../x=A@b:1", "a=A@b", "a=A@b:0", "a=A@b:70000"),
        *("a=file:///etc/passwd", "a=TITLE_OF_17_CHARS@b:1", "a= A@b:1"),
    ],
)
def test_what_is_no_destination_is_refused(text):
    with pytest.raises(ValueError, match="a destination is NAME=TITLE@HOST:PORT"):
        Destination.parse(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"title": "x" * 17}, "AE title has 1 to 16"),
        ({"callers": ("",)}, "AE title has 1 to 16"),
        ({"jobs": 0}, "`jobs` must be at least 1"),
        ({"quiet_seconds": float("nan")}, "`quiet_seconds` must be at least 0"),
        ({"tls_cert": "a.pem"}, "certificate and its key"),
        ({"destinations": (Destination("a"), Destination("a"))}, "have one name"),
    ],
)
def test_settings_that_cannot_be_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        NodeSettings(store="x", **words)


def test_on_the_command_line_a_fault_is_one_line(tmp_path, capsys):
    assert cli.main(["node", str(tmp_path / "s"), "--to", "nowhere"]) == 2
    error = capsys.readouterr().err
    assert "pacs=ORTHANC@127.0.0.1:4242" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_syntaxes_are_those_that_a_decoder_is_there_for():
    syntaxes = transfer_syntaxes()
    assert {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"} <= set(syntaxes)
    assert "1.2.840.10008.1.2.4.90" in syntaxes  # JPEG 2000 comes with [medical]
    has_gdcm = pydicom.pixels.get_decoder(pydicom.uid.JPEGLosslessSV1).is_available
    assert ("1.2.840.10008.1.2.4.70" in syntaxes) == has_gdcm


# -------------------------------------------------------------------- what it keeps


def test_an_object_is_kept_once(tmp_path):
    store = Store(tmp_path)
    assert store.put(UID, UID, b"first")
    assert not store.put(UID, UID, b"second")
    (path,) = store.objects(UID)
    assert path.read_bytes() == b"first"
    assert not list((tmp_path / "incoming").iterdir())


def test_of_a_write_that_fails_nothing_is_left(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.put(UID, UID, b"data")
    assert not store.has(UID, UID)
    assert not list((tmp_path / "incoming").iterdir())


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "1", "1..2", "1.2/../3", "1.2\n", "a.b", "1." + "2" * 64),
        *("../1.2.3", "1.2.3\0", ".1.2", "1.2."),
    ],
)
def test_what_is_no_uid_names_no_file(text):
    assert not is_uid(text)


def finished(store, **words):
    store.put(UID, UID, b"film")
    row = TriageRow("p/1", involved_percent=3.0, flags=("x",))
    store.finish(UID, row, 1)
    path = store.cases / UID / "result.json"
    result = json.loads(path.read_text())
    result["row"] |= words
    path.write_text(json.dumps(result))


def test_a_result_is_read_back(tmp_path):
    store = Store(tmp_path)
    finished(store)
    assert store.row(UID).involved_percent == 3.0
    assert store.row(UID).flags == ("x",)


@pytest.mark.parametrize(
    "words",
    [
        {"dicom_seg": "/etc/passwd"},
        {"dicom_overlay": "dicom/../../../secret"},
        {"dicom_seg": f"dicom/{UID}_seg.dcm"},  # right, but not there
        {"overlay": "overlays/other.jpg"},
        {"lung_mask": "../x"},
        {"involved_percent": "3"},
        {"unknown": 1},
    ],
)
def test_a_result_that_names_what_is_not_its_own_is_made_anew(tmp_path, words):
    store = Store(tmp_path)
    finished(store, **words)
    assert store.row(UID) is None


def test_what_a_power_failure_left_half_is_seen(tmp_path):
    store = Store(tmp_path)
    store.put(UID, UID, b"film")
    store.report_path(UID).write_bytes(b"report")
    row = TriageRow("p/1")
    store.finish(UID, row, 1)
    assert store.is_whole(UID, store.row(UID))
    store.report_path(UID).write_bytes(bytes(6))  # its length alone reached the disk
    assert not store.is_whole(UID, store.row(UID))
    store.report_path(UID).unlink()
    assert not store.is_whole(UID, store.row(UID))


def test_a_late_slice_makes_a_result_old(tmp_path):
    store = Store(tmp_path)
    finished(store)
    store.mark_sent(UID, "pacs", store.version(UID))
    assert store.is_sent(UID, "pacs")
    old = store.version(UID)
    store.put(UID, f"{UID}.5", b"slice")
    assert store.row(UID) is None
    assert store.start(UID) == 2
    assert not store.is_sent(UID, "pacs")
    store.finish(UID, TriageRow("p/1"), 2)
    store.mark_sent(UID, "pacs", old)  # by who was sending the old one meanwhile
    assert not store.is_sent(UID, "pacs")


def test_what_is_removed_is_gone(tmp_path):
    store = Store(tmp_path)
    finished(store)
    store.report_path(UID).write_bytes(b"report")
    store.remove(UID)
    assert store.all_keys() == []
    assert not store.report_path(UID).exists()


def test_uids_are_those_of_what_they_are_made_of():
    bundle = load_bundle("xray")
    one, two = film(1), film(2)
    assert derived_uid([one, two], bundle, "a") == derived_uid([two, one], bundle, "a")
    others = {
        derived_uid(sources, model, what)
        for sources in ([one], [two], [one, two])
        for model in (bundle, load_bundle("ct_small"))
        for what in ("a", "b")
    }
    assert len(others) == 12
    assert all(pydicom.uid.UID(uid).is_valid for uid in others)


# ------------------------------------------------------------------- what it reports


def lung(left):
    mask = np.zeros((256, 256), np.uint8)
    cv2.ellipse(mask, (left, 128), (45, 80), 8, 0, 360, 1, -1)
    return mask > 0


def scored_row():
    names = [
        f"{s}_{t}" for s in ("right", "left") for t in ("upper", "middle", "lower")
    ]
    return TriageRow(
        "p/1",
        involved_percent=20.5,
        involved_percent_right=31.25,
        involved_percent_left=10.0,
        extent=3.0,
        extent_right=2.0,
        extent_left=1.0,
        zones=4,
        zone_percents={name: 10.0 * n for n, name in enumerate(names)},
    )


def groups_of(report):
    parsed = highdicom.sr.ComprehensiveSR.from_dataset(report)
    return parsed.content


def numbers_of(group):
    return {
        (m.name.value, m.unit.value): float(m.value) for m in group.get_measurements()
    }


def test_a_report_has_a_group_with_numbers_and_outline_for_each_lung():
    lungs = {"right": lung(70), "left": lung(186)}
    report = structured_report(scored_row(), [film(1)], load_bundle("xray"), lungs)
    content = groups_of(report)
    (whole,) = content.get_image_measurement_groups()
    assert numbers_of(whole) == {
        ("involved", "%"): 20.5,
        ("extent", "1"): 3.0,
        ("zones", "1"): 4.0,
    }
    right, left = content.get_planar_roi_measurement_groups()
    assert numbers_of(right) == {
        ("involved", "%"): 31.25,
        ("extent", "1"): 2.0,
        ("upper", "%"): 0.0,
        ("middle", "%"): 10.0,
        ("lower", "%"): 20.0,
    }
    assert numbers_of(left)[("lower", "%")] == 50.0
    for group, side, mask in (
        (right, codes.SCT.Right, lungs["right"]),
        (left, codes.SCT.Left, lungs["left"]),
    ):
        assert group.finding_sites[0].laterality == side
        # Middles of pixels are at a half: back to indices to fill them.
        points = np.rint(group.roi.value - 0.5).astype(np.int32)
        assert (points[0] == points[-1]).all()
        drawn = cv2.fillPoly(np.zeros(mask.shape, np.uint8), [points], 1) > 0
        assert (drawn & mask).sum() / (drawn | mask).sum() > 0.98
    texts = [str(item.get("TextValue", "")) for item in report.ContentSequence]
    assert any("RESEARCH USE ONLY" in text for text in texts)
    assert "RESEARCH USE ONLY" in report.SeriesDescription
    assert report.PatientName == "Phantom^Änne"


def test_a_report_is_written_as_pydicom_writes_it(tmp_path):
    lungs = {"right": lung(70), "left": lung(186)}
    report = structured_report(scored_row(), [film(1)], load_bundle("xray"), lungs)
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    assert encode_report(report) == (tmp_path / "report.dcm").read_bytes()


def test_a_report_of_what_was_not_scored_says_why_and_finds_nothing():
    row = TriageRow("p/1", flags=("film_rotated",))
    content = groups_of(structured_report(row, [film(1)], load_bundle("xray")))
    (group,) = content.get_image_measurement_groups()
    assert numbers_of(group) == {}
    assert group.finding_type is None
    (flag,) = group.get_qualitative_evaluations()
    assert flag.value.value == "film_rotated"
    assert content.get_planar_roi_measurement_groups() == []


def test_a_report_of_what_was_not_read_holds_the_reason():
    row = TriageRow("p/1", error="its pixels cannot be decoded (cut short).")
    report = structured_report(row, [film(1)], load_bundle("xray"))
    texts = [str(item.get("TextValue", "")) for item in report.ContentSequence]
    assert row.error in texts


# -------------------------------------------------------------------- who may send


class Peer:
    """A destination that keeps what it gets, and may be told to refuse."""

    def __init__(self, port):
        self.port, self.got, self.status = port, [], 0
        self.ae = AE("PEER")
        for uid in (
            *("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.7"),
            "1.2.840.10008.5.1.4.1.1.88.33",
        ):
            self.ae.add_supported_context(uid)

    def start(self):
        self.server = self.ae.start_server(
            ("127.0.0.1", self.port),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._on)],
        )

    def stop(self):
        self.ae.shutdown()

    def of(self, uid, sop_class="1.2.840.10008.5.1.4.1.1.88.33"):
        return [
            d for d in self.got if d.StudyInstanceUID == uid and is_of(d, sop_class)
        ]

    def _on(self, event):
        if not self.status:
            self.got.append(event.dataset)
        return self.status


def is_of(dataset, sop_class):
    return dataset.SOPClassUID == sop_class


@pytest.fixture(scope="module")
def peer():
    made = Peer(free_port())
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory, peer):
    settings = NodeSettings(
        store=str(tmp_path_factory.mktemp("node") / "store"),
        port=0,
        page_port=0,
        callers=("ANY", "ROOM1"),
        destinations=(Destination("peer", "PEER", "127.0.0.1", peer.port),),
        quiet_seconds=0.5,
        max_associations=20,
        max_object_bytes=4 << 20,
    )
    with Node(settings) as made:
        made.store = settings.store
        yield made


def figures(node):
    text = urllib.request.urlopen(f"{node.url}metrics").read().decode()
    lines = (line.split() for line in text.splitlines() if line[:1] != "#")
    return {name: float(value) for name, value in lines}


def test_it_answers_an_echo(node):
    link = associate(node.port)
    assert link.send_c_echo().Status == 0
    link.release()


def test_an_unknown_caller_is_refused(node):
    assert not associate(node.port, title="STRANGER").is_established
    assert send(node.port, film(90), title="STRANGER") == [None]
    assert send(node.port, film(90), title="ROOM1") == [0]


def test_a_film_comes_back_as_three_objects_and_is_scored_once(node, peer):
    one = film(91)
    assert send(node.port, one, one) == [0, 0]
    reports = wait_for(lambda: peer.of(one.StudyInstanceUID))
    before = figures(node)['covseg_node_cases_total{outcome="scored"}']
    assert send(node.port, one) == [0]
    time.sleep(0.5)
    assert figures(node)['covseg_node_cases_total{outcome="scored"}'] == before
    assert len(peer.of(one.StudyInstanceUID)) == len(reports) == 1
    classes = [
        d.SOPClassUID for d in peer.got if d.StudyInstanceUID == one.StudyInstanceUID
    ]
    assert sorted(classes) == [
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.88.33",
    ]
    content = groups_of(reports[0])
    right, left = content.get_planar_roi_measurement_groups()
    assert right.roi.value[:, 0].mean() < left.roi.value[:, 0].mean()


def test_in_a_film_that_lies_mirrored_the_right_lung_is_on_the_right(node, peer):
    one = film(92, PatientOrientation=["R", "F"])
    image = np.frombuffer(one.PixelData, np.uint8).reshape(256, 256)
    one.PixelData = np.ascontiguousarray(image[:, ::-1]).tobytes()
    assert send(node.port, one) == [0]
    (report,) = wait_for(lambda: peer.of(one.StudyInstanceUID))
    right, left = groups_of(report).get_planar_roi_measurement_groups()
    assert right.finding_sites[0].laterality == codes.SCT.Right
    assert right.roi.value[:, 0].mean() > left.roi.value[:, 0].mean()


def test_a_film_that_is_not_scored_gets_a_report_and_no_masks(node, peer):
    one = film(93, ViewPosition="LL")
    assert send(node.port, one) == [0]
    (report,) = wait_for(lambda: peer.of(one.StudyInstanceUID))
    (group,) = groups_of(report).get_image_measurement_groups()
    assert group.get_qualitative_evaluations()[0].value.value == "lateral_view"
    assert len([d for d in peer.got if d.StudyInstanceUID == one.StudyInstanceUID]) == 1


def test_a_film_that_cannot_be_read_gets_a_report_with_the_reason(node, peer):
    one = film(94, Rows=4000)
    assert send(node.port, one) == [0]
    (report,) = wait_for(lambda: peer.of(one.StudyInstanceUID))
    (group,) = groups_of(report).get_image_measurement_groups()
    assert group.get_qualitative_evaluations()[0].value.value == "not_read"


def test_a_series_of_ct_is_scored_when_it_is_quiet(node, peer):
    slices = [ct_slice(number) for number in range(4)]
    uid = slices[0].StudyInstanceUID
    assert send(node.port, *slices[:3]) == [0, 0, 0]
    (first,) = wait_for(lambda: peer.of(uid))
    evidence = first.CurrentRequestedProcedureEvidenceSequence[0]
    items = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence
    uids = {item.ReferencedSOPInstanceUID for item in items}
    assert {each.SOPInstanceUID for each in slices[:1]} <= uids
    assert send(node.port, slices[3]) == [0]  # late: scored anew, under another UID
    _, second = wait_for(lambda: len(found := peer.of(uid)) == 2 and found)
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_by_tls_a_caller_shows_a_certificate_of_the_authority(tmp_path):
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    for name in ("node", "caller", "stranger"):
        files = ["-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem"]
        subprocess.run([*make.split(), *files], check=True, capture_output=True)
    settings = NodeSettings(
        store=str(tmp_path / "s"),
        **{"port": 0, "page_port": None, "keep_free_bytes": 0},
        tls_cert=str(tmp_path / "node.pem"),
        tls_key=str(tmp_path / "node.key"),
        tls_ca=str(tmp_path / "caller.pem"),
    )

    def echo(port, name):
        context = ssl.create_default_context(cafile=tmp_path / "node.pem")
        context.check_hostname = False
        context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        ae = AE("ANY")
        ae.add_requested_context("1.2.840.10008.1.1")
        link = ae.associate("127.0.0.1", port, tls_args=(context, "127.0.0.1"))
        answer = link.is_established and link.send_c_echo().get("Status")
        if link.is_established:
            link.release()
        return answer

    with Node(settings) as node:
        assert echo(node.port, "caller") == 0
        assert echo(node.port, "stranger") in (False, None)
        assert not associate(node.port).is_established


def test_what_it_sent_itself_starts_no_circle(node):
    one = film(89, sop_class="1.2.840.10008.5.1.4.1.1.7", Manufacturer="covseg_tf")
    assert send(node.port, one) == [0]
    assert figures(node)['covseg_node_objects_total{outcome="own"}'] == 1
    assert not os.path.exists(f"{node.store}/cases/{one.SOPInstanceUID}")


@pytest.mark.filterwarnings("ignore:.*Invalid value for VR UI:UserWarning")
def test_what_has_no_name_of_a_uid_is_refused(node):
    one = film(95, SOPInstanceUID="1.2.3/../../evil")
    assert send(node.port, one) == [0x117]
    assert not os.path.exists(f"{node.store}/evil.dcm")


def test_a_destination_that_is_away_or_refuses_gets_it_later(node, peer):
    one = film(96)
    peer.stop()
    try:
        assert send(node.port, one) == [0]
        wait_for(lambda: figures(node)['covseg_node_cases_unsent{destination="peer"}'])
        time.sleep(1)
    finally:
        peer.status = 0xA700
        peer.start()
    time.sleep(1)
    peer.status = 0
    wait_for(lambda: len(peer.of(one.StudyInstanceUID)) == 1)
    uids = [
        d.SOPInstanceUID for d in peer.got if d.StudyInstanceUID == one.StudyInstanceUID
    ]
    assert len(set(uids)) == 3


def test_a_full_disk_is_answered_and_keeps_what_it_has(tmp_path):
    settings = NodeSettings(
        store=str(tmp_path / "s"), port=0, page_port=None, keep_free_bytes=1 << 60
    )
    with Node(settings) as node:
        assert send(node.port, film(97)) == [0xA700]
    assert Store(tmp_path / "s").all_keys() == []


def test_a_store_belongs_to_one_node(node):
    with (
        pytest.raises(ValueError, match="another run is writing here"),
        Node(NodeSettings(store=node.store, port=0, page_port=None)),
    ):
        pass


def test_the_worklist_is_for_this_machine_and_shows_unscored_first(node, peer):
    for one in (film(93, ViewPosition="LL"), film(91)):
        assert send(node.port, one) == [0]
        wait_for(lambda: peer.of(one.StudyInstanceUID))  # noqa: B023
    text = urllib.request.urlopen(node.url).read().decode()
    assert text.index("Needs a reader") < text.index("Most involved first")
    assert "P-93" in text
    request = urllib.request.Request(node.url, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="421"):
        urllib.request.urlopen(request)


# ----------------------------------------------------------------- what it withstands


def test_a_hundred_open_connections_leave_room_again(node):
    taken = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(100)]
    for each in taken:
        each.close()
    wait_for(lambda: send(node.port, film(90)) == [0], 30)


def damaged(rng):
    """A PDU that is none, or says that it is longer than it is."""
    kind = int(rng.integers(0, 9))
    body = rng.bytes(int(rng.integers(0, 200)))
    length = len(body) if rng.random() < 0.5 else int(rng.integers(0, 2**32))
    return struct.pack(">BBL", kind, 0, length) + body


def send_damaged(port, count):
    rng = np.random.default_rng(26)
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(damaged(rng))


def test_damaged_pdus_end_nothing_but_their_connection(node):
    send_damaged(node.port, 60)
    wait_for(lambda: send(node.port, film(90)) == [0], 60)


@pytest.mark.slow
def test_ten_thousand_damaged_pdus_end_nothing_either(tmp_path):
    process = NodeProcess(tmp_path / "store", free_port()).start()
    send_damaged(process.port, 10_000)
    wait_for(lambda: send(process.port, film(90)) == [0], 120)
    process.stop()


def test_a_pdu_or_object_that_is_too_large_ends_its_connection(node):
    with socket.create_connection(("127.0.0.1", node.port)) as connection:
        connection.sendall(struct.pack(">BBL", 1, 0, 2**32 - 1) + b"x" * 1000)
        connection.settimeout(10)
        assert connection.recv(100)[:1] in (b"", b"\x07")
    large = film(98)
    large.PixelData = bytes(8 << 20)
    assert send(node.port, large) == [None]
    assert send(node.port, film(90)) == [0]


def test_a_quick_socket_reads_what_is_asked_and_counts():
    ours, theirs = socket.socketpair()

    class Wrapped:
        socket = ours

    class Plain:
        def setsockopt(self, *words):
            pass

        def recv(self, count):
            return ours.recv(count)

    Wrapped.socket = Plain()
    quick = QuickSocket(Wrapped, most_pdu=100, most_bytes=150)
    theirs.sendall(b"x" * 300)
    assert quick.recv(100) == b"x" * 100
    with pytest.raises(OSError, match="more bytes than are taken"):
        quick.recv(60)
    quick.start_anew()
    assert len(quick.recv(60)) == 60
    with pytest.raises(OSError, match="more bytes than are taken"):
        quick.recv(107)
    theirs.close()
    ours.close()


def test_films_are_taken_from_a_folder(tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    write_film(folder / "a.dcm", 99)
    (folder / "note.txt").write_text("no film")
    store = Store(tmp_path / "s")
    settings = NodeSettings(
        store=str(tmp_path / "s"), port=0, page_port=None, watch=str(folder)
    )
    with Node(settings):
        wait_for(lambda: store.all_keys() == [film(99).SOPInstanceUID])
    assert sorted(path.name for path in folder.iterdir()) == ["a.dcm", "note.txt"]
