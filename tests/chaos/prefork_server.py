"""Imported by the process from which all workers are forked: afterwards everything that they need is loaded."""

from tests.chaos import scenarios, worker

__all__ = ["scenarios", "worker"]
worker.warm_up()
