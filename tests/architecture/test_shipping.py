"""What the system is shipped in: the image, the containers of one machine, the files for Kubernetes."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.front import service_of
from deploy.ops.__main__ import parser
from deploy.ops.replicas import addresses
from deploy.tools import program
from services import NAMES
from services.intake.forms import ATTACHMENTS
from services.settings import Settings
from shared.web.app import BODY_LIMIT
from shared.web.edge import OTHER_PREFIXES
from shared.web.serving import KEEP_ALIVE_SECONDS

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.31", "1.37")
"""The oldest and the newest Kubernetes that the files are held against."""
WAYS_OF_SHIPPING = ("base", "production")
INGRESS_KEEPS_SECONDS = 60
"""How long ingress-nginx keeps a connection to a service (`upstream-keepalive-timeout`)."""
ONE_FILE = Settings.model_fields["attachment_max_bytes"].default + 10_000
A_LETTER = ATTACHMENTS * Settings.model_fields["attachment_max_bytes"].default + 500_000
"""What intake takes where a file is uploaded, and on `/write` (`services/intake/app.py`), in bytes."""
SETTINGS = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text("utf-8"), re.MULTILINE))


# ── Kubernetes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def city_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`deploy/kubernetes` with a city's own files in place, as docs/deploying.md says."""
    folder = tmp_path_factory.mktemp("city") / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    shutil.copytree(ROOT / "deploy" / "sample", folder / "production" / "city")
    (folder / "production" / "trust").mkdir()
    for name in ("kafka-ca.pem",):
        (folder / "production" / "trust" / name).write_text("{}\n")
    return folder


def _built(folder: Path, way: str) -> str:
    done = subprocess.run([program("kustomize"), "build", folder / way], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=WAYS_OF_SHIPPING)
def manifests(request: pytest.FixtureRequest, city_folder: Path) -> list[dict[str, Any]]:
    """Every object that is applied."""
    return [made for made in yaml.safe_load_all(_built(city_folder, request.param)) if made]


def _of(manifests: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {made["metadata"]["name"]: made for made in manifests if made["kind"] == kind}


def _pods(manifests: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for made in manifests:
        name = f"{made['kind']} {made['metadata']['name']}"
        match made["kind"]:
            case "Deployment" | "Job":
                yield name, made["spec"]["template"]
            case "CronJob":
                yield name, made["spec"]["jobTemplate"]["spec"]["template"]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object_strictly(manifests: list[dict[str, Any]], version: str) -> None:
    for made in manifests:
        kubernetes_validate.validate(made, version, strict=True)
    deployment = deepcopy(next(made for made in manifests if made["kind"] == "Deployment"))
    deployment["spec"]["template"]["spec"]["terminationGraceSeconds"] = 30
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGraceSeconds"):
        kubernetes_validate.validate(deployment, version, strict=True)


def test_each_service_has_a_deployment_an_address_a_budget_and_an_autoscaler(manifests: list[dict[str, Any]]) -> None:
    for kind in ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"):
        assert _of(manifests, kind).keys() == set(NAMES), kind
    for name in NAMES:
        labels = _of(manifests, "Deployment")[name]["spec"]["template"]["metadata"]["labels"]
        assert labels.items() >= {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "xinxiang"}.items()
        assert _of(manifests, "Service")[name]["spec"]["selector"] == {"app.kubernetes.io/name": name}
        budget = _of(manifests, "PodDisruptionBudget")[name]["spec"]
        assert budget["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}
        scaler = _of(manifests, "HorizontalPodAutoscaler")[name]["spec"]
        assert scaler["scaleTargetRef"]["name"] == name
        assert scaler["minReplicas"] > budget["minAvailable"], "or nobody could ever be evicted"
        lag = scaler["metrics"][0]["external"]["metric"]
        assert (lag["name"], lag["selector"]["matchLabels"]) == ("xinxiang_consumer_lag", {"service": name})
        declared = yaml.safe_load((ROOT / "deploy/topics.yaml").read_text("utf-8"))["topics"]
        assert scaler["maxReplicas"] <= declared["letters"]["partitions"]


def test_every_container_is_fenced_in(manifests: list[dict[str, Any]]) -> None:
    pods = dict(_pods(manifests))
    assert len(pods) == len(NAMES) + 3
    for name, template in pods.items():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert "hostNetwork" not in pod
        for container in pod["containers"]:
            fence = container["securityContext"]
            assert fence["readOnlyRootFilesystem"] is True, name
            assert fence["allowPrivilegeEscalation"] is False, name
            assert fence["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert not container["image"].endswith(":latest"), name


def test_services_are_probed_and_given_time_to_leave(manifests: list[dict[str, Any]]) -> None:
    for name, made in _of(manifests, "Deployment").items():
        pod = made["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["args"] == ["services", name]
        assert container["livenessProbe"]["httpGet"]["path"] == "/health/live", (
            "an engine that is away is no reason to kill"
        )
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["terminationGracePeriodSeconds"] >= pause + 15, "a service leaves within 15 seconds"
        assert made["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_no_secret_is_written_down_and_every_setting_exists(manifests: list[dict[str, Any]]) -> None:
    assert not _of(manifests, "Secret")
    (settings,) = (made for name, made in _of(manifests, "ConfigMap").items() if "settings" in name)
    assert set(settings["data"]) <= SETTINGS
    assert not [name for name in settings["data"] if re.search(r"SECRET|PASSWORD|MONGO_URL", name)]
    seen = set()
    for where, template in _pods(manifests):
        for container in template["spec"]["containers"]:
            for variable in container["env"]:
                seen.add(variable["name"])
                secret = re.search(r"SECRET|PASSWORD|URL", variable["name"])
                assert ("valueFrom" in variable) == bool(secret), f"{where}: {variable['name']}"
    assert {"RECEIPT_SECRET", "MONGO_URL"} <= seen <= SETTINGS | {"OPS_SERVICES"}


def test_nobody_reaches_anybody_but_as_the_policies_say(manifests: list[dict[str, Any]]) -> None:
    policies = _of(manifests, "NetworkPolicy")
    nothing = policies["nothing-by-default"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for direction, end in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, ()):
                assert rule.get(end), f"{name}: a rule without {end} lets everybody through"
                assert rule.get("ports"), f"{name}: a rule without ports opens all of them"
    labels = [template["metadata"]["labels"] for _, template in _pods(manifests)]
    for each in labels:
        assert each["app.kubernetes.io/part-of"] == "xinxiang", "or it could not reach Kafka"
    components = {each["app.kubernetes.io/component"] for each in labels}
    assert components == {"service", "job"}


def test_the_operator_s_command_has_a_template_that_runs_nothing_and_reaches_the_services(
    manifests: list[dict[str, Any]],
) -> None:
    operator = _of(manifests, "CronJob")["operator"]["spec"]
    assert operator["suspend"] is True
    job = operator["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] <= 7200, "credentials that nobody uses any more would stay"
    (container,) = job["template"]["spec"]["containers"]
    assert container["command"] == ["sleep", str(job["activeDeadlineSeconds"])]
    given = {one["name"]: one for one in container["env"]}
    assert given["KAFKA_USERNAME"]["value"] == "xinxiang.operator"
    ports = {name: made["spec"]["ports"][0]["port"] for name, made in _of(manifests, "Service").items()}
    assert dict(addresses(given["OPS_SERVICES"]["value"].split(","))) == {
        name: f"http://{name}:{port}" for name, port in ports.items()
    }
    # Both ends of the way let it pass.
    policies = _of(manifests, "NetworkPolicy")
    asks, answers = policies["operator-asks"]["spec"], policies["services-answer"]["spec"]
    labels = job["template"]["metadata"]["labels"].items()
    (to,) = asks["egress"][0]["to"]
    assert labels >= asks["podSelector"]["matchLabels"].items()
    (let_in,) = (end["podSelector"]["matchLabels"] for end in answers["ingress"][0]["from"] if "podSelector" in end)
    assert labels >= let_in.items()
    for made in _of(manifests, "Deployment").values():
        service = made["spec"]["template"]
        assert service["metadata"]["labels"].items() >= to["podSelector"]["matchLabels"].items()
        assert not service["metadata"]["labels"].items() >= let_in.items()
        ports_of = {port["containerPort"] for port in service["spec"]["containers"][0]["ports"]}
        assert {port["port"] for port in asks["egress"][0]["ports"]} == ports_of


def test_an_upgrade_can_apply_all_but_the_services_first(manifests: list[dict[str, Any]]) -> None:
    component = "app.kubernetes.io/component"
    services = [m["kind"] for m in manifests if m["metadata"].get("labels", {}).get(component) == "service"]
    assert services == ["Deployment"] * len(NAMES)
    assert "-l 'app.kubernetes.io/component!=service'" in (ROOT / "docs/upgrading.md").read_text("utf-8")
    for made in _of(manifests, "Deployment").values():
        assert [container["name"] for container in made["spec"]["template"]["spec"]["containers"]] == ["service"]


def test_backups_are_made_each_night_and_old_ones_removed(
    manifests: list[dict[str, Any]], compose: Mapping[str, Any]
) -> None:
    job = _of(manifests, "CronJob")["backup"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    for command, volumes in (
        (job["args"], {mount["mountPath"] for mount in job["volumeMounts"]}),
        (
            compose["services"]["operator"]["command"],
            {volume.rpartition(":")[2] for volume in compose["services"]["operator"]["volumes"]},
        ),
    ):
        assert command[0] == "deploy.ops"
        asked = parser().parse_args(command[1:])
        assert (asked.verb, asked.what, asked.keep_days) == ("backup", "into", 30)
        assert str(asked.folder) in volumes


def _first_parts() -> set[str]:
    return {*NAMES, *OTHER_PREFIXES, "static"}


def _bytes(size: str) -> int:
    """What nginx and Docker call `12m` or `1g`."""
    return int(size[:-1]) << {"k": 10, "m": 20, "g": 30}[size[-1]]


def test_the_ingress_sends_each_path_to_its_service_and_none_to_the_metrics(manifests: list[dict[str, Any]]) -> None:
    ways, sizes = list[tuple[str, str]](), dict[str, int]()
    for ingress in _of(manifests, "Ingress").values():
        (rule,) = ingress["spec"]["rules"]
        assert rule["host"] in ingress["spec"]["tls"][0]["hosts"]
        asked = {name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
        assert asked["connection-proxy-header"] == "keep-alive", "a request for an upgrade would be passed on"
        for path in rule["http"]["paths"]:
            ways.append((path["path"], path["backend"]["service"]["name"]))
            sizes[path["path"]] = _bytes(asked["proxy-body-size"])
    assert sorted(ways) == sorted((f"/{part}", service_of(f"/{part}")) for part in _first_parts())
    assert sizes.pop("/write") >= A_LETTER
    assert all(ONE_FILE <= size < A_LETTER for size in sizes.values())
    # What ends up on a connection that a service just closes is a 502: the proxy closes first.
    assert KEEP_ALIVE_SECONDS > INGRESS_KEEPS_SECONDS


# ── one machine ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """`deploy/compose.yaml`."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text("utf-8"))
    return found


def test_the_containers_of_one_machine_are_the_engines_the_services_and_what_watches_them(
    compose: Mapping[str, Any],
) -> None:
    made = compose["services"]
    engines = {"kafka", "postgres", "ferretdb"}
    assert made.keys() == engines | {*NAMES, "topics", "operator", "proxy", "prometheus", "grafana"}
    for name, container in made.items():
        wanted = None if name in engines else ["operator"] if name == "operator" else ["city"]
        assert container.get("profiles") == wanted, "engines alone come without a profile, and the operator is called"
        tag = container["image"].rpartition(":")[2]
        assert tag != "latest"
        assert re.search(r"\d", tag), f"{name}: {container['image']} is not pinned"
        for port in container.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} is open to the network"
        for volume in container.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (ROOT / "deploy" / source).exists(), f"{name} mounts {source}"
    for name in NAMES:
        assert made[name]["command"] == ["services", name]
        assert made[name]["read_only"] is True
        assert made[name]["cap_drop"] == ["ALL"]
        mounted = {volume.split(":")[1] for volume in made[name]["volumes"]}
        assert made[name]["environment"]["SEARCH_FOLDER"] in mounted, "the root is read-only"


@pytest.mark.parametrize("password", ["", "a-password-of-one-s-own"])
def test_grafana_starts_with_a_password_of_one_s_own_only(compose: Mapping[str, Any], password: str) -> None:
    shell, option, script = compose["services"]["grafana"]["entrypoint"]
    given = {"PATH": "/usr/bin:/bin", "GF_SECURITY_ADMIN_PASSWORD": password}
    script = script.replace("$$", "$").replace("exec /run.sh", "echo started")
    done = subprocess.run([shell, option, script], env=given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == ((0, "started\n") if password else (1, ""))
    assert ("GRAFANA_PASSWORD" in done.stderr) == (not password)


def test_compose_knows_only_settings_that_exist(compose: Mapping[str, Any]) -> None:
    assert set(compose["services"]["intake"]["environment"]) <= SETTINGS


def test_the_proxy_sends_each_path_to_its_service_and_hides_the_metrics() -> None:
    text = (ROOT / "deploy" / "proxy" / "nginx.conf").read_text("utf-8")
    block = re.search(r"map \$uri \$service \{(.*?)\n    \}", text, re.DOTALL)
    assert block is not None
    ways = re.findall(r"~(\S+)\s+(\w+);", block[1])
    (otherwise,) = re.findall(r"default\s+(\w+);", block[1])

    def sent_to(path: str) -> str:
        return next((service for pattern, service in ways if re.search(pattern, path)), otherwise)

    for part in _first_parts():
        for path in (f"/{part}", f"/{part}/x"):
            assert sent_to(path) == service_of(path), path
    assert sent_to("/intakes") == "publication"
    (hidden,) = re.findall(r"location ~ (\S+) \{ return 404; \}", text)
    for path in ("/metrics", "/health/ready", "/docs", "/openapi.json"):
        assert re.search(hidden, path), path
    assert not re.search(hidden, "/public/healthy")
    assert "$remote_addr" not in re.findall(r"log_format .*;", text)[0], "addresses of citizens are written down"
    assert "error_log /dev/stderr alert;" in text, "below this nginx writes address and request beside each error"


def test_the_proxy_takes_what_intake_takes_and_no_caller_fills_the_room_for_it_alone(
    compose: Mapping[str, Any],
) -> None:
    text = (ROOT / "deploy" / "proxy" / "nginx.conf").read_text("utf-8")
    elsewhere, on_write = (_bytes(size) for size in re.findall(r"client_max_body_size (\w+);", text))
    (buffer,) = (_bytes(size) for size in re.findall(r"client_body_buffer_size (\w+);", text))
    assert text.index("location ~ ^/write(/|$) {") < text.rindex("client_max_body_size")
    assert ONE_FILE <= elsewhere < A_LETTER <= on_write
    assert buffer >= BODY_LIMIT, "letters without files would need room, too"
    assert "proxy_max_temp_file_size 0;" in text
    limits = {zone: int(most) for zone, most in re.findall(r"limit_conn (\w+) (\d+);", text)}
    (digits,) = re.findall(r'"~\^\\d\{1,(\d)\}\\z" "";', text)
    small = 10 ** int(digits)
    one_caller = limits["uploads"] * on_write + (limits["connections"] - limits["uploads"]) * small
    room = _room(compose, "proxy")
    assert one_caller < room / 3
    assert _room(compose, "intake") >= room, "what the proxy passed on lies there until it is stored"


def _room(compose: Mapping[str, Any], name: str) -> int:
    """The bytes that a container's /tmp may hold, which count as its memory."""
    container = compose["services"][name]
    ((size,),) = (re.findall(r"/tmp:size=(\w+),", mounted) for mounted in container["tmpfs"])
    assert _bytes(container["mem_limit"]) >= 3 * _bytes(size) // 2, "a full /tmp would end the process"
    return _bytes(size)


def test_whom_the_proxy_refuses_is_told_when_to_come_back() -> None:
    text = (ROOT / "deploy" / "proxy" / "nginx.conf").read_text("utf-8")

    def by_status(name: str) -> dict[str, str]:
        block = re.search(rf"map \$status \${name} \{{(.*?)\n    \}}", text, re.DOTALL)
        assert block is not None, name
        return dict(re.findall(r'^ +(\d+) "?(.*?)"?;$', block[1], re.MULTILINE))

    assert set(re.findall(r"limit_(?:req|conn)_status (\d+);", text)) == {"429"}
    assert re.findall(r"error_page (.*);", text) == ["404 413 429 $own_answer", "500 502 504 =503 $own_answer"]
    waits = by_status("retry_after")
    assert waits == {"429": "10", "503": "10"}
    words = {name: by_status(name) for name in ("slug", "title", "chinese", "english")}
    assert {frozenset(each) for each in words.values()} == {frozenset({"404", "413", "429", "503"})}
    for status, seconds in waits.items():
        assert f"{seconds} 秒后再试" in words["chinese"][status]
        assert f"after {seconds} seconds" in words["english"][status]
    for name in ("@problem", "@page"):
        answer = re.search(rf"location {name} \{{(.*?)\n        \}}", text, re.DOTALL)
        assert answer is not None, name
        assert "add_header Retry-After $retry_after always;" in answer[1]
        assert "add_header X-Content-Type-Options nosniff always;" in answer[1]


# ── the image ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_image_is_pinned_hashed_and_not_root() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert "--require-hashes" in text
    assert "requirements-dev" not in text
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users == ["10001:10001"]
    last = text.rpartition("\nFROM ")[2]
    assert "apt-get" not in last, "what only makes the image stays out of it"


def test_the_image_holds_what_runs_and_nothing_of_the_tests() -> None:
    kept = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    copied = set(re.findall(r"^COPY (?!--from)(\S+) ", (ROOT / "deploy/Dockerfile").read_text("utf-8"), re.MULTILINE))
    assert {line[1:] for line in kept} == copied == {"requirements.lock", "shared", "services", "deploy"}
