"""CloudWatch alarms for OpenSearch Service domains and for Cutwater itself: which there should be, and which there are.

``rules`` reads sets of rules, ``domain`` what AWS says of a domain, ``plan`` compares rules with alarms, all without
I/O; ``account`` calls AWS; ``text`` tells it in the words of the scripts that this succeeds; ``job`` does the whole.
"""
