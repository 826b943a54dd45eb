"""Whose film it is: by choice, from the header into rows and reports."""

import csv
import dataclasses
import io
import json
import pathlib

import jsonschema
import numpy as np
import pytest
from test_worklist import FACTS, FULL, Drawn

from covseg_tf import cli
from covseg_tf.imaging.dicom.identity import read_identity
from covseg_tf.triage import TriageRow, triage
from covseg_tf.triage.record import schema_text
from covseg_tf.triage.record.patients import by_patient
from covseg_tf.triage.report import to_csv, to_json

pydicom = pytest.importorskip("pydicom")
WHO = {
    "patient_id": "7",
    "patient_name": "Doe^Ann",
    "study_date": "2020-01-31",
    "view_position": "AP",
    "accession_number": "A1",
}


def write_film(path, **elements):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID, dataset.Modality = "1.2.3.4", "DX"
    dataset.Rows = dataset.Columns = 64
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    for name, value in elements.items():
        setattr(dataset, name, value)
    ramp = np.arange(64 * 64, dtype=np.uint32) % 251
    dataset.PixelData = ramp.astype(np.uint8).tobytes()
    dataset.save_as(path, enforce_file_format=True)


def scored(file, percent, **who):
    identity = WHO | who if who.pop("known", True) else None
    return TriageRow(file, involved_percent=percent, identity=identity)


def test_identity_is_what_the_header_says():
    dataset = pydicom.Dataset()
    assert read_identity(dataset) == dict.fromkeys(WHO, "")
    dataset.PatientID, dataset.PatientName = " 7 ", "Doe^Ann"
    dataset.StudyDate, dataset.ViewPosition = "20200131", "AP"
    dataset.AccessionNumber = "A1"
    assert read_identity(dataset) == WHO
    for text, date in (("2020.01.31", "2020-01-31"), ("2020013", ""), ("today", "")):
        assert read_identity({"StudyDate": text})["study_date"] == date
    assert len(read_identity({"PatientID": "7" * 999})["patient_id"]) == 200


def test_rows_say_whose_they_are_only_if_asked(tmp_path):
    (tmp_path / "in").mkdir()
    who = {"PatientID": "7", "PatientName": "Doe^Ann", "StudyDate": "20200131"}
    more = {"ViewPosition": "AP", "AccessionNumber": "A1"}
    write_film(tmp_path / "in/a.dcm", **who, **more)
    for identify in (False, True):
        out = tmp_path / str(identify)
        (row,) = triage([tmp_path / "in"], out, Drawn(), identify=identify)
        assert row.identity == (WHO if identify else None)
        texts = [path.read_text("utf-8") for path in out.glob("*.*") if path.is_file()]
        assert len(texts) == 4
        assert all(("Doe^Ann" in text) == identify for text in texts)
    with pytest.raises(ValueError, match="another --identify setting"):
        triage([tmp_path / "in"], tmp_path / "True", Drawn(), resume=True)
    again = triage(
        [tmp_path / "in"], tmp_path / "True", Drawn(), resume=True, identify=True
    )
    assert again[0].identity == WHO


def test_films_of_a_patient_stand_together_oldest_first():
    rows = [
        scored("late.dcm", 10.0, study_date="2020-03-01"),
        scored("other.dcm", 50.0, patient_id="8"),
        scored("early.dcm", 80.0, study_date="2020-01-01"),
        scored("same-number.dcm", 90.0, patient_name="Roe^Bob"),
        scored("plain.png", 60.0, known=False),
        scored("undated.dcm", 5.0, study_date=""),
        TriageRow("broken.dcm", error="damaged"),
        TriageRow("refused.dcm", flags=("film_rotated",), identity=WHO),
        scored("same-day.dcm", 30.0, study_date="2020-03-01"),
        scored("last.dcm", 45.5, study_date="2020-04-01"),
    ]
    found = {row.file: row.change_percent for row in by_patient(rows)}
    assert list(found) == [
        *("refused.dcm", "broken.dcm", "same-number.dcm", "early.dcm", "late.dcm"),
        *("same-day.dcm", "last.dcm", "undated.dcm", "plain.png", "other.dcm"),
    ]
    assert {name: x for name, x in found.items() if x is not None} == {
        "late.dcm": -70.0,
        "last.dcm": 15.5,
    }
    assert by_patient(rows[::-1]) == by_patient(rows)


def test_json_and_csv_hold_it_and_old_json_stays_valid():
    known = dataclasses.replace(FULL, identity=WHO, change_percent=-1.234)
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    for rows in ([FULL], [known, FULL]):
        validator.validate(json.loads(to_json(rows, FACTS)))
    entries = json.loads(to_json([known, FULL], FACTS))["images"]
    assert entries[0]["identity"] == WHO
    assert entries[0]["change_percent"] == -1.23
    assert "identity" not in entries[1]
    assert TriageRow.from_dict(known.to_dict(decimals=None)) == known
    lines = list(csv.DictReader(io.StringIO(to_csv([known, FULL], FACTS))))
    assert lines[0]["patient_name"] == "Doe^Ann"
    assert lines[0]["change_percent"] == "-1.23"
    assert lines[1]["patient_name"] == ""
    assert "patient_name" not in to_csv([FULL], FACTS)
    with pytest.raises(TypeError, match="identity"):
        TriageRow.from_dict(known.to_dict() | {"identity": {"patient_id": 7}})


def test_the_command_line_has_it(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(
        "covseg_tf.commands.triage.run_triage",
        lambda *_, **words: given.update(words) or 0,
    )
    path = pathlib.Path(tmp_path / "a.dcm")
    write_film(path)
    assert cli.main(["triage", str(path), "--out", str(tmp_path / "out")]) == 0
    assert given["identify"] is False
    words = ["triage", str(path), "--out", str(tmp_path / "out"), "--identify"]
    assert cli.main(words) == 0
    assert given["identify"] is True
