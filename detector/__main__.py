"""``python -m detector``: compile all kernels for this machine, which takes half a minute once."""

from detector.detector import Configuration, warm_up

warm_up(Configuration())
