"""Imported by the process from which all workers are forked: afterwards everything that they need is loaded."""

from tests.chaos import scenarios, tied, worker

__all__ = ["scenarios", "tied", "worker"]
tied.end_with_parent()
worker.warm_up()
