"""Text from outside, made safe to show."""


def printable(text: str) -> str:
    """Replaces control and unpaired characters, which would act on a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
