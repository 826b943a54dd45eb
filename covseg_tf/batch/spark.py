"""Apache Spark: a table of paths in, Parquet out, by Spark's own committer."""

import dataclasses
import functools
import glob
import math
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from covseg_tf.batch.images import ImageSource, absolute, is_remote
from covseg_tf.batch.score_image import load_model, parquet_schema, score_image


class SparkFiles:
    """Local files, and by path those of `s3://`, `gs://`, `hdfs://`: PyArrow's."""

    def match(self, pattern: str, limit: int | None = None) -> Iterator[str]:
        """Yields the paths of the local files that a pattern means."""
        if is_remote(pattern):
            raise ValueError(f"{pattern}: is not listed from here; give a manifest.")
        for path in glob.iglob(pattern, recursive=True, include_hidden=True):
            if not os.path.isdir(path):
                yield path

    def open(self, path: str) -> BinaryIO:
        """Opens a file; packed ones stay packed."""
        if not is_remote(path):
            return open(path, "rb")
        from pyarrow.fs import FileSystem

        store, inside = FileSystem.from_uri(path)
        return store.open_input_stream(inside, compression=None)


@dataclasses.dataclass(frozen=True)
class SparkReport:
    """What a run did.

    Attributes:
        lines: Inputs as listed.
        rows: Inputs that differ, and rows written.
        errors: Rows with an `error`.
    """

    lines: int
    rows: int
    errors: int


def run_spark(
    source: ImageSource,
    out: str,
    builder: Any,
    model: str = "xray",
    films_per_task: int = 200,
) -> SparkReport:
    """Scores all images of a source, one row each, and counts the rows.

    What a task has scored is kept when it ends, so that an executor that is lost
    costs no more than the tasks that it was at; others do them again. The rows
    come to `out` when all are done, `_SUCCESS` last. A run that fails leaves no
    `out`.

    Args:
        source: Images to score; read and scored by the executors.
        out: Folder of the Parquet files, which executors reach; must not exist.
        builder: `SparkSession.builder` with what it needs; the session is started
            once all else is checked, and is not stopped.
        model: Name of a bundled model, or path of a bundle's folder, which each
            executor must find. Defaults to `"xray"`.
        films_per_task: Int >= 1, and a Parquet file. Defaults to 200.

    Returns:
        The report.

    Raises:
        ValueError: If the model or `out` cannot be used, or there is no image.
        RuntimeError: If the job failed, or rows and inputs differ in number.
    """
    if films_per_task < 1:
        raise ValueError(f"`films_per_task` must be above 0. Got: {films_per_task}")
    sha256 = load_model(model)[1]["model_sha256"]
    listed = list(source.images())
    images = dict(listed)  # a name that comes twice has one id
    if not images:
        raise ValueError(f"{source.path}: the files are gone.")
    spark = builder.getOrCreate()
    path = spark._jvm.org.apache.hadoop.fs.Path(absolute(out))
    store = path.getFileSystem(spark._jsc.hadoopConfiguration())
    if store.exists(path):
        whole = store.exists(path.suffix("/_SUCCESS"))
        why = "" if whole else " (without _SUCCESS: no run has ended there)"
        raise ValueError(f"{out}: is there already{why}; give another folder.")
    try:
        rows = _score_all(spark, images, model, sha256, films_per_task)
        files = rows.write.mode("error").option("compression", "zstd")
        # Version 2 would show the rows of each task as it ends.
        files = files.option("mapreduce.fileoutputcommitter.algorithm.version", "1")
        files.parquet(str(path))
        counts = "count(*)", "count(distinct id)", "count_if(error != '')"
        count, ids, errors = spark.read.parquet(str(path)).selectExpr(*counts).first()
        if not count == ids == len(images):
            raise RuntimeError(f"{count} rows of {ids} inputs, not of {len(images)}.")
    except BaseException as error:  # Ctrl-C too: what is there is this run's own
        if "PATH_ALREADY_EXISTS" not in str(error):  # or another's, just now
            store.delete(path, True)
        if not isinstance(error, Exception):
            raise
        lines = [line for line in str(error).splitlines() if "Error: " in line]
        told = (lines or str(error).splitlines() or [type(error).__name__])[-1]
        raise RuntimeError(f"the job failed: {told.strip()[:300]}") from error
    return SparkReport(len(listed), count, errors)


def _score_all(spark, images, model, sha256, films_per_task):
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = parquet_schema()
    columns = schema.names

    def score(frames):
        segmenter, origin = _loaded(model, sha256)
        for frame in frames:
            named = zip(frame["id"], zip(frame["name"], frame["path"]))  # noqa: B905
            rows = [
                score_image(each, segmenter, origin, SparkFiles()) for each in named
            ]
            yield pd.DataFrame(rows, columns=columns, dtype=object)

    names, paths = zip(*images.values(), strict=True)
    table = pa.table({"id": [*images], "name": names, "path": paths})
    tasks = math.ceil(len(images) / films_per_task)
    tasks = max(tasks, min(len(images), spark.sparkContext.defaultParallelism))
    films = spark.createDataFrame(table).repartition(tasks, "id")
    return films.mapInPandas(score, from_arrow_schema(schema))


@functools.lru_cache(maxsize=1)
def _loaded(model, sha256):
    # A Python worker of Spark lives for many tasks, and takes one at a time.
    return load_model(model, sha256)
