"""Kernels check no bounds, so the memory around a forest is looked at."""

import numpy as np
import pytest

from detector.forest import layout
from detector.forest.cut_forest import CutForest
from detector.forest.forest import Parameters
from tests.detector.buffers import read

CANARY = 0xA5


@pytest.mark.parametrize("gate", [None, 0.7])
@pytest.mark.parametrize(
    ("dimensions", "shingle", "samples"),
    [(1, 1, 1), (1, 1, 16), (1, 1, 256), (1, 1, 300), (2, 1, 1), (3, 3, 40), (1, 8, 32), (5, 7, 33), (1, 40, 16)],
)
def test_kernels_write_nothing_outside_of_the_forest(dimensions, shingle, samples, gate):
    parameters = Parameters(dimensions, 3, samples, shingle, time_decay=0.3, output_after=1, gate=gate)
    forest = CutForest(parameters)
    size = forest._buffer.nbytes
    memory = np.full(size + 2 * 4096, CANARY, np.uint8)
    start = 4096 - memory.ctypes.data % layout.ALIGNMENT
    inside = memory[start : start + size]
    inside[:] = forest._buffer.view(np.uint8)
    forest._buffer = inside.view(forest._buffer.dtype)
    values = np.random.default_rng(0).normal(0, 3, (8 * samples + 300, dimensions))
    values[::3] = values[::3].round()
    for batch in np.array_split(values, 7):
        forest.process(batch)
        for ask in (forest.score, forest.attribution, forest.codisp, forest.expected):
            ask(batch[:9])
        forest.update(batch[:20])
    assert (memory[:start] == CANARY).all()
    assert (memory[start + size :] == CANARY).all()
    assert not inside[size - layout.SLACK :].any()
    assert read(forest).integers[layout.LEARNT] > 0
