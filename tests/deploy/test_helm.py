"""The Helm chart: what it renders to is of one piece, confined, and asks for settings that there are."""

import json
import tomllib

import pytest
import yaml

from service import __version__
from service.settings.model import Settings, load
from service.settings.sources import PREFIX
from tests.deploy.helm import CASES, CHART, DIGEST, digest, helm, render, rendered


def objects(case):
    """By kind and name."""
    found = [each for each in yaml.safe_load_all(rendered(case).read_text()) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def pod(case):
    return objects(case)["StatefulSet", "demo-cutwater"]["spec"]["template"]


def test_what_is_kept_was_rendered_of_this_chart():
    assert DIGEST.read_text().strip() == digest(), "where there is a helm, run python -m tests.deploy.helm"
    if helm():
        for case in CASES:
            assert list(yaml.safe_load_all(render(case).stdout)) == list(yaml.safe_load_all(rendered(case).read_text()))


@pytest.mark.parametrize("case", CASES)
def test_objects_fit_each_other(case):
    found = objects(case)
    labels = pod(case)["metadata"]["labels"]
    stateful = found["StatefulSet", "demo-cutwater"]["spec"]
    assert stateful["selector"]["matchLabels"].items() <= labels.items()
    assert ("Service", stateful["serviceName"]) in found
    assert ("ServiceAccount", pod(case)["spec"]["serviceAccountName"]) in found
    ports = {port["name"] for each in pod(case)["spec"]["containers"] for port in each["ports"]}
    for (kind, _), each in found.items():
        if kind == "Service":
            assert each["spec"]["selector"].items() <= labels.items()
            assert {port["targetPort"] for port in each["spec"]["ports"]} <= ports
        if kind in ("NetworkPolicy", "PodDisruptionBudget"):
            selector = each["spec"].get("podSelector") or each["spec"]["selector"]
            assert selector["matchLabels"].items() <= labels.items()
        if kind == "ServiceMonitor":
            watched = each["spec"]["selector"]["matchLabels"].items()
            services = [one for (what, _), one in found.items() if what == "Service"]
            assert sum(watched <= one["metadata"]["labels"].items() for one in services) == 1, "each worker once"
    volumes = {each["name"] for each in pod(case)["spec"]["volumes"]}
    volumes |= {each["metadata"]["name"] for each in stateful["volumeClaimTemplates"]}
    for container in pod(case)["spec"]["containers"] + pod(case)["spec"]["initContainers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


@pytest.mark.parametrize("case", CASES)
def test_containers_are_confined(case):
    spec = pod(case)["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"] + spec["initContainers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert container["image"].startswith("registry.example/cutwater:0.")
    (policy,) = [each for (kind, _), each in objects(case).items() if kind == "NetworkPolicy"]
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert all(rule["from"] for rule in policy["spec"]["ingress"])


@pytest.mark.parametrize("case", CASES)
def test_the_settings_are_ones_that_there_are(case, tmp_path):
    text = objects(case)["ConfigMap", "demo-cutwater"]["data"]["cutwater.toml"]
    path = tmp_path / "cutwater.toml"
    path.write_text(text)
    (container,) = pod(case)["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert set(environment) <= {PREFIX + name.upper() for name in Settings.model_fields}
    settings = load({}, environment | {"CUTWATER_API_TOKEN": "a-token-of-a-secret"}, path)
    asked = tomllib.loads(text)
    assert settings.stream == asked["stream"]
    assert settings.stop_seconds < pod(case)["spec"]["terminationGracePeriodSeconds"]
    assert container["args"][:1] == ["run"]
    probes = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}


def test_many_workers_have_what_they_need_beside():
    found = objects("many")
    assert found["StatefulSet", "demo-cutwater"]["spec"]["replicas"] == 3
    assert found["PodDisruptionBudget", "demo-cutwater"]["spec"]["maxUnavailable"] == 1
    (endpoint,) = found["ServiceMonitor", "demo-cutwater"]["spec"]["endpoints"]
    assert endpoint["authorization"] == {"credentials": {"name": "cutwater", "key": "CUTWATER_API_READ_TOKEN"}}
    assert ("PodDisruptionBudget", "demo-cutwater") not in objects("one")
    assert ("Ingress", "demo-cutwater") not in objects("one")


def test_the_chart_is_of_this_version_and_its_values_are_described():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(yaml.safe_load((CHART / "values.yaml").read_text())) == set(schema["properties"]) - {"global"}
