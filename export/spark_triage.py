#!/usr/bin/env python
"""Score an archive of images with Apache Spark: one row for each, bad ones too.

    python export/spark_triage.py --input 'FILMS/**' --out ROWS
    spark-submit --master spark://HOST:7077 export/spark_triage.py \\
        --manifest films.csv --out hdfs://HOST/ROWS

--input is a local pattern (quote it), --manifest a text file of paths or a CSV with a
column `file`. Paths are read by the executors. The rows, as those of
export/beam_triage.py, lie in ROWS as Parquet once all are written. What a cluster
needs, and what happens when an executor is lost: docs/batch.md.

Needs: pip install 'covseg-tf[spark]', Java 17. Time: 5 to 14 s to start on an idle
machine; then what each image takes, as with export/beam_triage.py.
"""

import dataclasses
import os
import shutil
import sys

from covseg_tf.options import command, option

LOCAL = "local[*,4]"  # all cores; a task that fails has three more tries


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    input: str | None = option("for example 'FILMS/**'", None, metavar="PATTERN")
    manifest: str | None = option("paths, or a CSV: file", None, metavar="FILE")
    out: str = option("folder of the rows; must not exist")
    model: str = option("bundled model, or a bundle", "xray", metavar="NAME|FILE")
    films_per_task: int = option("what a lost executor may cost, per core", 200)
    master: str = option("else spark-submit's, or this machine", "", metavar="URL")

    def __post_init__(self):
        if (self.input is None) == (self.manifest is None):
            raise ValueError("give one of --input and --manifest.")


def session_builder(master):
    """Returns the builder of a session that only this machine reaches, if local."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("covseg spark_triage")
    # Few paths at a time: memory and progress stay even.
    builder = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", 64)
    builder = builder.config("spark.ui.showConsoleProgress", sys.stderr.isatty())
    if not master and "PYSPARK_GATEWAY_PORT" in os.environ:  # spark-submit's
        return builder
    master = master or LOCAL
    if master.startswith("local"):
        if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
            raise ValueError("there is no Java; install openjdk-17-jre-headless.")
        # Else the workers take the system's Python, and the driver any address.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        for key in ("spark.driver.host", "spark.driver.bindAddress"):
            builder = builder.config(key, "127.0.0.1")
        builder = builder.config("spark.ui.enabled", False)
    return builder.master(master)


def run(options):
    """Runs the job and tells what came of it."""
    from covseg_tf.batch import ImageSource, SparkFiles, run_spark

    builder = session_builder(options.master)
    if options.input:
        source = ImageSource.of_pattern(options.input, SparkFiles())
    else:
        source = ImageSource.of_manifest(options.manifest, SparkFiles())
    try:
        report = run_spark(
            source, options.out, builder, options.model, options.films_per_task
        )
    except RuntimeError as error:
        raise OSError(str(error)) from None
    print(
        f"{report.lines} inputs: {report.lines - report.rows} named again, "
        f"{report.rows} rows written, {report.errors} of them could not be read"
    )
    print(f"Rows: {options.out}")


main = command(__file__, __doc__, Options, run, needs="spark")

if __name__ == "__main__":
    sys.exit(main())
