"""The Cutwater process: reads a Kinesis stream, has its readings scored, serves and indexes the scores."""

from importlib.metadata import version

__version__ = version("cutwater")
