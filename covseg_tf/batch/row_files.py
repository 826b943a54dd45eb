"""Rows to and from shards: JSON lines or Parquet."""

import json

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

FORMATS = ("jsonl", "parquet")
_BLOCK = 1 << 20


def parquet_schema():
    """Returns the `pyarrow.Schema` of the rows, in the order of `COLUMNS`."""
    import pyarrow as pa

    text, number, texts = pa.string(), pa.float64(), pa.list_(pa.string())
    return pa.schema(
        [
            ("id", text),
            ("file", text),
            ("kind", text),
            ("involved_percent", number),
            ("involved_percent_right", number),
            ("involved_percent_left", number),
            ("extent", pa.float64()),
            ("zones", pa.int32()),
            ("flags", texts),
            ("notes", texts),
            ("error", text),
            ("model", text),
            ("model_sha256", text),
        ]
    )


class WriteRows(beam.PTransform):
    """Writes rows to `PREFIX-00000-of-00004.jsonl` or `.parquet`.

    Args:
        prefix: Path and beginning of the names.
        form: One of `FORMATS`.
        shards: How many files; 0 (default) lets the runner choose.
    """

    def __init__(self, prefix: str, form: str, shards: int = 0):
        super().__init__()
        self.prefix, self.form, self.shards = prefix, form, shards

    def expand(self, rows):
        """Returns a `PCollection` of the files' names.

        Args:
            rows: `PCollection` of dicts.
        """
        if self.form == "parquet":
            return rows | beam.io.WriteToParquet(
                self.prefix,
                parquet_schema(),
                codec="zstd",
                file_name_suffix=".parquet",
                num_shards=self.shards,
            )
        return (
            rows
            | beam.Map(json.dumps).with_output_types(str)
            | beam.io.WriteToText(
                self.prefix, file_name_suffix=".jsonl", num_shards=self.shards
            )
        )


class ReadIds(beam.PTransform):
    """Reads the ids of rows.

    Args:
        patterns: Of the files; may be empty.
        form: One of `FORMATS`.
    """

    def __init__(self, patterns: list[str], form: str):
        super().__init__()
        self.patterns, self.form = patterns, form

    def expand(self, pbegin):
        """Returns a `PCollection` of ids.

        Args:
            pbegin: Where the pipeline begins.
        """
        patterns = pbegin | beam.Create(self.patterns)
        if self.form == "parquet":
            rows = patterns | beam.io.ReadAllFromParquet(columns=["id"])
        else:
            rows = patterns | beam.io.ReadAllFromText() | beam.Map(json.loads)
        return rows | "Id" >> beam.Map(_id_of).with_output_types(str)


def count_rows(path: str) -> int:
    """Counts the rows of a shard: of Parquet by its footer, else line by line.

    Args:
        path: The file.
    """
    plain = CompressionTypes.UNCOMPRESSED
    with FileSystems.open(path, compression_type=plain) as stream:
        if path.endswith(".parquet"):
            import pyarrow.parquet

            return pyarrow.parquet.ParquetFile(stream).metadata.num_rows
        return sum(
            block.count(b"\n") for block in iter(lambda: stream.read(_BLOCK), b"")
        )


def _id_of(row):
    return row["id"]
