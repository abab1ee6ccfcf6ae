"""All settings: ``model`` has the table and ``load``, ``groups`` the fields."""
