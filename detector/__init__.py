"""Anomaly detection on streams of readings: forests, decisions and snapshots.

A pure library: numpy arrays in, numpy arrays out. No I/O, no clock, no logging; all randomness comes from explicit
seeds and is part of every snapshot, so the same readings always get the same scores.
"""
