"""What every forest promises, whichever engine grows it."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detector.forest.backends import ENGINES, make_forest, restore_forest
from detector.forest.forest import Forest, Parameters
from detector.snapshot_format import VERSION
from detector.types import Floats

# Shapes of a forest that differ in how it works inside.
LINE = Parameters(trees=9, samples=32)
PLANE = Parameters(dimensions=2, trees=9, samples=32)
SHINGLES = Parameters(trees=9, samples=32, shingle=4)
WIDE = Parameters(dimensions=3, trees=5, samples=32, shingle=4)
SLIDING = Parameters(trees=9, samples=32, time_decay=math.inf)
UNIFORM = Parameters(dimensions=2, trees=9, samples=32, time_decay=0.0)
GATED = Parameters(trees=9, samples=32, gate=1.5)
GATED_SHINGLES = Parameters(trees=9, samples=32, shingle=4, gate=1.5)
ALL = [LINE, PLANE, SHINGLES, WIDE, SLIDING, UNIFORM, GATED, GATED_SHINGLES]

every_engine = pytest.mark.parametrize("engine", ENGINES)
every_shape = pytest.mark.parametrize("parameters", ALL, ids=lambda p: f"{p.width}-gate{p.gate}-decay{p.time_decay}")


def noise(parameters: Parameters, n: int, seed: int = 0) -> Floats:
    """Normal noise with some ties: every third reading is rounded."""
    values = np.random.default_rng(seed).normal(10.0, 1.0, (n, parameters.dimensions))
    values[::3] = values[::3].round(1)
    return values


def wave(n: int) -> Floats:
    return np.sin(np.arange(n) * 2 * np.pi / 16).round(6)[:, None]


@every_engine
@every_shape
class TestStream:
    def test_scores_nothing_until_it_has_seen_enough(self, engine: str, parameters: Parameters) -> None:
        scores = make_forest(parameters, engine).process(noise(parameters, 60))
        assert (scores[:32] == 0).all()
        assert (scores[32:] > 0).all()

    def test_a_score_precedes_the_learning(self, engine: str, parameters: Parameters) -> None:
        values = noise(parameters, 60)
        whole, steps = make_forest(parameters, engine), make_forest(parameters, engine)
        expected = whole.process(values)
        for value, score in zip(values, expected, strict=True):
            assert steps.score(value[None])[0] == score
            steps.process(value[None])
        assert steps.seen == whole.seen == 60

    def test_batches_do_not_matter(self, engine: str, parameters: Parameters) -> None:
        values = noise(parameters, 90)
        whole, parts = make_forest(parameters, engine), make_forest(parameters, engine)
        expected = whole.process(values)
        cuts = [0, 1, 2, 5, 33, 34, 50, 81, 90]
        scores = [parts.process(values[a:b]) for a, b in itertools.pairwise(cuts)]
        assert np.concatenate(scores).tobytes() == expected.tobytes()
        assert parts.snapshot() == whole.snapshot()

    def test_a_snapshot_goes_on_as_if_nothing_had_happened(self, engine: str, parameters: Parameters) -> None:
        values = noise(parameters, 80)
        whole = make_forest(parameters, engine)
        expected = whole.process(values)
        for stop in (0, 2, 17, 32, 51):
            first = make_forest(parameters, engine)
            first.process(values[:stop])
            second = restore_forest(first.snapshot())
            assert second.parameters == parameters
            assert second.process(values[stop:]).tobytes() == expected[stop:].tobytes()
            assert second.snapshot() == whole.snapshot()

    def test_update_learns_like_process(self, engine: str, parameters: Parameters) -> None:
        parameters = replace(parameters, gate=None)
        values = noise(parameters, 70)
        scored, unscored = make_forest(parameters, engine), make_forest(parameters, engine)
        scored.process(values)
        unscored.update(values)
        assert unscored.snapshot() == scored.snapshot()

    def test_questions_change_nothing(self, engine: str, parameters: Parameters) -> None:
        values = noise(parameters, 50)
        forest = make_forest(parameters, engine)
        forest.process(values)
        before = forest.snapshot()
        for ask in (forest.score, forest.attribution, forest.codisp, forest.expected):
            ask(values[:5])
        assert forest.snapshot() == before

    def test_the_seed_determines_all_randomness(self, engine: str, parameters: Parameters) -> None:
        values = noise(parameters, 60)
        same = [make_forest(parameters, engine).process(values) for _ in range(2)]
        other = make_forest(replace(parameters, seed=1), engine).process(values)
        assert same[0].tobytes() == same[1].tobytes()
        assert (same[0] != other).any()

    def test_attribution_sums_to_the_score(self, engine: str, parameters: Parameters) -> None:
        forest = make_forest(parameters, engine)
        values = noise(parameters, 60)
        forest.process(values)
        rows = np.concatenate([values[-3:], values[-3:] + 20.0, values[-3:] - 20.0])
        parts = forest.attribution(rows)
        assert parts.shape == (9, parameters.width, 2)
        assert (parts >= 0).all()
        np.testing.assert_allclose(parts.sum(axis=(1, 2)), forest.score(rows), rtol=1e-5)

    def test_attribution_points_at_the_value_and_the_direction(self, engine: str, parameters: Parameters) -> None:
        forest = make_forest(parameters, engine)
        forest.process(noise(parameters, 80))
        newest = (parameters.shingle - 1) * parameters.dimensions
        row = np.full((1, parameters.dimensions), 10.0)
        for direction, sign in ((0, 1.0), (1, -1.0)):
            row[0, 0] = 10.0 + sign * 1000.0
            parts = forest.attribution(row)[0]
            assert parts[newest, direction] > 0.8 * parts.sum()

    def test_an_outlier_scores_highest_and_the_expected_value_does_not(
        self, engine: str, parameters: Parameters
    ) -> None:
        forest = make_forest(parameters, engine)
        usual = forest.process(noise(parameters, 150))[50:]
        outlier = np.full((1, parameters.dimensions), 10.0)
        outlier[0, -1] = 100.0
        assert forest.score(outlier)[0] > 0.9 * usual.max()
        expected = forest.expected(outlier)
        assert expected.shape == outlier.shape
        assert np.abs(expected - 10.0).max() < 5.0

    def test_codisp_ranks_an_outlier_first(self, engine: str, parameters: Parameters) -> None:
        forest = make_forest(parameters, engine)
        values = noise(parameters, 100)
        forest.process(values)
        usual = forest.codisp(values[-30:])
        outlier = np.full((1, parameters.dimensions), 200.0)
        assert forest.codisp(outlier)[0] > usual.max()

    def test_an_empty_batch_is_a_batch(self, engine: str, parameters: Parameters) -> None:
        forest = make_forest(parameters, engine)
        nothing = np.zeros((0, parameters.dimensions))
        before = forest.snapshot()
        assert forest.process(nothing).shape == (0,)
        forest.update(nothing)
        assert forest.snapshot() == before
        assert forest.attribution(nothing).shape == (0, parameters.width, 2)

    def test_any_array_of_numbers_will_do(self, engine: str, parameters: Parameters) -> None:
        values = noise(parameters, 50).round()
        expected = make_forest(parameters, engine).process(values)
        read_only = values.copy()
        read_only.flags.writeable = False
        sparse = np.repeat(values, 2, axis=0)[::2]
        for variant in (read_only, np.asfortranarray(values), sparse, values.astype(np.int64)):
            assert make_forest(parameters, engine).process(variant).tobytes() == expected.tobytes()


class TestThreads:
    """Of our own engine; with other parameters than elsewhere, so that batches are worth dividing."""

    @pytest.mark.parametrize(
        "parameters", [replace(LINE, trees=31), replace(SHINGLES, trees=31)], ids=["line", "boxes"]
    )
    def test_do_not_change_anything(self, parameters: Parameters) -> None:
        values = noise(parameters, 3000)
        alone, together = make_forest(parameters), make_forest(parameters, threads=3)
        scores = [together.process(part) for part in (values[:2100], values[2100:2150], values[2150:2600])]
        assert np.concatenate(scores).tobytes() == alone.process(values[:2600]).tobytes()
        alone.update(values[2600:])
        together.update(values[2600:])
        assert together.snapshot() == alone.snapshot()

    def test_refuse_what_one_refuses(self) -> None:
        forest = make_forest(replace(LINE, trees=31), threads=2)
        values = noise(LINE, 1000)
        values[700, 0] = math.nan
        with pytest.raises(ValueError, match=r"values\[700, 0\] is nan"):
            forest.process(values)
        assert forest.seen == 0


@every_engine
class TestValues:
    STREAMS = {  # noqa: RUF012
        "constant": lambda n: np.full(n, 7.25),
        "two values": lambda n: np.arange(n) % 2,
        "integers": lambda n: np.random.default_rng(0).integers(10, 21, n),
        "huge": lambda n: np.random.default_rng(0).choice([-1e300, 1e300, 3.0], n),
        "huge noise": lambda n: np.random.default_rng(0).normal(0, 1e300, n),
        "extremes": lambda n: np.random.default_rng(0).choice([-1.7e308, 1.7e308], n),
        "counter": lambda n: 2.0**40 + np.arange(n),
    }

    @pytest.mark.parametrize("name", STREAMS)
    @pytest.mark.parametrize("parameters", [LINE, PLANE, SHINGLES], ids=lambda p: str(p.width))
    def test_scores_stay_finite(self, engine: str, name: str, parameters: Parameters) -> None:
        stream: Callable[[int], Any] = self.STREAMS[name]
        values = np.repeat(np.float64(stream(150))[:, None], parameters.dimensions, axis=1)
        forest = make_forest(parameters, engine)
        scores = forest.process(values)
        for result in (scores, forest.attribution(values[:9]), forest.codisp(values[:9]), forest.expected(values[:9])):
            assert np.isfinite(result).all()

    def test_a_break_in_a_wave_is_seen_by_shingles(self, engine: str) -> None:
        values = wave(400)
        values[300] = values[308]
        scores = make_forest(Parameters(trees=20, samples=64, shingle=4), engine).process(values)
        assert np.argmax(scores[100:]) + 100 in range(300, 304)

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_refuses_what_is_not_finite_and_learns_nothing_of_the_batch(self, engine: str, bad: float) -> None:
        forest = make_forest(LINE, engine)
        values = noise(LINE, 20)
        values[7, 0] = bad
        with pytest.raises(ValueError, match=r"values\[7, 0\] is"):
            forest.process(values)
        assert forest.seen == 0

    def test_refuses_another_shape(self, engine: str) -> None:
        with pytest.raises(ValueError, match=r"shape \[n, 2\], not \[4, 3\]"):
            make_forest(PLANE, engine).process(np.zeros((4, 3)))


@every_engine
class TestGate:
    def test_learns_the_rare_and_thins_the_usual(self, engine: str) -> None:
        gated, open_ = make_forest(GATED, engine), make_forest(replace(GATED, gate=1e-9), engine)
        values = noise(GATED, 200)
        gated.process(values)
        open_.process(values)
        assert gated.seen == open_.seen == 200
        assert open_.snapshot() != gated.snapshot()


@every_engine
class TestSnapshot:
    def snapshot(self, engine: str) -> bytes:
        forest: Forest = make_forest(PLANE, engine)
        forest.process(noise(PLANE, 40))
        return forest.snapshot()

    def test_refuses_a_foreign_one(self, engine: str) -> None:
        for foreign in (b"", b"PK\x03\x04" * 10, self.snapshot(engine)[1:]):
            with pytest.raises(ValueError, match="not the snapshot of a forest"):
                restore_forest(foreign)

    def test_refuses_another_version(self, engine: str) -> None:
        snapshot = bytearray(self.snapshot(engine))
        snapshot[8] += 1
        with pytest.raises(ValueError, match=f"version {VERSION + 1}, this program reads version {VERSION}"):
            restore_forest(bytes(snapshot))

    def test_refuses_a_damaged_one(self, engine: str) -> None:
        snapshot = self.snapshot(engine)
        with pytest.raises(ValueError, match="damaged"):
            restore_forest(snapshot[:-1])
        for place in (12, 20, len(snapshot) // 2, len(snapshot) - 1):
            damaged = bytearray(snapshot)
            damaged[place] ^= 4
            with pytest.raises(ValueError, match="damaged"):
                restore_forest(bytes(damaged))


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "value", "allowed"),
        [
            ("dimensions", 0, "from 1 to 1024"),
            ("trees", 1001, "from 1 to 1000"),
            ("samples", 0, "from 1 to 16384"),
            ("shingle", -1, "from 1 to 1024"),
            ("time_decay", -0.1, "0 or greater"),
            ("time_decay", math.nan, "0 or greater"),
            ("output_after", -1, "0 or greater"),
            ("gate", 0.0, "greater than 0"),
            ("seed", -1, "0 or greater"),
        ],
    )
    def test_a_wrong_one_is_named(self, name: str, value: float, allowed: str) -> None:
        with pytest.raises(ValueError, match=rf"{name} must be .*{allowed}, not {value}"):
            Parameters(**{name: value})

    def test_an_unknown_engine_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"engine must be one of .* not 'xgboost'"):
            make_forest(LINE, "xgboost")
