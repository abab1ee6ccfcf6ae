"""What deploys the Flink job agrees with the job: the package's properties, the command, the settings, the versions."""

import argparse
import tomllib
from pathlib import Path

import pytest
import yaml

from service.cli import flink as command
from service.flink.package import RUN_OPTIONS
from service.settings.model import load
from tests.deploy.templates import DEPLOY, resources

PROJECT = DEPLOY.parent
DEPLOYMENT, SETTINGS = yaml.safe_load_all((DEPLOY / "flink" / "deployment.yaml").read_text())


def test_the_application_is_told_what_the_package_holds():
    (application,) = resources("flink", "AWS::KinesisAnalyticsV2::Application").values()
    (group,) = application["ApplicationConfiguration"]["EnvironmentProperties"]["PropertyGroups"]
    assert group["PropertyGroupId"] == "kinesis.analytics.flink.run.options"
    assert group["PropertyMap"] == {**RUN_OPTIONS, "jarfile": {"Fn::Sub": RUN_OPTIONS["jarfile"].format(jar="${Jar}")}}


def test_alarms_are_about_the_application_and_tell_the_topic():
    alarms = resources("flink", "AWS::CloudWatch::Alarm")
    assert set(alarms) == {"NotRunning", "CheckpointsFail", "Behind"}
    for alarm in alarms.values():
        assert alarm["AlarmActions"]["Fn::If"][0] == "Tells"
        assert "{'Name': 'Application', 'Value': {'Ref': 'Application'}}" in str(alarm)


def test_the_operator_is_told_a_command_that_there_is():
    arguments = DEPLOYMENT["spec"]["job"]["args"]
    at = arguments.index("-pym")
    assert arguments[at + 1 : at + 3] == ["service.cli", "flink"]
    parser = argparse.ArgumentParser()
    command.define(parser)
    assert parser.parse_args(arguments[at + 3 :]).action == "run"


def test_the_operators_resource_has_what_the_operator_asks_for():
    """The fields that the operator's own schema requires, and the kinds of those that are used here."""
    assert (DEPLOYMENT["apiVersion"], DEPLOYMENT["kind"]) == ("flink.apache.org/v1beta1", "FlinkDeployment")
    spec = DEPLOYMENT["spec"]
    assert {"image", "flinkVersion", "serviceAccount", "jobManager", "taskManager", "job"} <= spec.keys()
    assert all(isinstance(value, str) for value in spec["flinkConfiguration"].values())
    assert spec["job"]["upgradeMode"] in ("savepoint", "last-state", "stateless")
    assert "execution.checkpointing.savepoint-dir" in spec["flinkConfiguration"]  # of the upgrade mode
    for part in ("jobManager", "taskManager"):
        assert isinstance(spec[part]["resource"]["cpu"], int | float)
        assert isinstance(spec[part]["resource"]["memory"], str)
    mounted = {each["name"] for each in spec["podTemplate"]["spec"]["containers"][0]["volumeMounts"]}
    assert mounted == {each["name"] for each in spec["podTemplate"]["spec"]["volumes"]}


def test_the_operators_settings_are_settings():
    text = SETTINGS["data"]["cutwater.toml"].replace("REGION", "eu-west-1").replace("ACCOUNT", "123456789012")
    assert load(tomllib.loads(text), {}).stream_arn


def test_all_name_one_version_of_flink():
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["flink"]
    assert declared == ["apache-flink>=2.3,<2.4"]
    assert DEPLOYMENT["spec"]["flinkVersion"] == "v2_3"
    assert "flink-python-2.3." in DEPLOYMENT["spec"]["job"]["jarURI"]
    assert "FLINK=flink:2.3." in (DEPLOY / "flink" / "Dockerfile").read_text()


@pytest.mark.parametrize("folder", ["detector", "service", "simulator"])
def test_the_image_has_the_code(folder):
    assert f"COPY {folder} {folder}" in Path(DEPLOY / "flink" / "Dockerfile").read_text()
