"""Random cut forests: trees, reservoir, quantisation, closed form in one dimension, snapshots and kernels."""
