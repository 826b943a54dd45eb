"""An error that is not of the file's own bytes."""


class PassingError(ValueError):
    """An image that cannot be read now, but may be at another time.

    No permission, a package that is not installed, too little memory: nothing that
    its bytes, unchanged, must lead to again.
    """
