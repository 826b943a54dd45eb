"""One line of the worklist to be, and its reader that never surprises."""

import dataclasses
import pathlib
from collections.abc import Callable

import cv2

from covseg_tf.imaging.film import Film, Volume
from covseg_tf.imaging.passing_error import PassingError


@dataclasses.dataclass(frozen=True)
class Source:
    """One line of the worklist to be: a file, a member of an archive, a frame.

    Attributes:
        name: What the worklist calls it: the path as given; `FILE.zip!MEMBER`,
            `FILE.dcm#2`, `-` for standard input; of a series, the first of its
            files by name. Unique within a run.
        identity: Tells whether it is still the same: size and time of the file,
            or a checksum. Never empty.
        read: Call it for a `Film` or a `Volume`; raises `ValueError` with the
            reason for anything that cannot be read.
        path: The file on disk that it lies in, or `None`.
    """

    name: str
    identity: str
    read: Callable[[], Film | Volume] = dataclasses.field(repr=False)
    path: pathlib.Path | None = None


def guarded(read: Callable[[], Film | Volume]) -> Callable[[], Film | Volume]:
    """Lets nothing but a `ValueError` with one line of reason out of a reader.

    Args:
        read: As `Source.read`, but may raise anything. What is not of the file's
            own bytes becomes a `PassingError`.
    """

    def call():
        kind = ValueError
        try:
            return read()
        except MemoryError:
            kind = PassingError
            reason = "needs more memory than there is."
        except OSError as error:
            kind = PassingError
            reason = f"cannot be read ({error.strerror or error})."
        except cv2.error as error:
            reason = f"cannot be decoded ({error.err})."
        except ValueError as error:
            kind = PassingError if isinstance(error, PassingError) else ValueError
            reason = str(error)
        except Exception as error:  # whatever a hostile file finds in a library
            reason = f"cannot be read ({type(error).__name__}: {error})."
        raise kind(" ".join(reason.split()))

    return call
