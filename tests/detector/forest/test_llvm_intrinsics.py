"""Each operation on memory and vectors against the same in plain Python."""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import njit, types

from detector.forest import llvm_intrinsics, llvm_vectors

RANDOM = np.random.default_rng(0)
ROOT = Path(__file__).parents[3]


def compiled(*lines: str, arguments: str, constants: dict[str, Any] | None = None) -> Any:
    """A compiled function of the given body; operations on memory and vectors exist in compiled code only."""
    names = {**vars(llvm_intrinsics), **vars(llvm_vectors), **(constants or {})}
    exec(f"def function({arguments}):\n" + "\n".join(f"    {line}" for line in lines), names)
    return njit(names["function"])


def floats(n: int) -> np.ndarray:
    """Floats with some equal ones among them, and room behind."""
    return np.concatenate([RANDOM.normal(size=n).round(1), np.zeros(16)]).astype(np.float32)


ELEMENTS = {"f32": np.float32, "f64": np.float64, "i64": np.int64, "i32": np.int32, "u32": np.uint32, "u16": np.uint16}


@pytest.mark.parametrize(("name", "kind"), ELEMENTS.items())
def test_elements(name: str, kind: Any) -> None:
    data = np.array([0, 7, -1], kind) if np.dtype(kind).kind in "if" else np.array([0, 7, np.iinfo(kind).max], kind)
    get = compiled(f"return get_{name}(p, i)", arguments="p, i")
    assert [get(data.ctypes.data, i) for i in range(3)] == data.tolist()
    if name != "u32":
        put = compiled(f"set_{name}(p, i, v)", arguments="p, i, v")
        put(data.ctypes.data, 1, np.float32(3) if name == "f32" else 3.0 if name == "f64" else 3)
        assert data[1] == 3


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_depths(kind: Any) -> None:
    data = RANDOM.integers(0, 200, 128).astype(kind)
    address, like, size = data.ctypes.data, kind(0), np.dtype(kind).itemsize
    get = compiled("return get_depth(p, i, like)", arguments="p, i, like")
    assert [get(address, i, like) for i in range(128)] == data.tolist()
    compiled("set_depth(p, i, v, like)", arguments="p, i, v, like")(address, 5, 199, like)
    assert data[5] == 199
    assert compiled("return depth_bytes(like)", arguments="like")(like) == size
    shallower = compiled("return shallower(p, i, depth, like)", arguments="p, i, depth, like")
    for start, depth in itertools.product((0, 3, 60), (0, 1, 100, 255)):
        expected = sum(1 << b for b in range(64 // size) if data[start + b] < depth)
        assert shallower(address, start, depth, like) % 2**64 == expected


def test_bits() -> None:
    trailing = compiled("return trailing_zeros(bits)", arguments="bits")
    leading = compiled("return leading_zeros(bits)", arguments="bits")
    for bits in (1, 2, 3, 0b1011000, 1 << 40, (1 << 62) + 1):
        assert trailing(bits) == len(bin(bits)) - len(bin(bits).rstrip("0"))
        assert leading(bits) == 64 - bits.bit_length()
    assert trailing(0) == leading(0) == 64


def test_move_of_overlapping_places() -> None:
    data = np.arange(40, dtype=np.uint8)
    expected = data.copy()
    expected[5:25] = expected[2:22].copy()
    compiled("move(to, source, count)", arguments="to, source, count")(data.ctypes.data + 5, data.ctypes.data + 2, 20)
    assert (data == expected).all()


def test_a_hint_changes_nothing() -> None:
    data = np.arange(64, dtype=np.float32)
    compiled("prefetch(p, lines)", arguments="p, lines")(data.ctypes.data, 4)
    assert (data == np.arange(64)).all()


def test_sixteen_floats() -> None:
    count_less = compiled("return count_less(p, v)", arguments="p, v")
    count_less_or_equal = compiled("return count_less_or_equal(p, v)", arguments="p, v")
    largest = compiled("return largest(p, blocks)", arguments="p, blocks")
    find = compiled("return find(p, v)", arguments="p, v")
    for blocks in (1, 2, 5):
        data = floats(16 * blocks)
        address, used = data.ctypes.data, data[: 16 * blocks]
        for v in (*used[:3], np.float32(np.inf), np.float32(-np.inf)):
            assert count_less(address, v) == (data[:16] < v).sum()
            assert count_less_or_equal(address, v) == (data[:16] <= v).sum()
        assert largest(address, blocks) == used.max()
        for v in used:
            assert find(address, v) == list(used).index(v)


def total(parts: np.ndarray) -> np.float32:
    """The sum of components as it is defined: in columns of 8, then halves with halves."""
    lanes = parts.reshape(-1, 8)
    sums = np.zeros(8, np.float32)
    for row in lanes:
        sums = sums + row
    while len(sums) > 1:
        sums = sums[: len(sums) // 2] + sums[len(sums) // 2 :]
    return sums[0]


def outside(box: np.ndarray, x: np.ndarray) -> np.float32:
    """How far x lies outside."""
    return total(np.maximum(np.maximum(box[0] - x, x - box[1]), np.float32(0)))


def boxes(n: int, padded: int) -> np.ndarray:
    """Boxes within each other, f32 [n][2][padded]."""
    corners = np.sort(RANDOM.normal(size=(n, 2, padded)), axis=1).astype(np.float32)
    corners[:, 0], corners[:, 1] = np.minimum.accumulate(corners[:, 0]), np.maximum.accumulate(corners[:, 1])
    return corners


@pytest.mark.parametrize("padded", [8, 16, 24, 32])
class TestBoxes:
    def test_distances(self, padded: int) -> None:
        beyond = compiled("return beyond(box, x, padded)", arguments="box, x, padded")
        distance = compiled("return distance(u, v, padded)", arguments="u, v, padded")
        for scale in (0.1, 1.0, 3.0):
            box, x = boxes(1, padded)[0], (scale * RANDOM.normal(size=padded)).astype(np.float32)
            assert beyond(box.ctypes.data, x.ctypes.data, padded) == outside(box, x)
            assert distance(box.ctypes.data, x.ctypes.data, padded) == total(np.abs(box[0] - x))
        assert beyond(box.ctypes.data, box[1].ctypes.data, padded) == 0
        assert distance(x.ctypes.data, x.ctypes.data, padded) == 0

    def test_enlarge(self, padded: int) -> None:
        box, x, result = boxes(1, padded)[0], floats(padded)[:padded], np.zeros((2, padded), np.float32)
        enlarge = compiled("return enlarge(b, low, high, x, padded)", arguments="b, low, high, x, padded")
        sides = enlarge(result.ctypes.data, box[0].ctypes.data, box[1].ctypes.data, x.ctypes.data, padded)
        expected = np.array([np.minimum(box[0], x), np.maximum(box[1], x)])
        assert (result == expected).all()
        assert sides == total(expected[1] - expected[0])

    def test_unite(self, padded: int) -> None:
        a, b = boxes(1, padded)[0], boxes(1, padded)[0]
        result = np.zeros((2, padded), np.float32)
        unite = compiled("return unite(r, a, b, c, d, padded)", arguments="r, a, b, c, d, padded")
        corners = (a[0].ctypes.data, a[1].ctypes.data, b[0].ctypes.data, b[1].ctypes.data)
        sides = unite(result.ctypes.data, *corners, padded)
        expected = np.array([np.minimum(a[0], b[0]), np.maximum(a[1], b[1])])
        assert (result == expected).all()
        assert sides == total(expected[1] - expected[0])
        assert unite(result.ctypes.data, *corners, padded) == -1

    def test_climb(self, padded: int) -> None:
        names = "score, depth, nodes, boxes, x, padded"
        climb = compiled(f"return climb({names})", arguments=names)
        for depth, scale in itertools.product((0, 2, 3, 9), (0.5, 2.0, 5.0)):
            four, x = boxes(4, padded), (scale * RANDOM.normal(size=padded)).astype(np.float32)
            sides = np.array([total(box[1] - box[0]) for box in four])
            score, last = climb(
                np.float32(0.25), depth, tuple(sides.ctypes.data + 4 * i for i in range(4)),
                tuple(box.ctypes.data for box in four), x.ctypes.data, padded)  # fmt: skip
            expected = 0.25
            for level in range(min(4, depth + 1)):
                p = float(outside(four[level], x)) / float(sides[level] + outside(four[level], x))
                expected += p * (1 / (depth - level + 1) - expected)
            assert last == outside(four[3], x)
            assert score == pytest.approx(expected, rel=1e-6)


def test_padding_is_known_from_the_type() -> None:
    padding = compiled("return padding(stored, like)", arguments="stored, like")
    assert [padding(7, kind(0)) for kind in (np.int16, np.int32, np.int64, np.float32)] == [8, 16, 32, 7]
    assert set(llvm_intrinsics.PADDINGS) == {types.int16, types.int32, types.int64}


PROCESSORS = {
    "x86-64": ("x86_64-unknown-linux-gnu", "", "xmm"),
    "haswell": ("x86_64-unknown-linux-gnu", "+avx2", "ymm"),
    "neoverse-n1": ("aarch64-unknown-linux-gnu", "+neon", ".4s"),
}


@pytest.mark.parametrize("processor", PROCESSORS)
def test_vectors_become_instructions_of_other_processors(processor: str) -> None:
    """What no machine here can run is at least translated: Graviton's code uses its vector registers."""
    llvm = pytest.importorskip("llvmlite.binding")
    triple, features, register = PROCESSORS[processor]
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    climb = compiled("return climb(score, depth, nodes, boxes, x, 32)", arguments="score, depth, nodes, boxes, x")
    four = types.UniTuple(types.int64, 4)
    climb.compile((types.float32, types.int64, four, four, types.int64))
    module = llvm.parse_assembly(next(iter(climb.inspect_llvm().values())))
    try:
        target = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, features=features, opt=3)
    except RuntimeError as error:
        pytest.skip(f"this LLVM knows no {triple}: {error}")
    module.triple = triple
    assert register in target.emit_assembly(module)


@pytest.mark.parametrize("processor", ["haswell", "generic"])
def test_operations_hold_on_other_processors(processor: str) -> None:
    """The tests above once more, compiled for processors without AVX-512 and without AVX."""
    if os.environ.get("NUMBA_CPU_NAME"):
        pytest.skip("this is one of them")
    environment = {**os.environ, "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": "", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__)), "-k", "not processors"],
        cwd=ROOT, env=environment, check=True, capture_output=True, timeout=280,
    )  # fmt: skip
