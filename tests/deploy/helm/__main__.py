"""Render the chart anew: ``python -m tests.deploy.helm``, where there is a ``helm``."""

from tests.deploy.helm import CASES, DIGEST, digest, render, rendered

for case in CASES:
    done = render(case)
    if done.returncode:
        raise SystemExit(done.stderr)
    rendered(case).write_text(done.stdout)
DIGEST.write_text(digest() + "\n")
