"""The same detector as a job of Apache Flink: the pure core, driven by key group instead of by shard.

``group`` is free of Flink; ``job`` needs the package apache-flink, which lies in an environment of its own.
"""

from service.flink import plain_print as plain_print  # first, before anything imports numba
