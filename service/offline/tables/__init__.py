"""The one reader of tables: what ``evaluate``, ``backfill``, ``demo --csv`` and ``simulate --csv`` read.

files: from bytes to text; dialect: from text to rows; numbers and times: what cells say; roles: which column is what;
reader: the sensors' readings.
"""

from service.offline.tables.files import HistoryError, find, stem
from service.offline.tables.reader import History, Table, Window, read, say_once
from service.offline.tables.roles import Columns

__all__ = ["Columns", "History", "HistoryError", "Table", "Window", "find", "read", "say_once", "stem"]
