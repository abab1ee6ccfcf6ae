"""The compose file is of one piece, asks for commands that there are, and opens nothing beyond this machine."""

import re

import pytest
import yaml

from service.cli import _parser
from service.settings.model import Settings
from service.settings.sources import PREFIX
from tests.deploy.templates import DEPLOY

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
KNOWN = {"image", "command", "environment", "ulimits", "volumes", "healthcheck", "ports", "depends_on", "read_only"}
KNOWN |= {"cap_drop", "security_opt", "tmpfs", "stop_grace_period"}
CONDITIONS = {"service_healthy", "service_completed_successfully"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_of_one_piece(name):
    service = SERVICES[name]
    assert set(service) <= KNOWN
    assert re.fullmatch(r"[\w/-]+:[\w.]+", service["image"])
    for other, how in service.get("depends_on", {}).items():
        assert how["condition"] in CONDITIONS
        assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]
    for volume in service.get("volumes", []):
        assert volume.split(":")[0] in COMPOSE["volumes"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", [name for name, each in SERVICES.items() if each["image"].startswith("cutwater")])
def test_cutwater_is_asked_for_what_it_can(name):
    words = SERVICES[name]["command"]
    _parser(words).parse(words)
    known = {PREFIX + setting.upper() for setting in Settings.model_fields}
    assert set(SERVICES[name].get("environment", {})) <= known


def test_the_server_without_a_password_is_reached_from_within_only():
    assert "ports" not in SERVICES["opensearch"]
    assert SERVICES["opensearch"]["environment"]["DISABLE_SECURITY_PLUGIN"] == "true"


def test_the_setup_is_for_what_the_demo_writes():
    from simulator.scenarios import SCENARIOS

    words = dict(word.removeprefix("--").split("=", 1) for word in SERVICES["setup"]["command"][1:])
    plant = SCENARIOS["plant"].settings
    assert words["value-fields"] == ",".join(plant["value_fields"])
    assert words["label-fields"] == ",".join(plant["label_fields"])
