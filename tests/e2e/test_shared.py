"""Keys that a team shares in a real OpenBao: one list for all, one key for a label, one plan.

Longer than 400 lines, because all its tests use the same helpers of two machines.
"""

import json
import os
import time
import urllib.request

from engine import Engine
from rig import contains, equal, test, until
from test_apply import issued, plan

READ_ONLY = """
path "secret/data/keywright/*" { capabilities = ["read"] }
path "secret/metadata/keywright/*" { capabilities = ["read", "list"] }
"""


class Person:
    """A member of the team: a data directory and a token of their own."""

    def __init__(self, world, bao, server, management, name, token=None):
        self.world = world
        self.env = {
            "BAO_ADDR": bao.address, "BAO_TOKEN": token or bao.token, "USER": name,
            "OPENROUTER_MANAGEMENT_KEY": management,
            "KEYWRIGHT_DATA_DIR": world.mkdir(f"data-{name}"), "KEYWRIGHT_SERVER": server,
            "KEYWRIGHT_STORE": "bao",
        }

    def run(self, *arguments, expect=0, within=60, **env):
        code, out, err = self.world.keywright(*arguments, within=within, **{**self.env, **env})
        assert code == expect, f"{arguments} ended with {code}\n{out}\n{err}"
        return out, err

    def start(self, *arguments, log):
        env = {**self.world.env, **self.env}
        return self.world.spawn(["keywright", *arguments], log, env=env)

    def keys(self):
        return {key["label"]: key for key in json.loads(self.run("list", "--json")[0])}


def team(world, *names, **tokens):
    world.keyring()
    bao = Engine(world)
    server, management = world.sandbox()
    people = [Person(world, bao, server, management, name) for name in names]
    return bao, server, management, people


@test
def colleagues_share_one_list_of_keys_with_policies_and_states(world):
    bao, server, management, (eva, max_) = team(world, "eva", "max")
    eva.run("new", "ci", "--limit", "5", "--reset", "weekly")
    eva.run("new", "web/prod", "--limit", "7")
    # Without any file of their own.
    equal(max_.run("get", "ci"), eva.run("get", "ci"))
    shown = json.loads(max_.run("show", "ci", "--json")[0])
    equal((shown["limit"], shown["limit_reset"]), (5, "weekly"))
    contains(shown["created_by"], "eva@")
    equal(max_.keys().keys(), {"ci", "web/prod"})
    eva.run("disable", "ci")
    equal(max_.keys()["ci"]["disabled"], True)
    max_.run("enable", "ci")
    equal(eva.keys()["ci"]["disabled"], False)
    eva.run("rename", "web/prod", "web")
    eva.run("rotate", "ci", "--yes")
    keys = max_.keys()
    equal(keys.keys(), {"ci", "ci (old)", "web"})
    equal(max_.run("get", "ci"), eva.run("get", "ci"))
    contains(max_.run("list")[0], "retiring")
    max_.run("rm", "web", "--revoke", "--yes")
    equal(eva.keys().keys(), {"ci", "ci (old)"})
    # What is not Keywright's own stays.
    patch = {"custom_metadata": {"team": "search"}}
    path = f"secret/metadata/{folder(bao, 'ci')}"
    before = bao.ask("GET", path)["data"]["custom_metadata"]
    bao.ask("POST", path, {"custom_metadata": {**before, **patch["custom_metadata"]}})
    eva.run("disable", "ci")
    after = bao.ask("GET", path)["data"]["custom_metadata"]
    equal((after["team"], after["disabled"]), ("search", "true"))


def folder(bao, label):
    """Returns the path of an entry; the server's folder has the name of the sandbox's address."""
    names = bao.ask("GET", "secret/metadata/keywright/default?list=true")["data"]["keys"]
    server = next(name for name in names if name.endswith("/") and not name.startswith("~"))
    return f"keywright/default/{server}{label}".replace("%", "%25")


@test
def an_entry_that_another_tool_wrote_is_listed_and_used(world):
    bao, server, management, (eva,) = team(world, "eva")
    eva.run("new", "ci")
    secret = "sk-or-v1-" + "0f" * 32
    bao.ask("POST", f"secret/data/{folder(bao, 'hand')}", {"data": {"key": secret}})
    equal(eva.run("get", "hand")[0], secret + "\n")
    equal(eva.keys()["hand"]["masked"], "sk-or-v1-0f0...0f0f")
    bao.ask("DELETE", f"secret/metadata/{folder(bao, 'hand')}")
    equal(eva.keys().keys(), {"ci"})


@test
def two_people_who_create_one_label_at_once_get_one_key(world):
    bao, server, management, people = team(world, "eva", "max", "ida", "tom")
    for round_ in range(5):
        before = len(issued(server, management))
        label = f"ci {round_}"
        started = [(p, p.start("new", label, log=f"{p.env['USER']}{round_}.log")) for p in people]
        codes = [process.wait(60) for _, process in started]
        equal(codes.count(0), 1)
        # The keys of the others are deleted, and each is told whose it is.
        equal(len(issued(server, management)), before + 1)
        winner = people[codes.index(0)].env["USER"]
        for person, code in zip(people, codes):
            if code != 0:
                log = world.read(f"{person.env['USER']}{round_}.log")
                contains(log, f"'{label}' was created by {winner}@")
        equal(len({person.run("get", label)[0] for person in people}), 1)


@test
def two_rotations_at_once_rotate_once(world):
    bao, server, management, people = team(world, "eva", "max")
    people[0].run("new", "ci")
    for round_ in range(3):
        before = people[0].run("get", "ci")[0]
        count = len(issued(server, management))
        processes = [
            person.start("rotate", "ci", "--yes", log=f"{person.env['USER']}{round_}.log")
            for person in people
        ]
        codes = [process.wait(60) for process in processes]
        logs = [world.read(f"{person.env['USER']}{round_}.log") for person in people]
        assert 0 in codes, logs
        equal(len(issued(server, management)), count + 1)
        for log in logs:
            # What the other one is told exists, also when the rotation has ended.
            for line in log.splitlines():
                if line.strip().startswith(("use that key", "see the result", "look at it")):
                    contains(line, "keywright show ci")
        now = {person.run("get", "ci")[0] for person in people}
        equal(len(now), 1)
        assert before not in now
        old = [label for label in people[0].keys() if label.startswith("ci (")]
        equal(len(old), round_ + 1)


@test
def history_and_rollback_bring_back_only_a_key_that_works(world):
    bao, server, management, (eva, max_) = team(world, "eva", "max")
    eva.run("new", "ci")
    first = eva.run("get", "ci")[0]
    max_.run("rotate", "ci", "--yes")
    second = eva.run("get", "ci")[0]
    versions = json.loads(eva.run("show", "ci", "--history", "--json")[0])["versions"]
    equal([(v["version"], v["state"]) for v in versions], [(2, "current"), (1, "available")])
    contains(versions[0]["created_by"], "max@")
    contains(versions[1]["created_by"], "eva@")
    out, _ = eva.run("rollback", "ci", "--to", "1", "--yes")
    equal(max_.run("get", "ci")[0], first)
    # The replaced key is kept as after a rotation, and everybody sees it.
    contains(out, "is kept as 'ci (old) 2' and stays valid")
    keys = max_.keys()
    equal(keys.keys(), {"ci", "ci (old) 2"})
    contains(max_.run("list")[0], "retiring")
    equal(max_.run("get", "ci (old) 2")[0], second)
    contains(keys["ci"]["created_by"], "eva@")
    contains(keys["ci (old) 2"]["created_by"], "max@")
    _, err = eva.run("rollback", "ci", "--to", "1", "--yes", expect=2)
    contains(err, "has the same key as the current one")
    # The second key is deleted at OpenRouter, so it is not brought back.
    digest = __import__("hashlib").sha256(second.strip().encode()).hexdigest()
    delete(server, management, digest)
    _, err = max_.run("rollback", "ci", "--to", "2", "--yes", expect=1)
    contains(err, "was deleted or disabled at OpenRouter")
    equal(eva.run("get", "ci")[0], first)
    _, err = eva.run("rollback", "ci", "--to", "9", "--yes", expect=3)
    contains(err, "has no version 9")


@test
def what_still_works_in_a_history_outlives_its_entry(world):
    bao, server, management, (eva, max_) = team(world, "eva", "max")
    eva.run("new", "ci")
    first = eva.run("get", "ci")[0]
    eva.run("new", "other")
    # Somebody replaced the text with another tool, so the first key is in the history alone.
    bao.ask("POST", f"secret/data/{folder(bao, 'ci')}", {"data": {"key": eva.run("get", "other")[0].strip()}})
    eva.run("rm", "other", "--yes")
    eva.run("list")
    _, err = max_.run("rename", "ci", "build")
    contains(err, "the history of 'ci' (1 earlier version) was deleted with its entry")
    contains(err, "kept as 'build (old)'")
    equal(eva.run("get", "build (old)")[0], first)
    contains(eva.run("list")[0], "retiring")
    # A key that OpenRouter does not accept any more is not brought back.
    eva.run("new", "x")
    gone = eva.run("get", "x")[0]
    max_.run("rotate", "x", "--yes")
    max_.run("rm", "x (old)", "--revoke", "--yes")
    eva.run("rm", "x", "--yes")
    assert "x (old)" not in max_.keys(), gone


def delete(server, management, digest):
    request = urllib.request.Request(f"{server}/api/v1/keys/{digest}", method="DELETE")
    request.add_header("Authorization", f"Bearer {management}")
    urllib.request.urlopen(request, timeout=10).read()


@test
def a_read_only_token_uses_keys_and_changes_nothing(world):
    bao, server, management, (eva,) = team(world, "eva")
    eva.run("new", "ci")
    token = bao.policy_token(READ_ONLY)
    guest = Person(world, bao, server, management, "guest", token)
    equal(guest.run("get", "ci"), eva.run("get", "ci"))
    equal(guest.keys().keys(), {"ci"})
    before = issued(server, management)
    metadata = bao.ask("GET", f"secret/metadata/{folder(bao, 'ci')}")["data"]
    plan_file = plan(world, 2)
    for arguments in (
        ["new", "x"], ["rotate", "ci", "--yes"], ["rename", "ci", "y"], ["disable", "ci"],
        ["rm", "ci", "--yes"], ["rm", "ci", "--revoke", "--yes"], ["panic", "ci", "--yes"],
        ["edit", "ci", "--limit", "3", "--yes"], ["apply", plan_file, "--yes"],
        ["rollback", "ci", "--to", "1", "--yes"],
    ):
        _, err = guest.run(*arguments, expect=4)
        contains(err, "the token may not write")
    equal(issued(server, management), before)
    equal(bao.ask("GET", f"secret/metadata/{folder(bao, 'ci')}")["data"], metadata)


@test
def many_apply_one_plan_at_once_and_create_each_key_once(world):
    """The long form: `PEOPLE=8 KEYS=40 python3 tests/e2e/run.py many apply`."""
    count, keys = int(os.environ.get("PEOPLE", "4")), int(os.environ.get("KEYS", "10"))
    bao, server, management, people = team(world, *(f"p{n}" for n in range(count)))
    seeds = len(issued(server, management))
    path = plan(world, keys)
    began = time.monotonic()
    processes = [
        person.start("apply", path, "--yes", "--json", log=f"{person.env['USER']}.log")
        for person in people
    ]
    codes = [process.wait(300) for process in processes]
    took = time.monotonic() - began
    logs = [world.read(f"{person.env['USER']}.log") for person in people]
    equal(codes, [0] * count)
    equal(len(issued(server, management)), seeds + keys)
    created = 0
    for log in logs:
        done = json.loads(log[log.index("{\n"):])
        equal(len(done["created"]) + len(done["unchanged"]), keys)
        equal(done["failed"], [])
        created += len(done["created"])
    equal(created, keys)
    labels = {f"key {n}" for n in range(keys)}
    for person in people:
        equal(person.keys().keys(), labels)
    secrets = {person.run("get", f"key {keys - 1}")[0] for person in people}
    equal(len(secrets), 1)
    print(f"        {count} x apply of {keys} keys: {took:.1f} s")


@test
def the_lock_of_a_crashed_apply_ends_after_its_time(world):
    bao, server, management, (eva, max_) = team(world, "eva", "max")
    path = plan(world, 40)
    first = eva.start("apply", path, "--yes", log="first.log")
    until("a key of the plan", lambda: len(issued(server, management)) > 6, 30)
    first.kill()
    first.wait()
    began = time.monotonic()
    _, err = max_.run("apply", path, "--yes", within=120)
    assert time.monotonic() - began > 10
    contains(err, "another apply is under way on the shared store, by eva@")
    equal(len(max_.keys()), 40)
    eva.run("recover")
    eva.run("apply", path, "--yes")
    names = [name for name, _ in issued(server, management) if name.startswith("key ")]
    equal(len(names), 40)


@test
def a_received_key_that_the_shared_store_does_not_have_is_deleted_at_the_server(world):
    bao, server, management, (eva,) = team(world, "eva")
    eva.run("new", "ci")
    inventory_path = os.path.join(eva.env["KEYWRIGHT_DATA_DIR"], "inventory.json")
    with open(inventory_path, encoding="utf-8") as file:
        inventory = json.load(file)
    key, = inventory["keys"]
    # As after a kill before the shared store took the key. The keychain has no key to compare with.
    attempt = {
        "id": "5" * 32, "at": key["created_at"], "label": "ci", "server": server, "stage": "received",
        "store": "bao", "local_store": "os", "sends": 1, "held": key,
        "management_key": "of this account", "entry": False,
    }
    request = urllib.request.Request(
        f"{server}/api/v1/keys/{key['hash']}", json.dumps({"name": f"ci [kw:{attempt['id']}]"}).encode(),
        {"Authorization": f"Bearer {management}", "Content-Type": "application/json"}, method="PATCH",
    )
    urllib.request.urlopen(request, timeout=10).read()
    bao.ask("DELETE", f"secret/metadata/{folder(bao, 'ci')}")
    journal_path = os.path.join(eva.env["KEYWRIGHT_DATA_DIR"], "journal.json")
    for path, content in (
        (inventory_path, {**inventory, "keys": []}),
        (journal_path, {"version": 1, "attempts": [attempt]}),
    ):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file)
    eva.run("recover")
    assert key["hash"] not in {digest for _, digest in issued(server, management)}
    eva.run("new", "ci")


@test
def a_deleted_or_destroyed_version_is_named_by_every_command_with_a_next_step(world):
    bao, server, management, (eva, max_) = team(world, "eva", "max")
    for label in ("ci", "web"):
        eva.run("new", label)
    path = folder(bao, "ci")
    bao.ask("DELETE", f"secret/data/{path}")
    undelete = f"bao kv undelete -versions=1 {path.replace('keywright', 'secret/keywright', 1)}"
    for person in (eva, max_):
        out, err = person.run("list")
        contains(out, "text deleted")
        contains(err.replace("%25", "%"), undelete.replace("%25", "%"))
    equal(max_.keys()["ci"]["secret_loss"], "deleted")
    out, err = max_.run("show", "ci")
    contains(out, "in the shared store (deleted there)")
    contains(err, "bao kv undelete -versions=1")
    contains(max_.run("show", "ci", "--history")[0], "deleted")
    # The path in the command is the one that the engine knows.
    named = err.split("undelete -versions=1 ")[1].split("`")[0].removeprefix("secret/")
    answer = bao.ask("GET", f"secret/metadata/{named.replace('%', '%25')}")
    assert "data" in answer, (named, answer)
    for arguments in (
        ["get", "ci"], ["run", "ci", "--", "true"], ["env", "ci", "--shell", "bash"],
        ["rotate", "ci", "--yes"], ["rename", "ci", "x"], ["rm", "ci", "--yes"],
    ):
        contains(max_.run(*arguments, expect=4)[1], "bao kv undelete -versions=1")
    contains(max_.run("rollback", "ci", "--to", "1", "--yes", expect=4)[1], "bao kv undelete -versions=1")
    contains(max_.run("doctor", expect=1)[0].replace("\n", " "), "'ci' cannot be used")
    bao.ask("POST", f"secret/undelete/{path}", {"versions": [1]})
    equal(max_.keys()["ci"]["secret_loss"], None)
    # A later version is destroyed: the earlier one can be brought back.
    first = max_.run("get", "ci")[0]
    max_.run("rotate", "ci", "--yes")
    bao.ask("POST", f"secret/destroy/{path}", {"versions": [2]})
    contains(eva.run("list")[0], "text destroyed")
    contains(eva.run("show", "ci")[1], "bring back an earlier version")
    out, _ = eva.run("rollback", "ci", "--to", "1", "--yes")
    contains(out, "its text was deleted from the store")
    equal(max_.run("get", "ci")[0], first)
    equal(max_.keys().keys(), {"ci", "web"})


@test
def a_value_that_cannot_be_read_is_named_and_the_key_stays_listed(world):
    bao, server, management, (eva, max_) = team(world, "eva", "max")
    eva.run("new", "ci", "--limit", "5")
    path = f"secret/metadata/{folder(bao, 'ci')}"
    fields = bao.ask("GET", path)["data"]["custom_metadata"]
    bao.ask("POST", path, {"custom_metadata": {**fields, "hash": "zz", "disabled": "maybe"}})
    keys = max_.keys()
    equal(keys["ci"]["requested"]["limit"], 5)
    err = max_.run("list")[1]
    contains(err, "the shared store has values of 'ci' that cannot be read: hash, disabled")
    max_.run("disable", "ci")
    equal(eva.run("list")[1], "")
    equal(bao.ask("GET", path)["data"]["custom_metadata"]["hash"], keys["ci"]["hash"])


@test
def commands_that_read_need_no_data_directory(world):
    bao, server, management, (eva,) = team(world, "eva")
    eva.run("new", "ci")
    key = eva.run("get", "ci")[0]
    for directory in ("/proc/none", "/proc"):
        machine = {"KEYWRIGHT_DATA_DIR": directory, "KEYWRIGHT_LOG": "debug"}
        equal(eva.run("get", "ci", **machine)[0], key)
        out, err = eva.run("list", **machine)
        contains(out, "ci")
        contains(err, "there is no log")
        equal(json.loads(eva.run("list", "--json", "--refresh", **machine)[0])[0]["state"], "active")
        contains(eva.run("show", "ci", **machine)[0], "in the shared store")
        equal(eva.run("run", "ci", "--", "printenv", "OPENROUTER_API_KEY", **machine)[0], key)
        contains(eva.run("env", "ci", "--shell", "bash", **machine)[0], key.strip())
        eva.run("new", "other", expect=1, **machine)


@test
def doctor_names_the_missing_store_for_the_secrets_of_a_sign_in(world):
    bao, server, management, (eva,) = team(world, "eva")
    bus = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
    _, err = eva.run("new", "ci", "--no-browser", expect=4, **bus)
    contains(err, "KEYWRIGHT_PASSPHRASE_FILE")
    out, _ = eva.run("doctor", expect=4, **bus)
    contains(" ".join(out.split()), "set KEYWRIGHT_PASSPHRASE_FILE to a file with a passphrase")
    code, _, err = world.run(
        "sh", "-c", f"printf %s {management} | keywright management set", **{**eva.env, **bus})
    assert code == 4, err
    contains(err, "KEYWRIGHT_PASSPHRASE_FILE")
    assert "--store file" not in err, err
    contains(eva.run("new", "ci")[0], f"stored in secret/{folder(bao, 'ci').removesuffix('/ci')}".replace("%25", "%"))


@test
def a_key_that_a_colleague_removed_is_in_the_trash_of_everyone(world):
    bao, server, management, (eva, max_) = team(world, "eva", "max")
    eva.run("new", "ci", "--limit", "5")
    key = eva.run("get", "ci")[0]
    contains(eva.run("rm", "ci", "--yes")[0], "it can be restored by everyone who uses the store")
    _, err = max_.run("get", "ci", expect=3)
    contains(err, "removed it, restore it: keywright trash restore ci")
    contains(max_.run("trash", "list")[0], "by eva@")
    max_.run("trash", "restore", "ci")
    equal(eva.run("get", "ci")[0], key)
    shown = eva.keys()["ci"]
    equal(shown["requested"]["limit"], 5)
    contains(shown["created_by"], "eva@")
    equal(json.loads(eva.run("trash", "list", "--json")[0])["trash"], [])


@test
def what_a_colleague_did_is_read_before_a_command_decides(world):
    bao, server, management, (eva, max_) = team(world, "eva", "max")
    max_.run("new", "ci")
    key = max_.run("get", "ci")[0]
    for _ in range(2):
        eva.run("rm", "ci", "--yes")
        max_.run("trash", "restore", "ci")
    # Neither a restored key nor what someone else removed is deleted.
    equal(eva.run("trash", "empty", "--yes")[0], "the trash is empty\n")
    equal(eva.run("get", "ci")[0], key)
    max_.run("rm", "ci", "--yes")
    contains(eva.run("trash", "empty", "--yes")[0], "what is in the trash was removed by others")
    # A label that someone freed can be taken, and a removed key restored with another.
    eva.run("new", "ci")
    _, err = max_.run("trash", "restore", "ci", expect=2)
    contains(err, "keywright trash restore --as NEW ci")
    max_.run("trash", "restore", "ci", "--as", "first")
    equal(eva.run("get", "first")[0], key)
    max_.run("rename", "first", "second")
    eva.run("new", "first")
    max_.run("list")
    eva.run("rename", "first", "third")
    _, err = max_.run("get", "first", expect=3)
    contains(err, "renamed 'first' to 'third'")
    contains(err, "keywright show third")
    max_.run("new", "first")
