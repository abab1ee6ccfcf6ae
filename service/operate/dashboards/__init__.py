"""Charts for OpenSearch Dashboards and Kibana, made from the table of fields, and a linter for such files.

``cutwater dashboards write deploy/dashboards.ndjson`` writes the committed file.
"""

from service.operate.dashboards.charts import Panel, panels
from service.operate.dashboards.definition import DashboardDefinition, DefinitionError, read_definition
from service.operate.dashboards.lint import lint
from service.operate.dashboards.saved_objects import MARK, VERSIONS, event_types, ndjson, recipe_objects, saved_objects

__all__ = [
    "MARK",
    "VERSIONS",
    "DashboardDefinition",
    "DefinitionError",
    "Panel",
    "event_types",
    "lint",
    "ndjson",
    "panels",
    "read_definition",
    "recipe_objects",
    "saved_objects",
]
