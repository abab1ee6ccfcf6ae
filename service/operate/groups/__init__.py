"""What the rules of security groups are used for, told by flow logs.

``usage`` counts and ``text`` tells it, both without I/O; ``account`` asks EC2 for rules, groups and interfaces.
"""
