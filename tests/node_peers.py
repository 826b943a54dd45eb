"""Films, a node and its counterparts, for the tests of the node."""

import contextlib
import gc
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE

from covseg_tf.edge import draw_phantom

ROOT = "1.2.826.0.1.3680043.10.511.3.77"
SYSTEM = "/usr/local/bin:/usr/bin:/usr/sbin"
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


def film(seed=1, size=256, sop_class=ComputedRadiographyImageStorage, **values):
    """A phantom's film, in a study of its own."""
    image = draw_phantom(seed, 0.4, size).image
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = sop_class
    made.SOPInstanceUID = f"{ROOT}.{seed}.1"
    made.StudyInstanceUID, made.SeriesInstanceUID = (
        f"{ROOT}.{seed}.2",
        f"{ROOT}.{seed}.3",
    )
    made.Modality = "CR" if sop_class == ComputedRadiographyImageStorage else "DX"
    made.PatientID, made.PatientName = f"P-{seed}", "Phantom^Änne"
    made.PatientBirthDate, made.PatientSex = "19500101", "O"
    made.StudyDate, made.StudyTime, made.StudyID = "20200401", "101500", "1"
    made.AccessionNumber, made.ReferringPhysicianName = f"A-{seed}", ""
    made.SeriesNumber = made.InstanceNumber = 1
    made.Manufacturer, made.BodyPartExamined = "none", "CHEST"
    made.ViewPosition, made.PatientOrientation = "PA", ["L", "F"]
    made.Rows, made.Columns = image.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = image.tobytes()
    for name, value in values.items():
        setattr(made, name, value)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def ct_slice(number, size=64):
    """A slice of a cylinder with two holes, in HU; all of one series."""
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    body = np.where(rows**2 + columns**2 < 0.2, 40, -1000)
    lungs = (np.abs(columns) - 0.2) ** 2 / 0.01 + rows**2 / 0.06 < 1
    image = np.where(lungs, -820, body) + 1024
    made = film(3000, 64, "1.2.840.10008.5.1.4.1.1.2", Modality="CT")
    made.SOPInstanceUID = f"{ROOT}.3000.{100 + number}"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.FrameOfReferenceUID, made.InstanceNumber = f"{ROOT}.3000.4", number
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient = [0, 0, 5 * number]
    made.PixelSpacing, made.SliceThickness = [5, 5], 5
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.PixelData = image.astype("<u2").tobytes()
    return made


def write_film(path, *words, **values):
    film(*words, **values).save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(autouse=True, scope="module")
def sockets_are_collected():
    """pynetdicom leaves the socket of a connection that failed to the collector."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def associate(port, title="ANY", called="COVSEG"):
    ae = AE(title)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 20
    ae.add_requested_context("1.2.840.10008.1.1")
    classes = (
        *(ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation),
        *("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.2"),
    )
    for sop_class in classes:
        ae.add_requested_context(
            sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        )
    return ae.associate("127.0.0.1", port, ae_title=called)


def send(port, *films, **words):
    """Returns the statuses of the answers, `None` where there was none."""
    link = associate(port, **words)
    if not link.is_established:
        return [None] * len(films)
    try:
        return [link.send_c_store(each).get("Status") for each in films]
    except (ValueError, RuntimeError):
        return [None] * len(films)
    finally:
        if link.is_established:
            link.release()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for(check, seconds=60.0, every=0.1):
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(every)
    return found


class Orthanc:
    """Debian's Orthanc in a folder of its own, with DICOMweb."""

    def __init__(self, folder: pathlib.Path, node_port=104):
        self.port, self.http = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        folder.mkdir(exist_ok=True)
        self._config = folder / "orthanc.json"
        self._config.write_text(
            json.dumps(
                {
                    "StorageDirectory": str(folder),
                    "IndexDirectory": str(folder),
                    "HttpPort": self.http,
                    "DicomPort": self.port,
                    "DicomAet": "ORTHANC",
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": False,
                    "OverwriteInstances": False,
                    "Plugins": [PLUGIN] if pathlib.Path(PLUGIN).exists() else [],
                    "DicomModalities": {"node": ["COVSEG", "127.0.0.1", node_port]},
                }
            )
        )
        self.start()

    def start(self):
        with (self._config.parent / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [shutil.which("Orthanc", path=SYSTEM), self._config],
                stdout=log,
                stderr=log,
            )
        wait_for(self._is_up_or_ended)

    def stop(self):
        self._process.terminate()
        self._process.wait(30)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return json.load(answer)

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, body.encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def of_study(self, uid):
        """SOP classes and files of a study's objects."""
        found = self.post("/tools/lookup", uid)
        path = [each["Path"] for each in found if each["Type"] == "Study"]
        if not path:
            return []
        return self.get(f"{path[0]}/instances")

    def download(self, identity, path):
        url = f"{self.url}/instances/{identity}/file"
        with urllib.request.urlopen(url, timeout=20) as answer:
            path.write_bytes(answer.read())
        return path

    def _is_up_or_ended(self):
        assert self._process.poll() is None, f"ended: {self._config.parent}/log"
        with contextlib.suppress(OSError):
            return self.get("/system")
        return None


class NodeProcess:
    """`covseg node` as it is started by a supervisor."""

    def __init__(self, store, port, *words):
        self._words = [str(store), "--port", port, "--page-port", 0, *words]
        self.port = port

    def start(self):
        command = [sys.executable, "-m", "covseg_tf.cli", "node", *self._words]
        self._process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        line = self._process.stdout.readline().decode()
        assert line.startswith("Node COVSEG at 127.0.0.1:"), line
        return self

    def kill(self):
        self._process.kill()
        self._end()

    def stop(self):
        self._process.terminate()
        assert self._end() == 0

    def _end(self):
        code = self._process.wait(60)
        self._process.stdout.close()
        return code
