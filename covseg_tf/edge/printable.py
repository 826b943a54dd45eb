"""Text from outside, made safe to show."""


def printable(text: str) -> str:
    """Replaces control and unpaired characters, which would act on a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
