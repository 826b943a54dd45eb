"""Damaged files of every format: films, volumes or a reason, and nothing else."""

import damaged_files as fuzz
import pytest

from covseg_tf.imaging import bytes_sources


def test_two_thousand_damaged_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where an input that surprises would be saved
    report = fuzz.run(2000, seed=1)
    assert report["read"] + report["partly"] + report["refused"] == 2000
    # The damage is no mere noise: it gets past the first look, and is noticed.
    assert report["read"] > 200
    assert report["refused"] > 200
    assert report["peak_mb"] - report["peak_mb_before"] < 300
    assert report["slowest_ms"] < 10_000


def test_every_whole_seed_is_read():
    for name, data in fuzz.draw_seeds().items():
        sources = bytes_sources(name, data)
        assert sources, name
        for source in sources:
            fuzz.check(source.read())


def test_files_cut_anywhere_are_refused():
    """No half film is scored: cut at 60 places, each format says so."""
    for name, data in fuzz.draw_seeds().items():
        for size in range(1, len(data) - 1, max(1, len(data) // 60)):
            for source in bytes_sources(name, data[:size]):
                with pytest.raises(ValueError, match=r"\w"):
                    source.read()


def test_a_surprise_is_saved_and_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def surprise(name, data):
        raise KeyError(name)

    monkeypatch.setattr(fuzz, "read", surprise)
    with pytest.raises(AssertionError, match=r"input 0 \(png\), saved as fuzz_5_0.bin"):
        fuzz.run(3, seed=5)
    assert (tmp_path / "fuzz_5_0.bin").stat().st_size
