"""The two kinds of trees behind one set of functions.

``tag``, the last argument of each, is a value whose type decides at compile time: uint8 and uint16 stand for sorted
trees with depths of that type, all others for trees of boxes (``detector.forest.llvm_intrinsics.PADDINGS`` says of
which width).
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import overload

from detector.forest import box_tree, sorted_tree


def _of_kind(name: str) -> Any:
    def function(*arguments: Any) -> Any:
        raise NotImplementedError(f"{name} is for compiled code")

    @overload(function, strict=False, jit_options={"error_model": "numpy"})
    def choose(*arguments: Any) -> Any:
        module = sorted_tree if arguments[-1] in (types.uint8, types.uint16) else box_tree
        return getattr(module, name).py_func

    return function


score_run = _of_kind("score_run")
score_across = _of_kind("score_across")
learn = _of_kind("learn")
header_of = _of_kind("header_of")
weights_of = _of_kind("weights_of")
extent = _of_kind("extent")
translate = _of_kind("translate")
attribute = _of_kind("attribute")
codisp = _of_kind("codisp")
impute = _of_kind("impute")
