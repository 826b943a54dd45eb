"""Compiled templates, kept as Python keeps compiled modules."""

import contextlib
import pathlib
import sys

import jinja2
from jinja2.bccache import Bucket

from covseg_tf.triage.record.output import write_atomic


class TemplateCache(jinja2.BytecodeCache):
    """Keeps compiled templates beside their sources, where that can be written.

    A tenth of a run on one film was the compiling. What is kept is checked against
    the source and the versions of Jinja and Python.

    Args:
        folder: Where it is kept; made when first needed.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fills a bucket, if its template was kept."""
        with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
            bucket.bytecode_from_string(self._path(bucket).read_bytes())

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keeps what a bucket holds, or does nothing where it may not."""
        if sys.dont_write_bytecode:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            write_atomic(self._path(bucket), bucket.bytecode_to_string())

    def _path(self, bucket):
        tag = sys.implementation.cache_tag
        return self._folder / f"{bucket.key}.{tag}.jinja"
