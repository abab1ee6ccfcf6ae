"""Documents that must not change when the code is moved about.

``inputs`` makes streams of records, ``checkout`` lets a checkout of the project read one and gives its documents, and
``digest`` boils the documents down to the files in ``expected/``. ``python -m tests.golden --against FOLDER`` compares
this checkout with another one on this machine, bit for bit.

The files come from commit 8590ca8, the last one before the modules moved into rooms. Those of ``shingled``,
``recording`` and ``recordings`` were made anew when alerts by shape were added, which change alerts and episodes there,
and with ``classic`` when independent readings came to be judged by their own tail.
"""
