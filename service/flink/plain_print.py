"""Import this before numba in PyFlink's workers.

They put a method in the place of ``builtins.print``, and numba looks for print by its name when it is imported.
"""

import builtins

_replaced = builtins.print
builtins.print = getattr(getattr(_replaced, "__self__", None), "_print", _replaced)
try:
    import numba  # noqa: F401
finally:
    builtins.print = _replaced
