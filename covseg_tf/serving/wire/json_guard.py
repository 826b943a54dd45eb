"""Looks at a JSON body before a parser does.

A parser makes an object of 50 to 100 bytes for each `[]` of two bytes. So the
brackets and commas are counted first, against what the signatures can take.
"""

import math
from collections.abc import Iterable

from covseg_tf.serving.errors import TooLarge
from covseg_tf.serving.wire.signature import Signature

# For the objects around the tensors, keys that are passed over, and strings.
_SLACK = 10_000


def check_body(body: bytes, signatures: Iterable[Signature], max_batch: int) -> None:
    """Refuses JSON of more lists or values than any signature needs.

    A signature with an input of unknown size takes any body.

    Raises:
        TooLarge: If there are more than `max_batch` images need.
    """
    needs = [_needs(signature.inputs.values(), max_batch) for signature in signatures]
    most_lists, most_values = map(max, zip((0, 0), *needs, strict=True))
    lists, values = body.count(b"[") + body.count(b"{"), body.count(b",")
    if lists > most_lists or values > most_values:
        raise TooLarge(
            f"The body holds {lists} lists and objects and {values} commas, at most "
            f"{most_lists} and {most_values} are taken: {max_batch} images need no "
            "more. Send smaller batches, or whole image files in base64."
        )


def _needs(specs, max_batch):
    """Returns the most lists, and the most commas between values."""
    lists = values = _SLACK
    for spec in specs:
        if spec.is_open:
            return math.inf, math.inf
        sizes = spec.shape[1:]
        # One list for a row, and one for each place on the levels below.
        nested = sum(math.prod(sizes[:level]) for level in range(len(sizes)))
        lists += 1 + max_batch * nested
        # Full lists have one comma less than values, however they are nested.
        values += max_batch * math.prod(sizes)
    return lists, values
