"""Whom alarms tell: ARNs in the forms that users give them, held against the regions before anything is called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from service import UserError

_ARN = re.compile(
    r"^arn:(?P<partition>aws[\w-]*):(?P<service>[\w-]+):(?P<region>[\w-]+):(?P<account>[\w-]*):(?P<rest>\S+)$"
)
_SERVICES = ("sns", "lambda", "autoscaling", "ssm", "ssm-incidents", "automate", "swf", "aiops")  # that alarms can tell


class NotifyError(UserError):
    """An ARN cannot be told by an alarm of these regions."""

    exit_code = 2


def arns(texts: Iterable[str]) -> list[str]:
    """ARNs from plain ones, several with commas, or the old scripts' text of a list, ``['arn:…', 'arn:…']``."""
    found = []
    for text in texts:
        for part in re.split(r"[\s,]+", text.strip().removeprefix("[").removesuffix("]")):
            word = part.strip("'\"")
            if word.startswith(("u'", 'u"')):
                word = word[2:]
            if not word:
                continue
            match = _ARN.match(word)
            if match is None:
                raise NotifyError(f"notify: {word!r} is no ARN, such as arn:aws:sns:eu-west-1:123456789012:on-call")
            if match["service"] not in _SERVICES:
                raise NotifyError(f"notify: {word}: an alarm cannot tell {match['service']}; give an SNS topic's ARN")
            if word not in found:
                found.append(word)
    return found


def by_region(actions: Sequence[str], regions: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Each region's ARNs: an alarm can only tell what is in its own region. Raises NotifyError."""
    found: dict[str, list[str]] = {region: [] for region in regions}
    for arn in actions:
        region = arn.split(":")[3]
        if region not in found:
            raise NotifyError(f"notify: {arn} is in {region}; alarms in {', '.join(regions)} cannot tell it")
        found[region].append(arn)
    for region, there in found.items():
        if actions and not there:
            raise NotifyError(f"notify: there is no ARN in {region}, and alarms there can only tell what is there, too")
    return {region: tuple(there) for region, there in found.items()}
