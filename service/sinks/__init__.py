"""Where results go: recent scores, the index and dead letters."""
