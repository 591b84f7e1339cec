"""The README's examples for machines without people, run as they stand against a real OpenBao."""

import configparser
import os
import re
import shutil
import sys

import yaml

from engine import Engine
from rig import ROOT, equal, test
from test_shared_login import KEY, bind_service_account, join_cluster, reader, service_account_token

ADDRESSES = r"https://bao(\.example\.com)?:8200"


def example(words):
    """The first block of code after these words."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as readme:
        text = readme.read().split("Machines log in with AppRole")[1].split(words)[1]
    return re.search(r"```\w+\n(.*?)```", text, re.S)[1]


def agent(world):
    """A program that prints the key which it received, as `agent` and as `agent.py`."""
    program = world.write("agent", f"#!{sys.executable}\nimport os\nprint(os.environ['OPENROUTER_API_KEY'])\n", 0o700)
    shutil.copy(program, os.path.join(world.home, "agent.py"))
    os.symlink(sys.executable, world.path("bin", "python"))
    return program


def approle(engine):
    assert engine.takes("auth/approle/role/agent", {"token_policies": "reader", "role_id": "agent"})
    return engine.ask("POST", "auth/approle/role/agent/secret-id", {})["data"]["secret_id"]


@test
def the_examples_for_github_gitlab_and_systemd_run_as_they_stand(world):
    engine = Engine(world)
    reader(world, engine, "approle")
    home = os.path.join(world.home, "agent.py")
    program, secret = agent(world), approle(engine)
    assert os.path.exists(home)
    del world.env["BAO_ADDR"]
    printed = (0, f"{KEY}\n", "")
    login = {"BAO_ADDR": engine.address, "BAO_ROLE_ID": "agent", "BAO_SECRET_ID": secret}

    step, = yaml.safe_load(example("In GitHub Actions"))
    values = {"vars.BAO_ROLE_ID": "agent", "secrets.BAO_SECRET_ID": secret}
    env = {name: re.sub(r"\$\{\{ *(.*?) *\}\}", lambda found: values[found[1]], text) for name, text in step["env"].items()}
    assert re.fullmatch(ADDRESSES, env["BAO_ADDR"])
    env["BAO_ADDR"] = engine.address
    equal(world.run("bash", "-e", "-o", "pipefail", "-c", step["run"], **env), printed)

    script = yaml.safe_load(example("In GitLab CI"))["agent"]["script"]
    equal(world.run("sh", "-e", "-c", "\n".join(script), **login), printed)

    unit = configparser.ConfigParser(delimiters="=", interpolation=None)
    unit.optionxform = str
    unit.read_string(example("In systemd"))
    service = unit["Service"]
    credential, _, source = service["LoadCredential"].partition(":")
    assert source.startswith("/etc/keywright/")
    credentials = world.mkdir("credentials")
    world.write(os.path.join("credentials", credential), f"{secret}\n")
    env = dict(pair.split("=", 1) for pair in service["Environment"].replace("%d", credentials).split())
    env["BAO_ADDR"] = engine.address
    command = service["ExecStart"].replace("/usr/bin/keywright", world.path("bin", "keywright"))
    equal(world.run(*command.replace("/usr/bin/agent", program).split(), **env), printed)


@test
def the_example_for_kubernetes_runs_as_it_stands(world):
    engine = Engine(world)
    reader(world, engine, "kubernetes")
    bind_service_account(engine, "agent")
    join_cluster(world, engine)
    del world.env["BAO_ADDR"]
    container, = yaml.safe_load(example("In Kubernetes"))["initContainers"]
    env = {one["name"]: one["value"] for one in container["env"]}
    assert re.fullmatch(ADDRESSES, env["BAO_ADDR"])
    # What a container has: its own address of the engine, the token at its place, the mounted volume.
    env.update(BAO_ADDR=engine.address, BAO_KUBERNETES_TOKEN_FILE=service_account_token(world, "good"))
    volume = world.mkdir("volume")
    mount, = container["volumeMounts"]
    command = [part.replace(mount["mountPath"], volume) for part in container["command"]]
    equal(world.run(*command, **env), (0, "", ""))
    equal(world.read("volume/openrouter"), f"{KEY}\n")
    equal(os.stat(os.path.join(volume, "openrouter")).st_mode & 0o777, 0o600)
