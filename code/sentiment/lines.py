"""Text of others as one line."""


def printable(value: object, missing: str = "") -> str:
    """A value as one line that a terminal shows and never obeys: what cannot be printed becomes a blank.

    Half a surrogate pair, which stands for a byte that was no UTF-8, is among it: the result can be encoded.
    """
    if value is None:
        return missing
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
