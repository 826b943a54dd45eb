"""Shows what griffe would run together: doctests as code, call arguments as a list."""

import re

import griffe

_CALL = re.compile(r"^Call arguments:\n(?:    .*\n?)+", re.M)
_DOCTEST = re.compile(r"^>>> .*(?:\n(?!\s*$).+)*", re.M)


class Docstrings(griffe.Extension):
    """Puts a fence around every doctest, and a dash before every call argument."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        """Called by griffe for each object it has read.

        Args:
            obj: The object; its docstring is changed.
            **kwargs: What else griffe hands on.
        """
        if obj.docstring:
            text = obj.docstring.value
            fenced = _DOCTEST.sub(lambda m: f"```pycon\n{m[0]}\n```", text)
            obj.docstring.value = _CALL.sub(_as_list, fenced)


def _as_list(section):
    return re.sub(r"^    (\w+): ", r"    - `\1`: ", section[0], flags=re.M)
