"""An image that cannot be had is one clear line for the user, never a traceback."""


class ImageError(Exception):
    """Something is missing or broke; the message is what the user reads."""
