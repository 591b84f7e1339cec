"""How machines reach a real OpenBao: logins, tokens, TLS. Each failure has its own sentence and next step."""

import base64
import http.server
import json
import os
import threading

from engine import NEW_KEY, Engine
from rig import contains, equal, test, until
from test_shared_store import READ_ONLY, machine

KEY = "sk-or-v1-x"
READ = (0, f"{KEY}\n", "")


def reader(world, engine, login):
    """Stores a key, sets up a login whose tokens may read it, and takes away the root token."""
    machine(world, "one")
    assert engine.takes("secret/data/keywright/default/ci", {"data": {"key": KEY}})
    assert engine.takes(f"sys/auth/{login}", {"type": login})
    assert engine.takes("sys/policies/acl/reader", {"policy": READ_ONLY})
    del world.env["BAO_TOKEN"]
    # No home, no configuration and no data directory of its own.
    world.env.update(HOME="/proc/none", KEYWRIGHT_DATA_DIR="/proc/none")


def fails(world, words, advice, **env):
    code, out, err = world.keywright("get", "ci", **env)
    equal((words, code, out), (words, 4, ""))
    contains(err, words)
    contains(err, advice)
    for name, value in env.items():
        assert "TOKEN" not in name and "SECRET" not in name or value not in err, err


@test
def a_machine_logs_in_with_an_approle(world):
    engine = Engine(world)
    reader(world, engine, "approle")

    def role(name, **options):
        assert engine.takes(f"auth/approle/role/{name}", {"token_policies": "reader", "token_ttl": "1m", **options})
        return engine.ask("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]

    def secret(name):
        return engine.ask("POST", f"auth/approle/role/{name}/secret-id", {})["data"]["secret_id"]

    ci = {"BAO_ROLE_ID": role("ci"), "BAO_SECRET_ID": secret("ci")}
    equal(world.keywright("get", "ci", **ci), READ)
    code, out, _ = world.keywright("run", "ci", "--", "sh", "-c", 'echo "${BAO_SECRET_ID-none}"', **ci)
    equal((code, out), (0, "none\n"))
    file = world.write("secret-id", f"{ci['BAO_SECRET_ID']}\n")
    equal(world.keywright("get", "ci", VAULT_ROLE_ID=ci["BAO_ROLE_ID"], BAO_SECRET_ID_FILE=file), READ)
    # One use for the login, and one for the token: a read needs no second request.
    once = {"BAO_ROLE_ID": role("once", secret_id_num_uses=1, token_num_uses=1), "BAO_SECRET_ID": secret("once")}
    equal(world.keywright("get", "ci", **once), READ)
    invalid = "the login by AppRole at auth/approle failed: invalid role or secret ID"
    new_secret = "bao write -f auth/approle/role/ROLE/secret-id"
    fails(world, invalid, new_secret, **once)
    fails(world, invalid, new_secret, **{**ci, "BAO_SECRET_ID": "wrong-secret-id"})
    short = {"BAO_ROLE_ID": role("short", secret_id_ttl="1s"), "BAO_SECRET_ID": secret("short")}
    until("an expired secret id", lambda: world.keywright("get", "ci", **short)[0] == 4)
    fails(world, invalid, new_secret, **short)
    wrapped = engine.wrap("auth/approle/role/ci/secret-id")
    fails(world, "BAO_SECRET_ID is a token, perhaps one that wraps the secret id",
          "BAO_TOKEN=$BAO_SECRET_ID bao unwrap -field=secret_id", **{**ci, "BAO_SECRET_ID": wrapped})
    code, out, _ = world.run("bao", "unwrap", "-field=secret_id", BAO_TOKEN=wrapped, HOME=world.mkdir("home"))
    equal(world.keywright("get", "ci", **{**ci, "BAO_SECRET_ID": out.strip()}), READ)
    fails(world, "BAO_SECRET_ID is not set, and a role id is", "BAO_SECRET_ID_FILE", BAO_ROLE_ID=ci["BAO_ROLE_ID"])
    other = world.write("config.toml", '[profiles.default]\nbao_auth_mount = "other"\n')
    fails(world, "the login by AppRole at auth/other failed: permission denied", "bao_auth_mount",
          KEYWRIGHT_CONFIG=other, **ci)


@test
def a_token_with_few_uses_is_used_once_for_each_read(world):
    engine = Engine(world)
    reader(world, engine, "approle")
    token = engine.policy_token(READ_ONLY, num_uses=2)
    for _ in range(2):
        equal(world.keywright("get", "ci", BAO_TOKEN=token), READ)
    fails(world, "does not accept the token", "bao login", BAO_TOKEN=token)


class TokenReview(http.server.BaseHTTPRequestHandler):
    """The part of Kubernetes that says whose a service account's token is."""

    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["spec"]["token"]
        status = {"authenticated": False, "error": "the token has expired"}
        if sent.endswith(".good"):
            user = {"username": "system:serviceaccount:team:agent", "uid": "1"}
            status = {"authenticated": True, "user": user}
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(review).encode())

    def log_message(self, *_):
        pass


def service_account_token(world, end):
    account = "kubernetes.io/serviceaccount/"
    claims = {"iss": "kubernetes/serviceaccount", f"{account}namespace": "team", f"{account}service-account.name": "agent",
              f"{account}service-account.uid": "1", "sub": "system:serviceaccount:team:agent"}
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
    encoded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
    return world.write(f"token-{end}", ".".join([*encoded, end]) + "\n")


def bind_service_account(engine, name):
    assert engine.takes(f"auth/kubernetes/role/{name}", {
        "bound_service_account_names": name, "bound_service_account_namespaces": "team", "token_policies": "reader"})


def join_cluster(world, engine):
    """Starts the part of Kubernetes that the engine asks, and names it to the engine."""
    cluster = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TokenReview)
    threading.Thread(target=cluster.serve_forever, daemon=True).start()
    paths = {name: world.path(f"cluster.{name}") for name in ("key", "pem")}
    engine.openssl(*NEW_KEY, "-x509", "-subj", "/CN=cluster", "-keyout", paths["key"], "-out", paths["pem"])
    with open(service_account_token(world, "good"), encoding="ascii") as file:
        reviewer = file.read().strip()
    assert engine.takes("auth/kubernetes/config", {
        "kubernetes_host": f"http://127.0.0.1:{cluster.server_port}", "disable_local_ca_jwt": True,
        "kubernetes_ca_cert": world.read("cluster.pem"), "token_reviewer_jwt": reviewer})


@test
def a_pod_logs_in_with_its_service_account(world):
    engine = Engine(world)
    reader(world, engine, "kubernetes")
    role = "bao read auth/kubernetes/role/ROLE"
    pod = {"BAO_KUBERNETES_ROLE": "agent", "BAO_KUBERNETES_TOKEN_FILE": service_account_token(world, "good")}
    bind_service_account(engine, "agent")
    bind_service_account(engine, "other")
    fails(world, "the login by Kubernetes at auth/kubernetes failed: could not load backend configuration", role, **pod)
    join_cluster(world, engine)
    equal(world.keywright("get", "ci", **pod), READ)
    expired = service_account_token(world, "gone")
    fails(world, "failed: permission denied", role, **{**pod, "BAO_KUBERNETES_TOKEN_FILE": expired})
    fails(world, "failed: service account name not authorized", role, **{**pod, "BAO_KUBERNETES_ROLE": "other"})
    fails(world, 'failed: invalid role name "none"', role, **{**pod, "BAO_KUBERNETES_ROLE": "none"})
    fails(world, "BAO_KUBERNETES_TOKEN_FILE is not set, and /var/run/secrets/", "run this in a pod",
          BAO_KUBERNETES_ROLE="agent")


@test
def only_an_engine_with_a_certificate_of_the_named_authority_gets_the_token(world):
    engine = Engine(world, tls=True)
    machine(world, "one")
    assert engine.takes("secret/data/keywright/default/ci", {"data": {"key": KEY}})
    code, _, err = world.keywright("get", "ci")
    equal(code, 4)
    contains(err, "its certificate was issued by an unknown authority")
    contains(err, "set BAO_CACERT")
    equal(world.keywright("get", "ci", VAULT_CACERT=engine.authority), READ)
    equal(world.keywright("get", "ci", BAO_SKIP_VERIFY="true"), READ)
    trusted = {"BAO_CACERT": engine.authority}
    equal(world.keywright("get", "ci", BAO_TLS_SERVER_NAME="bao.example", **trusted), READ)
    code, _, err = world.keywright("get", "ci", BAO_TLS_SERVER_NAME="other.example", **trusted)
    equal(code, 4)
    contains(err, "its certificate is for another host name")
    capath = world.mkdir("authorities")
    os.link(engine.authority, os.path.join(capath, "one.pem"))
    equal(world.keywright("get", "ci", BAO_CAPATH=capath), READ)


@test
def each_failure_of_tls_has_its_own_sentence(world):
    engine = Engine(world, tls=True)
    machine(world, "one")
    world.env["BAO_CACERT"] = engine.authority
    assert engine.takes("secret/data/keywright/default/ci", {"data": {"key": KEY}})
    equal(world.keywright("get", "ci"), READ)
    # Certificates of the client.
    mutual = {"BAO_ADDR": engine.mutual_address}
    client = "set BAO_CLIENT_CERT and BAO_CLIENT_KEY"
    fails(world, "it requires a client certificate", client, **mutual)
    engine.issue("client")
    own = {"BAO_CLIENT_CERT": world.path("client.pem"), "BAO_CLIENT_KEY": world.path("client.key")}
    equal(world.keywright("get", "ci", **mutual, **own), READ)
    equal(world.keywright("get", "ci", **own), READ)
    engine.openssl(*NEW_KEY, "-x509", "-subj", "/CN=me", "-keyout", world.path("own.key"), "-out", world.path("own.pem"))
    unknown = {"BAO_CLIENT_CERT": world.path("own.pem"), "BAO_CLIENT_KEY": world.path("own.key")}
    fails(world, "it refuses the client certificate", client, **mutual, **unknown)
    fails(world, "BAO_CLIENT_CERT and BAO_CLIENT_KEY do not belong together", "set them to the files",
          BAO_CLIENT_CERT=world.path("client.pem"), BAO_CLIENT_KEY=world.path("own.key"))
    # Certificates of the engine.
    fails(world, "was issued by an unknown authority", "set BAO_CACERT", BAO_CACERT=world.path("own.pem"))
    for name, options, words, advice in (
        ("old", {"end": "20200201000000Z"}, "has expired by the clock of this machine", "date -u"),
        ("early", {"start": "21190101000000Z"}, "is not valid yet by the clock of this machine", "date -u"),
        ("elsewhere", {"names": "DNS:elsewhere.example"}, "is for another host name", "BAO_TLS_SERVER_NAME"),
    ):
        engine.issue(name, **options)
        engine.present(name)
        fails(world, f"cannot be trusted: its certificate {words}", advice)
    engine.present("own")
    fails(world, "its certificate is that of an authority", "CA:FALSE", BAO_CACERT=world.path("own.pem"))
    # The wrong kind of address.
    fails(world, "it speaks TLS, and the address begins with http://", "BAO_ADDR",
          BAO_ADDR=engine.address.replace("https", "http"))
