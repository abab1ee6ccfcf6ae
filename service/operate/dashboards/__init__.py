"""Charts for OpenSearch Dashboards and Kibana, made from the table of fields, and a linter for such files.

``cutwater dashboards write deploy/dashboards.ndjson`` writes the committed file.
"""

from service.operate.dashboards.charts import Panel, panels
from service.operate.dashboards.lint import lint
from service.operate.dashboards.saved_objects import MARK, VERSIONS, ndjson, saved_objects

__all__ = ["MARK", "VERSIONS", "Panel", "lint", "ndjson", "panels", "saved_objects"]
