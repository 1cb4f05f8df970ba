"""The parts of the local engines that can be told without starting one."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.engines import EngineError, Engines, Process, compose, fetch, places, ports, prerequisites
from deploy.engines.fetch import Artifact
from deploy.engines.prerequisites import Lack
from deploy.engines.processes import birth
from deploy.engines.sources import debian_source, parse_deb822, parse_list

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
# the distribution
Types: deb deb-src
# a remark inside
URIs: mirror+file:/etc/apt/mirrors/first http://second.invalid/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: {KEYRING}

Types: deb
URIs: http://second.invalid/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://third.invalid/debian
Suites: bookworm
Components: main
"""


def quiet(_line: str) -> None:
    pass


def sources_folder(tmp_path: Path, **files: str) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        stem, _, kind = name.rpartition("_")
        place = tmp_path / f"sources.{kind}" if stem == "sources" else tmp_path / "sources.list.d" / f"{stem}.{kind}"
        place.write_text(text)
    return tmp_path


def test_a_deb822_file_gives_one_source_for_each_uri_and_suite_of_enabled_stanzas():
    found = list(parse_deb822(DEB822))
    assert [(source.uri, source.suite) for source in found] == [
        ("mirror+file:/etc/apt/mirrors/first", "bookworm"),
        ("mirror+file:/etc/apt/mirrors/first", "bookworm-updates"),
        ("http://second.invalid/debian", "bookworm"),
        ("http://second.invalid/debian", "bookworm-updates"),
        ("http://second.invalid/debian-security", "bookworm-security"),
    ]
    assert found[0].components == ("main", "contrib")
    assert found[0].signed_by == KEYRING


def test_a_one_line_file_gives_its_sources_with_their_options():
    text = (
        "# deb http://no.invalid/debian bookworm main\n"
        f"deb [ arch=amd64 signed-by={KEYRING} ] http://mirror.invalid/debian bookworm main contrib # ours\n"
        "deb-src http://mirror.invalid/debian bookworm main\n"
        "deb [trusted=yes] http://mirror.invalid/debian/ trixie main\n"
    )
    first, second = parse_list(text)
    assert (first.uri, first.suite, first.components) == (
        "http://mirror.invalid/debian",
        "bookworm",
        ("main", "contrib"),
    )
    assert first.signed_by == KEYRING
    assert second.trusted
    assert second.is_debian_main()


def test_the_mirror_is_debians_own_main_archive_and_never_a_third_partys(tmp_path):
    folder = sources_folder(
        tmp_path,
        aaa_list="deb [signed-by=/etc/apt/keyrings/tool.gpg] http://tool.invalid/debian bookworm main\n"
        "deb http://database.invalid/apt bookworm main\ndeb http://browser.invalid/linux/deb stable main\n",
        debian_sources=DEB822.replace("mirror+file:/etc/apt/mirrors/first ", ""),
    )
    source = debian_source(folder)
    assert source is not None
    assert (source.uri, source.suite) == ("http://second.invalid/debian", "bookworm")
    line = source.line("testing", "arm64")
    assert line == (f"deb [arch=arm64 target=Packages signed-by={KEYRING}] http://second.invalid/debian testing main")


def test_a_host_without_debian_sources_has_no_mirror(tmp_path):
    ubuntu = "deb http://archive.invalid/ubuntu noble main\n"
    assert debian_source(sources_folder(tmp_path, sources_list=ubuntu, disabled_off="deb x")) is None


def test_dev_has_its_fixed_ports_and_the_environment_changes_one():
    chosen = ports.choose("dev", {"kafka": 1}, {"XINXIANG_DEV_KAFKA_PORT": "29092"})
    assert chosen.kafka == 29092
    assert chosen.as_dict() | {"kafka": 19092} == ports.DEV.as_dict()


def test_another_name_gets_four_free_ports_and_keeps_them():
    first = ports.choose("test", {}, {})
    assert len(set(first.as_dict().values())) == 4
    assert all(port in ports.FREE_RANGE for port in first.as_dict().values())
    assert ports.choose("test", first.as_dict(), {}) == first


def test_processes_that_look_for_ports_at_the_same_time_get_different_ones():
    code = "from deploy.engines.ports import free; print(*free(300), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        theirs = [int(port) for port in other.stdout.readline().split()]
        assert not any(ports.is_taken(port) for port in theirs), "they listen on none of them"
        assert not any(ports.take(port) for port in theirs)
        assert not set(ports.free(300)) & set(theirs)
        other.communicate("\n")
    assert ports.take(theirs[0]), "it lives no more"


def test_a_remembered_port_that_somebody_took_is_replaced():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert ports.choose("test", {"kafka": taken}, {}).kafka != taken


@pytest.mark.parametrize("text", ["many", "0", "65536", "-1", "1.5"])
def test_a_port_that_is_none_is_refused_with_the_settings_name(text):
    with pytest.raises(EngineError, match=r"XINXIANG_MY_TEST_FERRETDB_PORT=.*1 to 65535"):
        ports.choose("my-test", {}, {"XINXIANG_MY_TEST_FERRETDB_PORT": text})


def test_a_port_given_twice_is_refused():
    with pytest.raises(EngineError, match="19092 is given twice"):
        ports.choose("dev", {}, {"XINXIANG_DEV_POSTGRES_PORT": "19092"})


def test_a_taken_port_is_told_with_its_holder_and_the_setting_that_changes_it():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        chosen = ports.Ports(kafka=port, controller=1, ferretdb=2, postgres=3)
        with pytest.raises(EngineError) as caught:
            ports.refuse_taken("dev", chosen, ["kafka"])
    assert f"port {port} for kafka" in str(caught.value)
    assert f"process {os.getpid()}" in str(caught.value)
    assert "XINXIANG_DEV_KAFKA_PORT" in str(caught.value)


def test_everything_missing_is_named_at_once_with_what_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(prerequisites.platform, "system", lambda: "Linux")
    environ = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    all_engines = ("kafka", "postgres", "ferretdb")
    text = prerequisites.message(prerequisites.lacks(all_engines, all_engines, environ), root=False)
    for word in ("Java 17", "Maven", "Go 1.21", "apt-get, dpkg, dpkg-deb"):
        assert word in text
    assert "Together: sudo apt-get install -y default-jre-headless maven golang-go" in text


def test_what_is_in_the_cache_needs_no_builders(monkeypatch, tmp_path):
    monkeypatch.setattr(prerequisites.platform, "system", lambda: "Linux")
    found = prerequisites.lacks(("kafka", "postgres", "ferretdb"), (), {"PATH": str(tmp_path)})
    assert [lack.package for lack in found] == ["default-jre-headless"]


def test_a_go_that_may_not_renew_itself_must_be_new_enough(monkeypatch):
    answers = {"version": "go version go1.22.1 linux/amd64", "env": "auto\n"}
    monkeypatch.setattr(prerequisites, "_output", lambda command, environ: answers[command[1]])
    monkeypatch.setattr(prerequisites, "_short_of_space", lambda environ: None)
    assert prerequisites.lacks((), ("ferretdb",), {}) == []
    answers["env"] = "local\n"
    assert "this host has 1.22" in prerequisites.lacks((), ("ferretdb",), {})[0].what
    answers["version"] = "go version go1.19.8 linux/amd64"
    answers["env"] = "auto\n"
    assert prerequisites.lacks((), ("ferretdb",), {})[0].package == "golang-go"


def test_root_is_not_told_to_use_sudo():
    text = prerequisites.message([Lack("Maven", "", "maven")], root=True)
    assert "Maven: apt-get install -y maven" in text
    assert "sudo" not in text


def sleeper(tmp_path: Path, code: str = "import signal; signal.pause()") -> Process:
    process = Process("sleeper", tmp_path)
    process.start([sys.executable, "-c", code], cwd=tmp_path, env=os.environ)
    return process


def test_a_started_process_is_found_again_by_its_record_and_stopped(tmp_path):
    pid = sleeper(tmp_path).pid()
    again = Process("sleeper", tmp_path)
    assert again.pid() == pid
    again.stop()
    assert again.pid() is None
    assert not again.record.exists()


def test_a_record_whose_pid_was_given_to_somebody_else_stops_nobody(tmp_path):
    process = sleeper(tmp_path)
    stranger = Process("stranger", tmp_path)
    stranger.record.write_text(json.dumps({"pid": process.pid(), "born": "another boot:1"}))
    assert stranger.pid() is None
    assert not stranger.send(signal.SIGKILL)
    stranger.stop()
    assert process.pid() is not None
    process.kill()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "x", "born": 1}', '{"pid": 99999999, "born": null}'])
def test_a_spoilt_record_counts_as_not_running(tmp_path, text):
    process = Process("spoilt", tmp_path)
    process.record.parent.mkdir()
    process.record.write_text(text)
    assert process.pid() is None


def test_a_process_that_ignores_the_polite_signal_is_killed(tmp_path):
    ignoring = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    process = sleeper(tmp_path, ignoring)
    process.wait_ready(lambda: "deaf" in process.log_tail(), 10)
    process.stop(seconds=0.1)
    assert process.pid() is None


def test_a_process_that_ends_while_starting_is_told_with_its_last_words(tmp_path):
    process = sleeper(tmp_path, "import sys; sys.exit('the disk is full')")
    with pytest.raises(EngineError, match="ended while starting") as caught:
        process.wait_ready(lambda: False, 30)
    assert "the disk is full" in str(caught.value)


def test_an_ended_child_that_nobody_waited_for_is_not_running(tmp_path):
    process = sleeper(tmp_path, "")
    process.wait_gone(10)
    assert birth(json.loads(process.record.read_text())["pid"]) is None


def artifact(fill) -> dict[str, Artifact]:
    return {"kafka": Artifact("kafka", "kafka-0", "a test's engine", fill)}


def test_a_fetch_that_fails_leaves_nothing_and_the_next_one_starts_anew(monkeypatch, tmp_path):
    def half(new, final, runner, tell):
        (new / "half").write_text("half")
        runner.run([sys.executable, "-c", "import sys; sys.exit('the line broke')"])

    environ = {"XDG_CACHE_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    monkeypatch.setattr(fetch, "cache_folder", lambda environ: tmp_path / "engines")
    monkeypatch.setattr(fetch, "ARTIFACTS", artifact(half))
    with pytest.raises(EngineError, match="the line broke"):
        fetch.fetch(["kafka"], environ, quiet)
    (tmp_path / "engines" / "kafka-0.1.partial").mkdir()
    assert fetch.missing(["kafka"], environ) == ["kafka"]

    monkeypatch.setattr(fetch, "ARTIFACTS", artifact(lambda new, final, runner, tell: (new / "whole").touch()))
    fetch.fetch(["kafka"], environ, quiet)
    assert {file.name for file in (tmp_path / "engines").iterdir()} == {"kafka-0", "lock"}
    assert fetch.home("kafka", environ).joinpath("whole").exists()


def test_a_fetch_that_is_given_up_ends_its_commands(tmp_path):
    runner = fetch.Runner(os.environ)
    runner.give_up()
    with pytest.raises(EngineError, match="given up"):
        runner.run([sys.executable, "-c", ""])


def test_a_folder_in_a_closed_home_is_not_reachable_by_others(tmp_path):
    home = tmp_path / "home"
    (home / "checkout").mkdir(parents=True)
    home.chmod(0o700)
    assert not places.reachable_by_others(home / "checkout" / "not yet")
    assert places.reachable_by_others(Path("/usr/share/not yet"))


@pytest.mark.parametrize("name", ["", "Dev", "a b", "../dev", "-x"])
def test_an_instance_has_a_plain_name(name):
    with pytest.raises(EngineError, match="cannot name an instance"):
        Engines(name, {})


def test_given_engines_are_used_as_they_are_and_never_touched():
    given = {"KAFKA_BOOTSTRAP": "kafka.invalid:9092", "MONGO_URL": "mongodb://mongo.invalid/"}
    engines = Engines("unit-given", given, quiet)
    assert engines.ours == ()
    assert engines.urls().environment() == given
    assert engines.lacks() == []
    with pytest.raises(EngineError, match="not ours to touch"):
        engines.kill("kafka")


def test_only_what_is_not_given_is_ours():
    assert Engines("unit-given", {"MONGO_URL": "mongodb://mongo.invalid/"}, quiet).ours == ("kafka",)


def test_an_unknown_engine_or_mode_is_refused_with_the_choices():
    with pytest.raises(EngineError, match="kafka, postgres, ferretdb"):
        Engines("unit-given", {}, quiet).start("redis")
    with pytest.raises(EngineError, match="XINXIANG_ENGINES='docker'"):
        Engines("unit-given", {"XINXIANG_ENGINES": "docker"})


FAKE_DOCKER = """#!/bin/sh
echo "$@" >>"$0.log"
case "$*" in
*" up "*) touch "$0.up" ;;
*" stop "* | *" down"*) rm -f "$0.up" ;;
*" ps "*) if [ -e "$0.up" ]; then printf 'kafka\\npostgres\\nferretdb\\n'; fi ;;
esac
"""


def test_where_a_docker_daemon_answers_containers_are_used(monkeypatch, tmp_path):
    docker = tmp_path / "docker"
    docker.write_text(FAKE_DOCKER)
    docker.chmod(0o755)
    monkeypatch.setattr(places, "CHECKOUT", tmp_path)
    engines = Engines("boxes", {"PATH": f"{tmp_path}:/usr/bin:/bin", "XINXIANG_BOXES_KAFKA_PORT": "29092"}, quiet)

    assert engines.lacks() == []
    assert engines.up().kafka_bootstrap == "127.0.0.1:29092"
    assert engines.running() == {"kafka", "postgres", "ferretdb"}
    engines.up()
    engines.kill("ferretdb")
    engines.down()
    assert engines.running() == set()
    engines.reset()

    said = [line.partition("compose.yaml ")[2] for line in (tmp_path / "docker.log").read_text().splitlines()]
    assert [line for line in said if line and not line.startswith("ps ")] == [
        "up -d --wait kafka postgres ferretdb",
        "kill ferretdb",
        "down",
        "down --volumes",
    ]
    assert not engines.folder.exists()


def test_docker_is_left_alone_when_local_engines_are_asked_for(tmp_path):
    docker = tmp_path / "docker"
    docker.write_text(FAKE_DOCKER)
    docker.chmod(0o755)
    assert compose.available({"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert not compose.available({"PATH": f"{tmp_path}:/usr/bin:/bin", "XINXIANG_ENGINES": "local"})
    assert not compose.available({"PATH": "/nowhere"})
