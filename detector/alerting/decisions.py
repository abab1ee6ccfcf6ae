"""From views, conditions and a forest's score to a decision, one reading after the other.

Two questions, two paths. *Is this reading anomalous?* The forest of the readings answers: it learns everything, and a
score is compared with the sensor's usual scores, in which an anomaly counts for little; the
thousandth outlier is as anomalous as the first. *Should someone be told?* The views answer, each scored against a
sample behind a **surprise gate**: a reading is learnt with probability (score / GATE)^2, so that the sample keeps what
was rare and thins what is common, and the rare becomes familiar after a few repeats. Their sum counts if it exceeds
every sum of the last ``SUPPRESSION`` readings, less ``FATIGUE`` for each doubling of the earlier ones that did and were
as high: what has been heard before is said less loudly, as an equal point scores less in a leaf that holds many.

An alert opens a *matter*. While it goes on, pauses of ``PAUSE`` readings included, only what is ``LOUDER`` than all of
it so far is told, or what is never the same: a stuck value, a silence. What goes on for two days is told again.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.alerting.change_detectors import (
    ALARM,
    CORRELATION,
    FAST_MEAN,
    MEMORY,
    NORMAL_AFTER,
    PAUSE,
    QUIET,
    SHIFT,
    STATISTIC_KINDS,
    STATISTICS,
    STUCK_RUN,
    TOLD,
    VARIANCE,
    examine,
    forget_hour,
    relate,
    watch_run,
)
from detector.alerting.episode_kind import COURSE, follow, is_slow, likely, set_out
from detector.alerting.features import (
    BINS,
    HOUR,
    MEAN,
    PREDICTIONS,
    SLOTS,
    SMOOTHINGS,
    VIEWS,
    WEIGHTS,
    look,
    resemblance,
)
from detector.alerting.outliers import ADOPTED, FIRST, GROSS, ORDINARY, OUTLIERS, START, bounded, sort_first, sort_value
from detector.alerting.shapes import SHAPE, TAIL_COLUMNS, WINDOW, exceedance, look_at_shape
from detector.forest.closed_form import BLOCK, FARTHEST, HELD, line_insert, line_score, uniform
from detector.jit import entry
from detector.types import LEAST_GRADE, NEVER, NONE, PATTERN_CHANGE, SILENT, SPIKE, STUCK

WARM = 128  # readings that views learn unseen before their first alert
PROVISIONAL = 32  # readings before the first score
GATE = 2.0
DECAY = 0.1  # per sample size, of the samples behind the gate
SUPPRESSION = 80
REFRACTORY = 30  # readings after an alert before the next, and without an anomaly before an episode ends
BRIEF = 10_000.0  # ms; a shorter pause is no silence: fast streams stall for a moment, and nobody could act on it
ALERT = 3.2  # at a reading in five minutes or more
HASTE = 0.5  # more for each doubling of the values a day beyond that: they are as many chances of a false alarm
_NARROW_SENSOR = 4.0  # values; of one that has n times as many, a condition must lie n times as far beyond its limit
NEW_REACH = 5.5  # mean excesses of what is new in the shapes; see ``shapes.exceedance``
NEW_WARM, NEW_WARM_OF_SEVERAL = 600.0, 1500.0  # readings before the first alert by shape
_UNHURRIED, _HASTIEST = 300_000.0, 10_000.0  # milliseconds between readings
YOUNG = 2.0  # more for the views until a day is known: before, what is new may be the season
YOUNG_JUMP = 1.0  # instead, and less and less, after a jump: no season comes so suddenly
JUMP = 5.0  # deviations from the fast mean
LOUDER = 1.0  # as much as HASTE asks for four times the chances
DAY = 86_400_000
_CLOCKLESS = 1000.0 * DAY  # ms; a gap that no sensor pauses for: the device had no clock before
FATIGUE = 0.3
GROSS_FATIGUE = 1.0  # the same for gross outliers, which nothing else makes familiar
NOTED = 2.5  # a sum from which it is remembered
REMEMBERED = 128
REACH = 5.5  # from the usual score to the threshold, in steps from the usual score to the high one
HIGH = 0.95  # of the scores lie below the high one
ALERT_GRADE = 0.75  # of an alert, at least: a monitor on grades above 0.7 catches every alert
_NORMAL = 1.2533  # a normal distribution's standard deviation over its mean absolute deviation

# The columns of ``clock`` (int64) and of ``level`` (float64). SLOW: time at which a slow fault was told or last seen.
# MATTER: time of the last alert; GOING_ON: count at the last reading of its matter. EPISODE: time of the alert that
# began it, 0 for none; EPISODE_FIRST, EPISODE_LAST: counts.
CLOCK = 19  # GROSS_LAST, GROSS_COUNT: of gross outliers; GROSS_ALERT, GROSS_TIME: count and time at their last alert
SEEN, TIME, LATE, LAST_ALERT, PEAKS, SCORED, PAST, SLOW, MATTER, GOING_ON = range(10)
EPISODE, EPISODE_READINGS, EPISODE_FIRST, EPISODE_LAST, EPISODE_KIND = range(10, 15)
GROSS_LAST, GROSS_COUNT, GROSS_ALERT, GROSS_TIME = range(15, CLOCK)
LEVEL = 12  # BROKEN, JUMPED: count at the last broken limit and the last jump; LOUDEST: of the matter
EPISODE_PEAK, USUAL, DEVIATION, TAIL, INTERVAL, LONGEST_GAP, BROKEN, LOUDEST, JUMPED = range(9)
GROSS_PEAK, GROSS_LOUDEST, CLOCK_SETS = range(9, LEVEL)


class State(NamedTuple):
    """All that the decisions of one sensor remember; d values, S points a view, L raw lines of R points."""

    random: NDArray[np.uint64]  # [1]
    clock: NDArray[np.int64]  # [CLOCK]
    counts: NDArray[np.int64]  # [d, VIEWS, 2] of each sample; see ``detector.forest.closed_form``
    offered: NDArray[np.int64]  # [d, VIEWS] points that passed the gate
    level: NDArray[np.float64]  # [LEVEL]
    sums: NDArray[np.float64]  # [SUPPRESSION] ring
    peaks: NDArray[np.float64]  # [REMEMBERED] ring
    last: NDArray[np.float64]  # [d] last value that was not missing
    window: NDArray[np.float64]  # [d, MEAN] ring
    means: NDArray[np.float64]  # [d, SMOOTHINGS, SLOTS]
    visits: NDArray[np.float64]  # [d, SMOOTHINGS, SLOTS]
    levels: NDArray[np.float64]  # [d, SMOOTHINGS]
    misses: NDArray[np.float64]  # [d, SMOOTHINGS, PREDICTIONS]
    profile: NDArray[np.float64]  # [d, BINS] hourly means
    days: NDArray[np.float64]  # [d, BINS] visits of the profile
    memory: NDArray[np.float64]  # [d, MEMORY]
    stats: NDArray[np.float64]  # [d, STATISTICS, 4]
    products: NDArray[np.float64]  # [d, d]
    errors: NDArray[np.float64]  # [d, 2]
    course: NDArray[np.float64]  # [d, COURSE] of the episode
    outliers: NDArray[np.float64]  # [d, OUTLIERS]
    shapes: NDArray[np.float64]  # [d, SHAPE]
    newness: NDArray[np.float64]  # [1, TAIL_COLUMNS] of the sum of the values' shapes
    shape_random: NDArray[np.uint64]  # [1]
    windows: NDArray[np.float32]  # [d, WINDOW, W] earlier shapes
    points: NDArray[np.float64]  # [d, VIEWS, S]
    keys: NDArray[np.float64]  # [d, VIEWS, S]
    squares: NDArray[np.float64]  # [d, VIEWS, S / BLOCK]
    raw_random: NDArray[np.uint64]  # [L]
    raw_counts: NDArray[np.int64]  # [L, 2]
    raw_points: NDArray[np.float64]  # [L, R]
    raw_keys: NDArray[np.float64]  # [L, R]
    raw_squares: NDArray[np.float64]  # [L, R / BLOCK]


def layout(dimensions: int, points: int, lines: int, raw: int) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
    """Type and shape of each field of ``State``."""
    d, f, i = dimensions, np.float64, np.int64
    return {
        "random": (np.uint64, (1,)),
        "clock": (i, (CLOCK,)),
        "counts": (i, (d, VIEWS, 2)),
        "offered": (i, (d, VIEWS)),
        "level": (f, (LEVEL,)),
        "sums": (f, (SUPPRESSION,)),
        "peaks": (f, (REMEMBERED,)),
        "last": (f, (d,)),
        "window": (f, (d, MEAN)),
        "means": (f, (d, SMOOTHINGS, SLOTS)),
        "visits": (f, (d, SMOOTHINGS, SLOTS)),
        "levels": (f, (d, SMOOTHINGS)),
        "misses": (f, (d, SMOOTHINGS, PREDICTIONS)),
        "profile": (f, (d, BINS)),
        "days": (f, (d, BINS)),
        "memory": (f, (d, MEMORY)),
        "stats": (f, (d, STATISTICS, 4)),
        "products": (f, (d, d)),
        "errors": (f, (d, 2)),
        "course": (f, (d, COURSE)),
        "outliers": (f, (d, OUTLIERS)),
        "shapes": (f, (d, SHAPE)),
        "newness": (f, (1, TAIL_COLUMNS)),
        "shape_random": (np.uint64, (1,)),
        "windows": (np.float32, (d, WINDOW, shapes_kept(d, points))),
        "points": (f, (d, VIEWS, points)),
        "keys": (f, (d, VIEWS, points)),
        "squares": (f, (d, VIEWS, -(-points // BLOCK))),
        "raw_random": (np.uint64, (lines,)),
        "raw_counts": (i, (lines, 2)),
        "raw_points": (f, (lines, raw)),
        "raw_keys": (f, (lines, raw)),
        "raw_squares": (f, (lines, -(-raw // BLOCK))),
    }


def shapes_kept(dimensions: int, points: int) -> int:
    """Earlier windows that a value keeps: fewer of each where there are more values, whose surprises add up."""
    return max(points // (2 * dimensions), 128)


def carve(buffer: NDArray[np.uint8], dimensions: int, points: int, lines: int, raw: int) -> State:
    """The state that lies in ``buffer``; its fields are views."""
    fields, at = {}, 0
    for name, (kind, shape) in layout(dimensions, points, lines, raw).items():
        size = np.dtype(kind).itemsize * math.prod(shape)
        fields[name] = buffer[at : at + size].view(kind).reshape(shape)
        at += size
    return State(**fields)


def state_bytes(dimensions: int, points: int, lines: int, raw: int) -> int:
    """Size of a state."""
    return sum(
        np.dtype(kind).itemsize * math.prod(shape) for kind, shape in layout(dimensions, points, lines, raw).values()
    )


def reseed(state: State, seed: int) -> None:
    """Give each generator a state of its own."""
    draws = np.random.SeedSequence(seed).generate_state(2 + len(state.raw_random), np.uint64) | np.uint64(1)
    state.random[0], state.raw_random[:], state.shape_random[0] = draws[0], draws[1:-1], draws[-1]


def begin(state: State, seed: int) -> None:
    """Make a zeroed state that of a sensor never seen."""
    reseed(state, seed)
    state.clock[[TIME, LAST_ALERT, EPISODE_LAST, SLOW, MATTER, GOING_ON, GROSS_LAST, GROSS_ALERT, GROSS_TIME]] = NEVER
    state.level[[BROKEN, JUMPED]] = -np.inf
    state.last[:] = np.nan
    state.memory[:] = np.nan


def forget_when(state: State) -> None:
    """Keep what was learnt but not when, so that the next reading may come at any time and ends no silence or alert."""
    state.clock[[TIME, LAST_ALERT, SLOW, MATTER, GOING_ON, GROSS_LAST, GROSS_ALERT, GROSS_TIME]] = NEVER
    state.clock[EPISODE] = 0
    forget_hour(state.memory)


@entry
def fill(values: Any, last: Any, missing: Any) -> None:
    """Replace NaN by the value's last one (before its first: 0), in place, and say where."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            if values[i, j] != values[i, j]:
                missing[i, j] = True
                values[i, j] = last[j] if last[j] == last[j] else 0.0
            else:
                last[j] = values[i, j]


@entry
def raw_scores(state: State, values: Any, decay: float, learn: bool, out: Any) -> None:
    """Score each one-dimensional reading against all random cut trees of samples of all readings, then learn it."""
    lines, count = len(state.raw_counts), len(values)
    if count == 0:
        return
    for line in range(lines):
        points, keys, squares = state.raw_points[line], state.raw_keys[line], state.raw_squares[line]
        counts, past = state.raw_counts[line], state.clock[PAST]
        for i in range(count):
            v = min(max(values[i, 0], -FARTHEST), FARTHEST)
            if past >= PROVISIONAL:
                out[i] += line_score(points, squares, counts[HELD], v) / lines
            if learn:
                line_insert(points, keys, squares, counts, v, decay * past, state.raw_random[line : line + 1])
                past += 1
    if learn:
        state.clock[PAST] += count


@entry
def threshold_now(level: Any, scored: int, confidence: float) -> float:
    """The score above which a reading is an anomaly: the tail of the sensor's scores, drawn out."""
    if scored < PROVISIONAL:
        return np.inf
    step = max(level[TAIL] - level[USUAL], 0.1 * level[USUAL])
    return float((level[USUAL] + REACH * step) * (2.0 - confidence))


@entry
def get_used(level: Any, scored: int, score: float, is_anomaly: bool) -> None:
    """Count a score among the usual ones; one far above them (at first: above what forests usually say) as less.

    The high score is tracked by steps up at a score above it and down at one below, which balance at HIGH.
    """
    spread = max(_NORMAL * level[DEVIATION], 0.05 * level[USUAL])
    bounded = min(score, level[USUAL] + 3.0 * spread if scored >= PROVISIONAL else 1.5)
    rate = max(1.0 / (scored + 1.0), 1.0 / 512.0)
    level[DEVIATION] += rate * (abs(bounded - level[USUAL]) - level[DEVIATION])
    level[USUAL] += rate * (bounded - level[USUAL])
    if scored < PROVISIONAL:
        level[TAIL] = level[USUAL] + level[DEVIATION]
    else:
        step = max(5.0 / (scored + 1.0), 0.005) * (0.25 if is_anomaly else 1.0)
        level[TAIL] = max(level[TAIL], level[USUAL]) + step * (HIGH if score > level[TAIL] else HIGH - 1.0)


@entry
def patience_now(level: Any, seen: int) -> float:
    """Milliseconds after which a silence is longer than this sensor's own; infinity before that is known."""
    if seen < WARM:
        return np.inf
    return float(max(10.0 * level[INTERVAL], 3.0 * level[LONGEST_GAP], BRIEF))


@entry
def waited(clock: Any, level: Any, time: int) -> float:
    """How far the silence before a reading at ``time`` lies beyond this sensor's own (1: at the limit); learns it."""
    seen = clock[SEEN]
    if clock[TIME] == NEVER:
        return 0.0
    gap = np.float64(time - clock[TIME]) if clock[LATE] == 0 else 0.0  # late readings broke the silence
    if seen < WARM and gap > DAY and level[INTERVAL] < HOUR:  # a clock that was set, unless it happens again
        level[CLOCK_SETS] += 1.0
        if gap > _CLOCKLESS or level[CLOCK_SETS] == 1.0:
            return 0.0
    silence = gap / patience_now(level, seen)
    longest = max(level[LONGEST_GAP], gap if seen < WARM else level[INTERVAL])
    level[LONGEST_GAP] = max(0.9999 * level[LONGEST_GAP], min(gap, 3.0 * longest))
    bounded = min(gap, 10.0 * level[INTERVAL]) if seen > PROVISIONAL else gap
    level[INTERVAL] += max(1.0 / seen, 0.01) * (bounded - level[INTERVAL])
    return float(silence)


@entry
def compare(
    random: Any, seen: int, offered: Any, counts: Any, points: Any, keys: Any, squares: Any, view: Any, scores: Any
) -> float:
    """Score the views of one value against their samples, learn what passes the gate; returns the weighted sum."""
    decay = DECAY / points.shape[1]
    total = 0.0
    for k in range(VIEWS):
        score = line_score(points[k], squares[k], counts[k, HELD], view[k]) if counts[k, HELD] > 0 else 0.0
        scores[k] = score
        total += WEIGHTS[k] * score
        if seen < WARM or uniform(random) <= (score / GATE) ** 2:
            line_insert(points[k], keys[k], squares[k], counts[k], view[k], decay * offered[k], random)
            offered[k] += 1
    return total


@entry
def sum_of_views(counts: Any, points: Any, squares: Any, view: Any) -> float:
    """The weighted sum of the views' scores; nothing is learnt."""
    total = 0.0
    for k in range(VIEWS):
        if counts[k, HELD] > 0:
            total += WEIGHTS[k] * line_score(points[k], squares[k], counts[k, HELD], view[k])
    return total


@entry
def novelty(clock: Any, sums: Any, peaks: Any, total: float) -> float:
    """What is new in a sum of the views' scores: 0 if the recent past had as much, else less what was heard before."""
    seen = clock[SEEN]
    fresh = seen >= WARM
    for k in range(SUPPRESSION):
        if sums[k] >= total:
            fresh = False
            break
    sums[seen % SUPPRESSION] = total
    if not fresh or total < NOTED:
        return total if fresh else 0.0
    before = 0
    for k in range(min(clock[PEAKS], REMEMBERED)):
        if peaks[k] >= total:
            before += 1
    peaks[clock[PEAKS] % REMEMBERED] = total
    clock[PEAKS] += 1
    return float(total - FATIGUE * np.log2(1.0 + before))


@entry
def bar_now(level: Any, dimensions: int) -> float:
    """The alert score above which someone is told."""
    interval = max(level[INTERVAL], _HASTIEST)
    return float(ALERT + HASTE * (max(0.0, np.log2(_UNHURRIED / interval)) + np.log2(dimensions)))


@entry
def youth_now(clock: Any, level: Any) -> float:
    """How far beyond that the views' sum must be, of a sensor whose day is not known yet."""
    age = clock[SEEN] * level[INTERVAL] / DAY
    if age >= 1.0:
        return 0.0
    return YOUNG_JUMP * (1.0 - age) if clock[SEEN] - level[JUMPED] <= MEAN else YOUNG


@entry
def goes_on(clock: Any, time: int) -> bool:
    """Whether the matter of the last alert is still open."""
    return bool(clock[SEEN] - clock[GOING_ON] <= PAUSE and time - clock[MATTER] < NORMAL_AFTER * HOUR)


@entry
def shows_now(clock: Any, time: int) -> bool:
    """Whether the matter of the last alert is still open and was seen but now."""
    return goes_on(clock, time) and bool(clock[SEEN] - clock[GOING_ON] <= REFRACTORY)


@entry
def is_stuck(stats: Any) -> bool:
    """Whether a value is known to be stuck: that it leaves its season and its noise is the same matter."""
    return bool(stats[STUCK_RUN, ALARM] == TOLD)


@entry
def strongest(clock: Any, stats: Any, ratios: Any, time: int) -> tuple[float, int, int, bool]:
    """The condition farthest beyond its limit that was not told yet, or 0 and NONE: how far, and its kind.

    Besides, the kind of the farthest one, told or not, and whether any is in alarm.
    """
    evidence, condition, farthest, looks_like, alarming = 0.0, NONE, 1.0, NONE, False
    for j in range(len(ratios)):
        stuck = is_stuck(stats[j])
        for k in range(STATISTICS):
            kind = STATISTIC_KINDS[k]
            if 1.0 < len(ratios) / _NARROW_SENSOR > ratios[j, k]:
                continue
            if ratios[j, k] > 1.0 and (stuck or (is_slow(kind) and time - clock[SLOW] < DAY)):
                stats[j, k, ALARM] = TOLD
                if is_slow(kind):
                    clock[SLOW] = time
            if ratios[j, k] > max(1.0, evidence) and stats[j, k, ALARM] < TOLD:
                evidence, condition = ratios[j, k], kind
            if ratios[j, k] > farthest:
                farthest, looks_like = ratios[j, k], kind
            alarming |= QUIET < stats[j, k, ALARM] <= TOLD
    return evidence, condition, looks_like, alarming


@entry
def expect(x: float, mean: float, variance: float) -> tuple[float, float]:
    """What a value was expected to be, and how many standard deviations it lies away from that."""
    expected = mean if mean == mean else x
    return expected, abs(x - expected) / np.sqrt(variance) if variance > 0.0 else 0.0


@entry
def spread_floor(x: float, expected: float, variance: float, seen: int) -> float:
    """The spread below which a view of it sees none, so that a constant has one."""
    if seen == 0:
        return float(1e-9 + 1e-6 * abs(x))
    return float(1e-3 * np.sqrt(variance) + 1e-6 * abs(expected) + 1e-12)


@entry
def strangeness(state: State, j: int, x: float, time: int, scale: float, view: Any) -> float:
    """The sum of the views of a gross outlier ``x`` of value j, of which nothing is learnt."""
    look(
        x,
        time,
        state.clock[SEEN],
        state.window[j].copy(),
        state.means[j].copy(),
        state.visits[j].copy(),
        state.levels[j].copy(),
        state.misses[j].copy(),
        scale,
        False,
        view,
    )
    return float(sum_of_views(state.counts[j], state.points[j], state.squares[j], view))


@entry
def learn_value(
    state: State, j: int, x: float, time: int, seen: int, missing: bool, trouble: bool, view: Any, scores: Any, out: Any
) -> float:
    """Look at value j in all views and test it for each condition (``out``), then learn it; the sum of the views."""
    memory = state.memory[j]
    expected, _ = expect(x, memory[FAST_MEAN], memory[VARIANCE])
    look(
        x,
        time + np.int64(memory[SHIFT]) * HOUR,
        seen,
        state.window[j],
        state.means[j],
        state.visits[j],
        state.levels[j],
        state.misses[j],
        spread_floor(x, expected, memory[VARIANCE], seen),
        trouble,
        view,
    )
    total = compare(
        state.random,
        seen,
        state.offered[j],
        state.counts[j],
        state.points[j],
        state.keys[j],
        state.squares[j],
        view,
        scores,
    )
    examine(x, time, missing, memory, state.profile[j], state.days[j], state.stats[j], trouble, out)
    return float(total)


@entry
def learn_anew(state: State, j: int, time: int, view: Any, scores: Any, out: Any) -> None:
    """Forget value j and learn its first readings again, from which gross outliers have been taken."""
    for array in (state.window, state.levels):
        array[j] = 0.0
    state.means[j], state.visits[j], state.misses[j] = 0.0, 0.0, 0.0
    state.profile[j], state.days[j], state.memory[j], state.stats[j] = 0.0, 0.0, np.nan, 0.0
    state.products[j], state.products[:, j], state.errors[j] = 0.0, 0.0, 0.0
    state.counts[j], state.offered[j] = 0, 0
    for k in range(START):
        learn_value(state, j, state.outliers[j, FIRST + k], time, k, False, False, view, scores, out)


@entry
def observe(
    state: State,
    time: int,
    values: Any,
    missing: Any,
    expected: Any,
    distance: Any,
    view: Any,
    scores: Any,
    ratios: Any,
    learnt: Any,
) -> tuple[float, float, int, bool, bool]:
    """Look at a reading's values [d] in all views, test them for each condition, and learn them.

    Writes what each was ``expected`` to be, its ``distance`` from that, how far each condition is from its limit
    (``ratios``, 1: at it), and what was ``learnt`` of it; ``view`` and ``scores`` [VIEWS] are room to work in. Returns
    the greatest sum of the views of a value, that of a gross outlier (0: none), what the former looks like, whether
    that value is known to be stuck, and whether a gross outlier has become ordinary.
    """
    seen, trouble = state.clock[SEEN], shows_now(state.clock, time)
    most, strange, looks_like, known, adopted = 0.0, 0.0, NONE, False, False
    for j in range(len(values)):
        x, memory, stats = bounded(values[j]), state.memory[j], state.stats[j]
        if seen == START and sort_first(state.outliers[j]):
            learn_anew(state, j, time, view, scores, ratios[j])
        sort = sort_value(x, seen, missing[j], state.outliers[j])
        adopted |= sort == ADOPTED
        expected[j], distance[j] = expect(x, memory[FAST_MEAN], memory[VARIANCE])
        if distance[j] > JUMP:
            state.level[JUMPED] = seen
        aside, actual = sort == GROSS, x
        if aside:
            if not missing[j]:
                scale = spread_floor(x, expected[j], memory[VARIANCE], seen)
                strange = max(strange, strangeness(state, j, x, time + np.int64(memory[SHIFT]) * HOUR, scale, view))
            x = state.outliers[j, ORDINARY]
        learnt[j] = x
        total = learn_value(state, j, x, time, seen, missing[j] or aside, trouble, view, scores, ratios[j])
        if aside and not missing[j]:
            watch_run(actual, memory, stats, ratios[j])
        if total > most:
            most, looks_like, known = total, resemblance(scores), is_stuck(stats)
    if len(values) > 1:
        relate(state.memory, state.products, state.errors, state.stats, ratios)
    return most, strange, looks_like, known, adopted


@entry
def look_at_shapes(state: State, values: Any, window: Any, sums: Any) -> float:
    """How far the newness of the shapes exceeds its own past (1: at the limit); learns a reading's ``values`` [d].

    ``window`` [WINDOW] and ``sums`` [W] are room to work in.
    """
    d = len(values)
    if state.clock[SEEN] < START:  # gross outliers are not known yet
        return 0.0
    total = 0.0
    for j in range(d):
        total += look_at_shape(values[j], state.shapes[j], state.windows[j], state.shape_random, window, sums)
    # a sum of many varies less beside its excesses
    reach, warm = NEW_REACH * d**-0.25, NEW_WARM if d == 1 else NEW_WARM_OF_SEVERAL
    return float(exceedance(state.newness[0], total, reach, warm))


@entry
def mark_told(clock: Any, stats: Any, ratios: Any, time: int, condition: int) -> None:
    """Count all that a reading shows as told."""
    clock[LAST_ALERT] = clock[SEEN]
    if is_slow(condition):
        clock[SLOW] = time
    for j in range(len(ratios)):
        for k in range(STATISTICS):
            if ratios[j, k] > 1.0:
                stats[j, k, ALARM] = TOLD


@entry
def is_news(clock: Any, level: Any, time: int, condition: int, loudness: float) -> bool:
    """Whether what is above the bar is more than the matter that goes on, if any does; then it is the matter.

    It begins an episode unless it is more of the same.
    """
    open_matter, unlike = goes_on(clock, time), condition in (SILENT, STUCK)
    if open_matter and not unlike and loudness <= level[LOUDEST] + LOUDER:
        return False
    level[LOUDEST] = max(loudness, level[LOUDEST] if open_matter else 0.0)
    clock[MATTER], clock[GOING_ON] = time, clock[SEEN]
    if unlike or not open_matter:
        clock[EPISODE], clock[EPISODE_FIRST], clock[EPISODE_READINGS] = time, clock[SEEN], 0
        level[EPISODE_PEAK] = 0.0
    return True


@entry
def tell(
    clock: Any,
    level: Any,
    stats: Any,
    ratios: Any,
    time: int,
    silence: float,
    new: float,
    looks_like: int,
    unseen: float,
) -> tuple[bool, float, int, int]:
    """Whether someone is told: of what is new, above the recent past, not just after an alert, not the same matter.

    Returns besides the alert score, the kind of what is told and the kind of fault that the reading shows, told or not.
    """
    seen, open_matter = clock[SEEN], goes_on(clock, time)
    evidence, condition, found, alarming = strongest(clock, stats, ratios, time)
    if silence > max(1.0, evidence):
        evidence, condition, found = silence, SILENT, SILENT
    by_shape = unseen > max(1.0, evidence) and time - clock[SLOW] >= DAY  # a slow fault has new shapes, and so its end
    if by_shape:
        evidence, condition, found = unseen, PATTERN_CHANGE, PATTERN_CHANGE
    bar = bar_now(level, len(ratios))
    proof = bar * (1.0 + 0.25 * np.log2(evidence)) if evidence > 1.0 else 0.0
    loudness = max(proof, new)
    alert_score = 0.0
    if seen - clock[LAST_ALERT] > REFRACTORY or condition == SILENT:
        alert_score = loudness
    elif open_matter:
        level[LOUDEST] = max(level[LOUDEST], loudness)
    if open_matter and (alarming or alert_score > bar):
        clock[GOING_ON] = seen
    alert, kind = False, NONE
    if alert_score > bar + (0.0 if proof > 0.0 else youth_now(clock, level)):
        mark_told(clock, stats, ratios, time, NONE if by_shape else condition)
        if is_news(clock, level, time, condition, loudness):
            alert, kind = True, condition if condition != NONE else looks_like
    return alert, alert_score, kind, found


@entry
def tell_gross(clock: Any, level: Any, time: int, strange: float, limit: float) -> tuple[bool, float]:
    """Whether a gross outlier is an alert, and its alert score.

    They are an incident of their own, so that what is ordinary otherwise is judged as if they had not been.
    """
    seen = clock[SEEN]
    if seen < WARM:
        return False, 0.0
    since = seen - clock[GROSS_LAST]
    recent = level[GROSS_PEAK] if since <= SUPPRESSION else 0.0
    score = strange - GROSS_FATIGUE * np.log2(1.0 + clock[GROSS_COUNT]) if strange > recent else 0.0
    score = max(score, 0.0)
    going_on = since <= PAUSE and time - clock[GROSS_TIME] < NORMAL_AFTER * HOUR
    clock[GROSS_LAST], level[GROSS_PEAK] = seen, max(strange, recent)
    clock[GROSS_COUNT] += 1
    alert = score > limit and (not going_on or score > level[GROSS_LOUDEST] + LOUDER)
    if alert:
        clock[GROSS_ALERT], clock[GROSS_TIME], level[GROSS_LOUDEST] = seen, time, score
        if clock[EPISODE] == 0:
            clock[EPISODE], clock[EPISODE_FIRST], clock[EPISODE_READINGS] = time, seen, 0
            level[EPISODE_PEAK] = 0.0
    return alert, score


@entry
def adopt(clock: Any, level: Any, time: int) -> None:
    """What was a gross outlier is ordinary from now on: what it alerted goes on as the matter of the sensor."""
    seen = clock[SEEN]
    if seen - clock[GROSS_ALERT] <= PAUSE and clock[GROSS_ALERT] > clock[LAST_ALERT]:
        clock[LAST_ALERT], clock[MATTER], clock[GOING_ON] = clock[GROSS_ALERT], clock[GROSS_TIME], seen
        level[LOUDEST] = level[GROSS_LOUDEST]


@entry
def judge(clock: Any, level: Any, score: float, needed: int) -> tuple[float, float]:
    """The threshold of a reading's score, and the grade of the anomaly that it is (0: none); learns the score."""
    scored = clock[SCORED]
    threshold = threshold_now(level, scored, min(clock[SEEN] / needed, 1.0))
    if score > 0.0:
        get_used(level, scored, score, score > threshold)
        clock[SCORED] += 1
    return threshold, max(1.0 - threshold / score, LEAST_GRADE) if score > threshold else 0.0


@entry
def alert_grade(alert_score: float, limit: float) -> float:
    """The grade of an alert: the farther its score lies beyond the limit of alerts, the nearer to 1."""
    return ALERT_GRADE + (1.0 - ALERT_GRADE) * (1.0 - limit / alert_score)


@entry
def share(score: float, attribution: Any) -> None:
    """Divide a score among the values in the ratio of their distances, which it replaces in ``attribution`` [d]."""
    d = len(attribution)
    whole = 0.0
    for j in range(d):
        whole += attribution[j]
    for j in range(d):
        attribution[j] = score * (attribution[j] / whole if whole > 0.0 else 1.0 / d)


@entry
def continue_episode(clock: Any, level: Any, time: int, score: float, is_anomaly: bool) -> bool:
    """Go on with the episode, if there is one, as long as its matter or anomalies do; whether this reading is of it.

    Readings in a pause are of no episode.
    """
    seen = clock[SEEN]
    if clock[EPISODE] == 0:
        return False
    if is_anomaly:
        clock[EPISODE_READINGS] += 1
        level[EPISODE_PEAK] = max(level[EPISODE_PEAK], score)
    if is_anomaly or clock[GOING_ON] == seen:
        clock[EPISODE_LAST] = seen
    shows = bool(seen - clock[EPISODE_LAST] <= REFRACTORY)
    if not shows and not goes_on(clock, time):
        clock[EPISODE] = 0
    return shows


@entry
def name_episode(clock: Any, course: Any, memory: Any, ratios: Any, values: Any, expected: Any, kind: int) -> bool:
    """Follow an episode from its alert, which is of ``kind``; whether it turns out at this reading to be of another."""
    number = clock[SEEN] - clock[EPISODE_FIRST] + 1
    if number == 1:
        clock[EPISODE_KIND] = kind
        set_out(course, memory)
    follow(course, memory, values, expected, number)
    before = clock[EPISODE_KIND]
    clock[EPISODE_KIND] = likely(course, number, before, ratios[:, CORRELATION].max() > 1.0)
    return bool(clock[EPISODE_KIND] != before)


@entry
def decide(
    state: State,
    times: Any,
    values: Any,
    missing: Any,
    needed: int,
    alone: bool,
    score: Any,
    grade: Any,
    threshold: Any,
    is_anomaly: Any,
    expected: Any,
    attribution: Any,
    alert: Any,
    alert_score: Any,
    kind: Any,
    episode_start: Any,
    episode_kind: Any,
    renamed: Any,
    episode_peak: Any,
    episode_readings: Any,
    patience: Any,
) -> None:
    """Decide on each reading in turn and learn it; ``score`` [n] comes from the forest, the other columns go out.

    ``alone``: no other sensors say whether this one was silent, so its own return does.
    """
    clock, level = state.clock, state.level
    view, scores = np.empty(VIEWS), np.empty(VIEWS)
    ratios, learnt = np.zeros((values.shape[1], STATISTICS)), np.empty(values.shape[1])
    window, sums = np.empty(WINDOW, np.float32), np.empty(state.windows.shape[2], np.float32)
    for i in range(len(times)):
        time = max(times[i], clock[TIME])  # a late reading counts as now
        silence = waited(clock, level, time)
        if not alone:
            silence = 0.0
        clock[TIME], clock[LATE] = time, times[i] < time
        total, strange, looks_like, known, adopted = observe(
            state, time, values[i], missing[i], expected[i], attribution[i], view, scores, ratios, learnt
        )
        unseen = look_at_shapes(state, learnt, window, sums)
        if adopted:
            adopt(clock, level, time)
        new = novelty(clock, state.sums, state.peaks, total)
        alert[i], alert_score[i], kind[i], found = tell(
            clock, level, state.stats, ratios, time, silence, 0.0 if known else new, looks_like, unseen
        )
        if strange > 0.0:
            limit = bar_now(level, values.shape[1]) + youth_now(clock, level)
            gross, gross_score = tell_gross(clock, level, time, strange, limit)
            if gross and not alert[i]:
                alert[i], kind[i] = True, SPIKE
            alert_score[i] = max(alert_score[i], gross_score)
        threshold[i], grade[i] = judge(clock, level, score[i], needed)
        if alert[i]:
            grade[i] = max(grade[i], alert_grade(alert_score[i], bar_now(level, values.shape[1])))
        is_anomaly[i] = grade[i] > 0.0
        if is_anomaly[i] and kind[i] == NONE:
            kind[i] = found if found != NONE else SPIKE
        share(score[i], attribution[i])
        shows = continue_episode(clock, level, time, score[i], is_anomaly[i])
        if clock[EPISODE] != 0:
            renamed[i] = name_episode(clock, state.course, state.memory, ratios, learnt, expected[i], kind[i])
        if shows or renamed[i]:
            episode_start[i] = clock[EPISODE]
            episode_kind[i] = clock[EPISODE_KIND]
            episode_peak[i] = level[EPISODE_PEAK]
            episode_readings[i] = clock[EPISODE_READINGS]
        clock[SEEN] += 1
        patience[i] = patience_now(level, clock[SEEN])
