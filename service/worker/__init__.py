"""The running process: shards are assigned, read, scored and committed."""
