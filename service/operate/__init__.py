"""Commands that set up what stands around a service: the index and its dashboards."""
