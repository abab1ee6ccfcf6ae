"""The operations, one function each: from an account and a request, whose members are checked, to an answer.

All raise KinesisError where AWS refuses.
"""
