"""The settings by what they are about, a module a group; ``service.settings.model`` puts them together.

A group is a ``Table`` with a field a setting: type, default and limits, and a docstring that becomes its help. A field
may itself be a table (``[name]``) or a tuple of tables (``[[name]]``): a class of its own derived from ``Table``. From
the environment and the command line such a field is read as JSON; messages, help and docs come from the same classes.
"""
