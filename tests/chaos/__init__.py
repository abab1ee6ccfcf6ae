"""Kills, outages and reshardings under load; afterwards every document must be that of an undisturbed run.

``python -m tests.chaos --help`` says how. All is real: the stream, the writer, the workers and the index are
processes, and they are really killed. What is compared is each document as a whole, by its id: scores, event time,
arrival time and position included. Nothing is left out, because nothing in a document comes from a worker's clock. Of a
dead letter, when it was given up is left out, for that is by the clock of whoever gave it up.
"""
