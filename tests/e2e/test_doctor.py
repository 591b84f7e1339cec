"""`doctor` with a real keychain, and the secret scanner compared with `rg`."""

import json
import os
import signal
import subprocess

from rig import consent, contains, equal, fetch, test


def run_doctor(world, server, *arguments, within=60):
    """Returns the exit code, and the checks by name."""
    argv = ("doctor", "--json", "--server", server, *arguments)
    code, out, _ = world.keywright(*argv, within=within)
    checks = {}
    for check in json.loads(out)["checks"]:
        checks.setdefault(check["name"], []).append(check)
    return code, checks


def create(world, server, label):
    """Creates a key and returns it."""
    new = world.new(server, label)
    equal(fetch(consent(new.address))[0], 200)
    equal(new.wait(timeout=15), 0)
    return world.lookup(server, label)


def data(world, *names):
    return os.path.join(world.home, ".local", "share", "keywright", *names)


@test
def doctor_rebuilds_a_lost_inventory_from_the_keychain(world):
    world.keyring()
    server, _ = world.sandbox()
    for label in ("one", "two words", "drei é"):
        create(world, server, label)
    code, checks = run_doctor(world, server)
    equal((code, checks["keychain"][0]["status"]), (0, "ok"))
    contains(checks["keychain"][0]["message"], "served by gnome-keyring-daemon")
    equal(checks["stored keys"][0]["message"], "3 keys, each with a keychain entry")
    before = json.loads(world.keywright("list", "--json", "--server", server)[1])
    os.remove(data(world, "inventory.json"))
    code, checks = run_doctor(world, server)
    equal((code, checks["stored keys"][0]["status"]), (0, "ok"))
    # A single missing entry is restored only with --fix.
    with open(data(world, "inventory.json"), encoding="utf-8") as file:
        inventory = json.load(file)
    inventory["keys"].pop()
    world.write(os.path.relpath(data(world, "inventory.json"), world.dir), json.dumps(inventory))
    code, checks = run_doctor(world, server)
    equal((code, checks["stored keys"][0]["status"]), (0, "warn"))
    contains(checks["stored keys"][0]["advice"], "doctor --fix")
    code, checks = run_doctor(world, server, "--fix")
    equal((code, checks["stored keys"][0]["status"]), (0, "ok"))
    after = json.loads(world.keywright("list", "--json", "--server", server)[1])

    def summarize(keys):
        names = ("label", "hash", "masked", "store", "limit", "expires_at", "state")
        return sorted(tuple(key[name] for name in names) for key in keys)

    equal(summarize(after), summarize(before))
    equal(run_doctor(world, server)[1]["stored keys"][0]["message"], "3 keys, each with a keychain entry")
    # No test entry is left in the keychain.
    for service in (f"keywright/{server.split('//')[1]} probe", "keywright probe"):
        equal(world.run("secret-tool", "lookup", "service", service)[1], "")


@test
def doctor_reports_keychain_entries_that_are_missing_or_differ(world):
    world.keyring()
    server, _ = world.sandbox()
    create(world, server, "gone")
    other = create(world, server, "other")
    service = "keywright/" + server.split("//")[1]
    world.run("secret-tool", "clear", "service", service, "username", "gone")
    store = ["secret-tool", "store", "--label=x", "service", service, "username", "other"]
    subprocess.run(store, env=world.env, input=other[:-1].encode(), check=True, timeout=10)
    code, checks = run_doctor(world, server)
    equal(code, 1)
    equal(
        [(check["status"], check["message"]) for check in checks["stored keys"]],
        [
            ("fail", "in the inventory but not in the keychain: 'gone'"),
            ("warn", "the keychain holds a different key than the inventory: 'other'"),
        ],
    )


@test
def an_entry_that_is_no_key_stops_neither_a_plan_nor_doctor(world):
    world.keyring()
    server, management = world.sandbox()
    service = "keywright/" + server.removeprefix("http://")
    for name, text in (("b", r"\377\376"), ("secret of others", "a password")):
        store = f"printf '{text}' | secret-tool store --label=x service '{service}' username '{name}'"
        equal(world.run("sh", "-c", store)[0], 0)
    plan = world.write("plan.toml", "".join(f'[[key]]\nlabel = "{label}"\n' for label in "abc"))
    apply = ("apply", plan, "--yes", "--server", server)
    code, out, err = world.keywright(*apply, OPENROUTER_MANAGEMENT_KEY=management)
    equal(code, 2)
    contains(out, "2 created, 1 failed")
    contains(err, "the secret store has an entry with the label b that cannot be read")
    for options in ((), ("--fix",)):
        code, checks = run_doctor(world, server, *options)
        messages = [check["message"] for check in checks["stored keys"]]
        equal(messages, ["in the keychain under Keywright's service name, and not Keywright's keys: 'b', 'secret of others'",
                         "2 keys, each with a keychain entry"])
    found = world.run("secret-tool", "lookup", "service", service, "username", "secret of others")[1]
    equal(found, "a password")


@test
def doctor_reports_a_locked_or_frozen_keychain_and_continues(world):
    daemon = world.keyring(locked=True)
    server, _ = world.sandbox()
    code, checks = run_doctor(world, server, within=15)
    equal(code, 4)
    contains(checks["keychain"][0]["message"], "the keychain is locked")
    contains(checks["keychain"][0]["message"], "gnome-keyring-daemon")
    equal((checks["server"][0]["status"], "stored keys" in checks), ("ok", False))
    assert world.locked()
    os.kill(daemon.pid, signal.SIGSTOP)
    code, checks = run_doctor(world, server, within=15)
    equal((code, checks["keychain"][0]["message"]), (4, "the keychain did not answer in time"))


@test
def the_secret_scanner_finds_the_same_lines_as_rg(world):
    server, _ = world.sandbox()
    root = world.mkdir("tree")
    texts = ("", "no key\n", "sk-or-v1-short\n", "a\r\n\r\nK={0}\r\n", "{0}\n{0} {1}\n", "x" * 300_000 + "\n{0}{1}\n")
    for number in range(600):
        path = os.path.join(root, f".d{number % 7}", f"e{number % 5}")
        os.makedirs(path, exist_ok=True)
        keys = [f"sk-or-v1-{number * 2 + one:064x}" for one in (0, 1)]
        with open(os.path.join(path, f"f{number}"), "w", encoding="utf-8", newline="") as file:
            file.write(texts[number % len(texts)].format(*keys))
    with open(os.path.join(root, ".gitignore"), "w", encoding="utf-8") as file:
        file.write("*\n")
    os.symlink(root, os.path.join(root, "loop"))
    code, checks = run_doctor(world, server, "--store", "memory", "--search", root)
    equal(code, 0)
    found = {(check["path"], check["line"]) for check in checks["plaintext keys"] if "path" in check}
    pattern = "sk-or-v1-[0-9a-zA-Z_-]{20,}"
    code, out, _ = world.run("rg", "-uuu", "--no-messages", "-n", "--no-heading", "-o", pattern, root)
    equal(code, 0)
    lines = {tuple(line.split(":")[:2]) for line in out.splitlines()}
    equal(found, {(path, int(line)) for path, line in lines})
    equal(len(found), 400)


@test
def doctor_reports_two_entries_under_one_name(world):
    world.keyring()
    server, _ = world.sandbox()
    for label in ("one", "two"):
        world.create_key(server, label)
    # Another attribute makes it a second entry under the same service and username.
    twin = "printf x | secret-tool store --label=twin service 'keywright/%s' username one other 1" % server.split("//")[1]
    equal(world.run("sh", "-c", twin)[0], 0)
    code, out, _ = world.keywright("--server", server, "doctor")
    equal(code, 1)
    contains(" ".join(out.split()), "'one' cannot be read: the keychain has 2 entries with this name")
    # The other key is still checked.
    code, out, err = world.keywright("--server", server, "list", "--refresh")
    equal(code, 0)
    contains(err, "'one' could not be checked: the keychain has 2 entries with this name")
