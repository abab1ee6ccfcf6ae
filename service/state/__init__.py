"""What survives a restart: checkpoints, leases and snapshots."""
