"""Compile kernels for this machine, or read them from where they are kept.

``python -m detector`` compiles what detectors of single values run, which takes half a minute once; ``python -m
detector all`` also what others run; and ``python -m detector 16 more`` the forests of some points only, so that several
processes can share the work.
"""

import argparse

from detector.detector import Configuration, Detector, warm_up

# Most components of a point -> a detector of such points, (dimensions, shingle). Each has kernels of its own; that no
# others are needed: docs/explanation/forest.md, "Start-up".
SHAPES = {"1": (1, 1), "8": (1, 8), "16": (4, 4), "32": (4, 8), "more": (5, 8)}


def compile_for(points: str) -> None:
    """Compile the forest of such points, and for ``"1"`` all else that a detector runs.

    Args:
        points: a key of SHAPES.
    """
    dimensions, shingle = SHAPES[points]
    configuration = Configuration(dimensions=dimensions, shingle=shingle, trees=2)
    if points == "1":
        warm_up(configuration)
    else:
        Detector(configuration, 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m detector", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "points", nargs="*", choices=[*SHAPES, "all"], default="1", help="most components of a point [%(default)s]"
    )
    wanted = parser.parse_args().points
    for each in SHAPES if "all" in wanted else wanted:
        compile_for(each)
