"""``cutwater alarms``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
from aiobotocore.session import AioSession
from botocore.exceptions import ProfileNotFound

from service import UserError
from service.cli import EXIT_FAILED, EXIT_OK, add_command
from service.cli.options import UsageError, fraction
from service.cli.terminal import progress, say, tell
from service.operate.alarms import job, notify, text
from service.operate.alarms.account import Account, AccountError
from service.operate.alarms.domain import LEAST_FREE
from service.operate.alarms.job import Scope, Survey
from service.operate.alarms.plan import Step, Stream, about
from service.operate.alarms.rules import load

EXAMPLE = (
    "cutwater alarms check --prefix iot --region eu-west-1\n"
    "  cutwater alarms apply --domain iot --rules aws --notify arn:aws:sns:eu-west-1:123456789012:on-call"
)
EXIT_NOT_WELL = 3
ACTIONS = {
    "check": "compare the alarms that there are with the rules; exit code 0 if all is well, 3 if not",
    "plan": "show what apply would do; exit code 3 if there is anything to do",
    "apply": "make missing alarms and change different ones, but none that Cutwater did not make",
    "remove": "delete alarms that Cutwater made",
}


def define(parser: argparse.ArgumentParser) -> None:
    """Its actions, and their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    for name, words in ACTIONS.items():
        example = {
            "plan": "cutwater alarms plan --domain iot --rules aws --region eu-west-1",
            "apply": EXAMPLE.splitlines()[1].strip(),
            "remove": "cutwater alarms remove orphans --region eu-west-1 --dry-run",
        }.get(name, EXAMPLE.splitlines()[0])
        action = add_command(actions, name, words, example)
        if name == "remove":
            text_of_what = "orphans: alarms of domains that are gone; surplus: alarms without a rule; all"
            action.add_argument("what", choices=("orphans", "surplus", "all"), metavar="WHAT", help=text_of_what)
            action.add_argument("--dry-run", action="store_true", help="show what would be deleted, and do nothing")
        _scope(action, name)
        if name != "remove":
            action.add_argument("--json", action="store_true", help="print JSON")
            action.add_argument("-n", "--notify", action="append", default=[], metavar="ARN",
                                help="whom to tell of begin and end; may be repeated [no change]")  # fmt: skip
        if name in ("plan", "apply"):
            action.add_argument(
                "--adopt",
                action="store_true",
                help="also change alarms with Cutwater's names that Cutwater did not make",
            )


def _scope(action: argparse.ArgumentParser, name: str) -> None:
    prefix = ("-e", "--esprefix", "--prefix") if name == "check" else ("--prefix",)
    environment = ("--env",) if name == "check" else ("-e", "--env")
    action.add_argument("-c", "--cluster", "--domain", dest="domains", action="append", default=[], metavar="NAME",
                        help="a domain; may be repeated")  # fmt: skip
    action.add_argument(
        *prefix, dest="prefix", metavar="TEXT", help="domains with names that begin like this [all, unless --stream]"
    )
    action.add_argument("--stream", dest="streams", action="append", default=[], metavar="NAME",
                        help="also Cutwater on this stream, with fan-out NAME/CONSUMER; may be repeated")  # fmt: skip
    action.add_argument("--rules", default="classic", metavar="SET", help="classic, aws, or a TOML file [%(default)s]")
    action.add_argument(*environment, dest="env", default="Test", metavar="NAME",
                        help="beginning of the alarms' names [%(default)s]")  # fmt: skip
    action.add_argument("-f", "--free", type=fraction, default=LEAST_FREE, metavar="MB",
                        help="threshold in MB for nodes of unknown storage [%(default)g]")  # fmt: skip
    action.add_argument("-r", "--region", dest="regions", action="append", default=[], metavar="NAME",
                        help="AWS region; may be repeated [the AWS configuration's, or us-east-1]")  # fmt: skip
    action.add_argument("-p", "--profile", metavar="NAME", help="profile of the AWS configuration")
    action.add_argument("-a", "--account", default="", metavar="NUMBER", help="account number [asked of AWS]")


async def run(options: argparse.Namespace) -> int:
    """The command."""
    regions = list(dict.fromkeys(options.regions or [_usual_region(options.profile)]))
    streams = tuple(Stream(*name.split("/", 1)) for name in options.streams)
    if options.account and not (options.account.isdigit() and len(options.account) == 12):
        raise UsageError(f"--account {options.account}: an account's number has twelve digits")
    if options.action == "remove" and options.what != "orphans" and not _says_which(options):
        raise UsageError("say which with --domain, --prefix or --stream; --prefix '' is all domains")
    everything = not options.domains and not streams and options.prefix is None
    scope = Scope(
        load(options.rules),
        options.env,
        max(options.free, LEAST_FREE),
        "" if everything else options.prefix,
        tuple(options.domains),
        streams,
    )
    given = notify.arns(getattr(options, "notify", []))
    told = notify.by_region(given, regions) if given else {}
    code, answers = EXIT_OK, []
    for region in regions:
        try:
            async with Account(region, options.profile, options.account) as account:
                if options.action == "remove":
                    await _remove(account, scope, options)
                    continue
                well, answer = await _look(account, scope, told.get(region), options)
        except AccountError as error:  # another region may answer
            tell(f"cutwater: {error}")
            answers.append({"region": region, "error": str(error)})
            code = EXIT_FAILED
            continue
        answers.append(answer)
        code = code or (EXIT_OK if well else EXIT_NOT_WELL)
    if getattr(options, "json", False):
        sys.stdout.buffer.write(orjson.dumps({"regions": answers}, option=orjson.OPT_INDENT_2) + b"\n")
    return code


def _says_which(options: argparse.Namespace) -> bool:
    return bool(options.domains or options.streams or options.prefix is not None)


def _usual_region(profile: str | None) -> str:
    try:
        configured = AioSession(profile=profile).get_config_variable("region")
    except ProfileNotFound as error:
        raise UserError(str(error)) from None
    return os.environ.get("AWS_REGION") or configured or "us-east-1"


async def _look(
    account: Account, scope: Scope, told: tuple[str, ...] | None, options: argparse.Namespace
) -> tuple[bool, dict[str, object]]:
    """Check, plan or apply in one region: whether all is well there, and the JSON of it."""
    speak = (lambda line: None) if options.json else say
    if options.action != "plan":
        at = datetime.now(UTC).replace(tzinfo=None)
        place = (
            f", account {account.id} for prefix {scope.prefix or ''} in region {account.region}"
            f" using IAM profile {options.profile or 'default'}"
        )
        speak(f"Starting ... at {at}{place if options.action == 'check' else ''}")
    found = await job.survey(account, scope, told, progress)
    if options.action == "check":
        for line in _check(found, scope):
            speak(line)
        tell(_summary(found))
        return found.well, job.as_json(found)
    due = await job.steps(found, options.adopt)
    if options.action == "plan":
        for line in _plan(found, due):
            speak(line)
        return not due and not found.undescribed, job.as_json(found, due)
    many = len(found.domains) + len(found.undescribed) + len(scope.streams) > 1
    for domain in found.domains:
        for line in [text.LINE, f"Domain {domain.name}"] if many else []:
            speak(line)
        for line in text.storage_lines(domain, [finding.wanted for finding in found.of(domain.name)]):
            speak(line)
        await job.carry_out(found, _about(due, domain.name), speak)
    for stream in scope.streams:
        await job.carry_out(found, _about(due, stream.name), speak)
    for line in _problems(found):
        speak(line)
    if not any(step.do != "leave" for step in due):
        speak("Nothing to do.")
    else:
        speak("Successfully finished creating alarms!")
    return not found.undescribed and all(step.do != "leave" for step in due), job.as_json(found, due)


def _about(due: list[Step], name: str) -> list[Step]:
    return [step for step in due if step.finding.wanted.about == name]


def _check(found: Survey, scope: Scope) -> Iterator[str]:
    names = sorted([*(domain.name for domain in found.domains), *found.undescribed])
    yield f"List of Elasticsearch domains starting with given prefix ({scope.prefix or ''}): {names}"
    for domain in found.domains:
        yield from text.domain_lines(domain, found.of(domain.name), scope.rules.warnings)
    for stream in scope.streams:
        yield text.LINE
        yield f"Starting checks for Cutwater on stream {stream.name}"
        yield from text.finding_lines(found.of(stream.name))
    yield from _problems(found)
    yield "Successfully finished processing!"


def _plan(found: Survey, due: list[Step]) -> Iterator[str]:
    yield f"region {found.account.region}, account {found.account.id}"
    yield from map(text.step_line, due)
    yield from _problems(found)
    yield "Nothing was changed; `cutwater alarms apply` carries this out." if due else "Nothing to do."


def _problems(found: Survey) -> Iterator[str]:
    for name, error in found.undescribed.items():
        yield f"Error on getting domain stats from {name}: {error}"
    for alarm in found.orphans:
        yield f"{about(alarm)} WARNING: the domain no longer exists; remove orphans deletes {alarm['AlarmName']}"


def _summary(found: Survey) -> str:
    counts = {
        state: sum(finding.state == state for finding in found.findings) for state in ("ok", "missing", "different")
    }
    return (
        f"{found.account.region}: {len(found.domains)} domains; alarms: {counts['ok']} ok, {counts['missing']} missing,"
        f" {counts['different']} not matching; {len(found.undescribed)} domains not described,"
        f" {len(found.orphans)} alarms of domains that no longer exist"
    )


async def _remove(account: Account, scope: Scope, options: argparse.Namespace) -> None:
    alarms = await job.removable(account, options.what, scope)
    for alarm in alarms:
        say(f"  {'delete' if options.dry_run else 'deleting':<12} {alarm['AlarmName']}")
    if not alarms:
        say("Nothing to do.")
    elif options.dry_run:
        say("Nothing was changed; leave out --dry-run to carry this out.")
    else:
        await account.delete([alarm["AlarmName"] for alarm in alarms])
