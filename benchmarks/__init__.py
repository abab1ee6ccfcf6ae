"""One module a claim; run them with python -m benchmarks.NAME."""
