"""The readings of many sensors in one compiled call, during which other threads may run.

A sensor's state is found by its address, so it stays where it is: of the states in one call only one is passed, whose
fields say where in a record each field lies.
"""

# mypy: no-warn-return-any, allow-untyped-calls

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.np.arrayobj import populate_array

from detector.alerting.baseline import score_samples
from detector.alerting.driver import Columns, decide
from detector.alerting.state import State, impute_last_value
from detector.forest.llvm_intrinsics import I64, instruction
from detector.jit import jit_entry
from detector.types import Integers


@instruction
def _state_at(typing: Any, template: Any, distance: Any) -> Any:
    """The state that lies so many bytes behind ``template``, of the same layout."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole, offset = arguments
        fields = []
        for number, kind in enumerate(signature.args[0]):
            field = context.make_array(kind)(context, builder, builder.extract_value(whole, number))
            moved = context.make_array(kind)(context, builder)
            address = builder.add(builder.ptrtoint(field.data, I64), offset)
            populate_array(
                moved,
                data=builder.inttoptr(address, field.data.type),
                shape=cgutils.unpack_tuple(builder, field.shape, kind.ndim),
                strides=cgutils.unpack_tuple(builder, field.strides, kind.ndim),
                itemsize=field.itemsize,
                meminfo=None,
            )
            fields.append(moved._getvalue())
        return context.make_tuple(builder, signature.return_type, fields)

    return template(template, types.int64), code


@jit_entry
def process_readings(
    template: State,
    distances: Integers,
    starts: Integers,
    times: Integers,
    values: Any,
    missing: Any,
    decay: float,
    warmup_readings: int,
    alone: bool,
    score: bool,
    seen: Integers,
    columns: Columns,
) -> None:
    """Judge and learn the readings of g sensors, those of a sensor together.

    Args:
        template: the state of any sensor.
        distances: [g] bytes from it to each sensor's own.
        starts: [g + 1] where each one's readings begin, and where the last one's end.
        times, values, missing: [n], [n, d], [n, d] see ``driver.decide``; with ``score`` values may be NaN.
        decay, warmup_readings, alone: the same for all sensors.
        score: whether the readings are also to be scored in closed form; else the column ``score`` is filled in.
        seen: [n] is filled in, with how many readings of its sensor came before each.
        columns: to be filled in.
    """
    c = columns
    for k in range(len(distances)):
        state, a, b = _state_at(template, distances[k]), starts[k], starts[k + 1]
        if score:
            impute_last_value(values[a:b], state.last, missing[a:b])
            score_samples(state, values[a:b], decay, True, c.score[a:b])
        for i in range(a, b):
            seen[i] = state.sensor[0].readings_seen + i - a
        part = Columns(
            c.score[a:b],
            c.grade[a:b],
            c.threshold[a:b],
            c.is_anomaly[a:b],
            c.expected[a:b],
            c.expected_lower[a:b],
            c.expected_upper[a:b],
            c.attribution[a:b],
            c.alert[a:b],
            c.alert_score[a:b],
            c.kind[a:b],
            c.episode_start[a:b],
            c.episode_kind[a:b],
            c.renamed[a:b],
            c.episode_peak[a:b],
            c.episode_readings[a:b],
            c.in_anomaly[a:b],
            c.silence_timeout[a:b],
        )
        decide(state, times[a:b], values[a:b], missing[a:b], warmup_readings, alone, part)
