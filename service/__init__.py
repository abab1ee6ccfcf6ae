"""The Cutwater process: reads a Kinesis stream, has its readings scored, serves and indexes the scores."""

from importlib.metadata import version

__version__ = version("cutwater")


class UserError(Exception):
    """Something that the user can mend. The message says what is wrong and what to do; the command ends with it."""

    exit_code = 1


class StateError(UserError):
    """A store of state cannot be used, and waiting will not help; the message names the remedy."""
