"""A keychain that is locked, missing, frozen or restarted."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request

from bus import BusGate
from rig import Pane, consent, contains, equal, fetch, names, test, whoami
from test_soak import Gate

NOTHING = "No key was created and nothing was spent"


def expect_error(world, sentence):
    """Expects the error in the dashboard and on the command line, and no opened browser."""
    world.set_browser()
    server, management = world.sandbox()
    before = names(server, management)
    pane = Pane(world)
    pane.dashboard("--server", server)
    pane.fill("x")
    pane.wait_words(sentence, within=5)
    pane.wait_words(NOTHING, within=1)
    for command in (("new", "x", "--no-open"), ("get", "x")):
        code, out, err = world.keywright(*command, "--server", server, within=10)
        equal((command, code, out), (command, 4, ""))
        contains(err, sentence[0].lower() + sentence[1:])
        assert "http://" not in err, err
    code, out, _ = world.keywright("new", "x", "--no-open", "--json", "--server", server)
    equal((code, json.loads(out)["error"]["code"]), (4, 4))
    equal((world.opened(), names(server, management)), ([], before))


@test
def a_locked_keychain_without_prompt_is_reported_before_a_browser_opens(world):
    world.keyring(locked=True)
    expect_error(world, "The keychain is locked")
    assert world.locked()


@test
def a_missing_session_bus_is_reported_before_a_browser_opens(world):
    expect_error(world, "There is no D-Bus session bus, so no keychain can be reached")


@test
def a_stale_session_bus_is_reported_before_a_browser_opens(world):
    world.env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nonexistent/bus"
    expect_error(world, "The D-Bus session bus that DBUS_SESSION_BUS_ADDRESS names does not answer")


@test
def a_missing_provider_is_reported_before_a_browser_opens(world):
    world.bus()
    expect_error(world, "No keychain is running: nothing on the session bus provides the Secret Service")


@test
def a_frozen_keychain_times_out_after_five_seconds(world):
    daemon = world.keyring()
    server, _ = world.sandbox()
    os.kill(daemon.pid, signal.SIGSTOP)
    started = time.monotonic()
    code, out, err = world.keywright("get", "x", "--server", server)
    elapsed = time.monotonic() - started
    equal((code, out), (4, ""))
    contains(err, "the keychain did not answer in time")
    assert 4 < elapsed < 7, f"{elapsed:.1f} s"


@test
def the_dashboard_quits_at_once_while_the_keychain_is_frozen(world):
    daemon = world.keyring()
    server, _ = world.sandbox()
    world.set_browser()
    os.kill(daemon.pid, signal.SIGSTOP)
    pane = Pane(world)
    pane.dashboard("--server", server)
    pane.fill("stuck")
    pane.wait_words("Waiting for the keychain", within=4)
    pane.press("Escape")
    pane.wait("a new key", within=1)
    pane.press("C-c")
    pane.wait_shell(within=2)
    pane.dashboard("--server", server)
    pane.fill("stuck again")
    pane.wait_words("Waiting for the keychain", within=4)
    pane.press("C-c")
    pane.wait_shell(within=2)
    equal(world.opened(), [])


@test
def the_dashboard_stores_keys_after_a_keychain_restart(world):
    daemon = world.keyring()
    server, _ = world.sandbox()
    world.set_browser()
    pane = Pane(world)
    pane.dashboard("--server", server)
    keys = []
    for label in ("before", "after"):
        pane.fill(label)
        equal(fetch(consent(pane.address()))[0], 200)
        pane.wait_words(f"{label} was created and stored")
        keys.append(world.lookup(server, label))
        if label == "before":
            daemon.terminate()
            daemon.wait(timeout=10)
            world.provider()
    equal(world.lookup(server, "before"), keys[0])
    assert keys[1].startswith("sk-or-v1-") and keys[0] != keys[1], keys


class KeychainKiller(Gate):
    """A proxy that kills the keychain when a response contains a key."""

    daemon = None

    def passes(self, part):
        if b'"key":' in part and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait(timeout=10)
        return part


@test
def a_key_the_keychain_refuses_can_be_stored_in_the_file_store(world):
    daemon = world.keyring()
    server, management = world.sandbox()
    before = set(names(server, management))
    gate = KeychainKiller(server)
    gate.daemon, server = daemon, gate.url
    world.set_browser()
    pane = Pane(world)
    pane.dashboard("--server", server)
    pane.fill("refused")
    equal(fetch(consent(pane.address()))[0], 200)
    pane.wait_words("refused was created but not stored", within=20)
    pane.press("q")
    pane.wait_words("Quit and lose it?")
    pane.press("n", "s")
    pane.wait_words("will be stored in")
    for field in ("▸ Passphrase", "▸ Repeat"):
        pane.wait(field)
        pane.type("correct horse")
        pane.press("Enter")
    pane.wait_words("refused was created and stored in", within=20)
    pane.wait_words("vault.age")
    pane.press("Escape")
    pane.wait(r"\d/1\b")
    pane.press("q")
    pane.wait_shell()
    assert b"horse" not in pane.written()
    filed = {"KEYWRIGHT_PASSPHRASE_FILE": world.write("passphrase", "correct horse\n")}
    code, key, _ = world.keywright("get", "refused", "--server", server, "--store", "file", **filed)
    equal((code, whoami(server, key.strip())["label"][:9]), (0, "sk-or-v1-"))
    world.provider()
    # No attempt is pending, and one key was created.
    equal(world.keywright("recover", "--server", server)[:2], (0, "every attempt ended cleanly\n"))
    equal(set(names(server, management)) - before, {"refused"})
    # The inventory says where it is; an explicit store is the only one to be used.
    equal(world.keywright("get", "refused", "--server", server, **filed)[:2], (0, key))
    code, _, err = world.keywright("get", "refused", "--server", server, "--store", "os", **filed)
    equal(code, 3)
    contains(err, "--store file")


class LabelTaker(Gate):
    """A proxy that stores something else under the label when a response contains a key."""

    world, service = None, None

    def passes(self, part):
        if b'"key":' in part and not self.world.lookup(self.url, "taken"):
            store = ["secret-tool", "store", "--label", "x", "service", self.service, "username", "taken"]
            subprocess.run(store, input=b"another key", env=self.world.env, check=True)
        return part


@test
def a_label_that_is_taken_while_its_key_is_created_keeps_its_entry(world):
    world.keyring()
    server, management = world.sandbox()
    gate = LabelTaker(server)
    gate.world, gate.service = world, "keywright/" + gate.url.split("//")[1]
    plan = world.write("plan.toml", '[[key]]\nlabel = "taken"\nlimit = 1\n')
    command = ("apply", plan, "--yes", "--server", gate.url)
    code, out, err = world.keywright(*command, OPENROUTER_MANAGEMENT_KEY=management)
    contains(out + err, "the label taken was taken in the meantime")
    equal((code, world.lookup(gate.url, "taken")), (1, "another key"))
    key = world.lookup(gate.url, "taken 2")
    assert whoami(server, key)["label"].startswith("sk-or-v1-"), key
    found = "".join(world.run("secret-tool", "search", "--all", "service", gate.service)[1:])
    equal(found.count("attribute.username = "), 2)


@test
def two_programs_that_take_one_label_at_once_lose_no_key(world):
    world.keyring()
    server, management = world.sandbox()
    count = len(names(server, management))
    service = "keywright/" + server.split("//")[1]
    for number in range(12):
        command = ["keywright", "new", f"both-{number}", "--limit", "1", "--server", server]
        # With a data directory each, they share no lock.
        programs = [
            world.spawn(command, f"new-{at}.log", env={
                **world.env, "OPENROUTER_MANAGEMENT_KEY": management,
                "KEYWRIGHT_DATA_DIR": world.mkdir(f"data-{at}"),
            })
            for at in range(2)
        ]
        codes = sorted(program.wait(timeout=30) for program in programs)
        # The other one has a numbered label, or was refused before it created a key.
        assert codes in ([0, 1], [0, 2]), (codes, world.read("new-0.log"), world.read("new-1.log"))
    found = "".join(world.run("secret-tool", "search", "--all", "service", service)[1:])
    equal(found.count("attribute.username = "), len(names(server, management)) - count)


@test
def apply_searches_the_keychain_twice_a_key_over_one_connection(world):
    world.keyring()
    server, management = world.sandbox()
    plan = "".join(f'[[key]]\nlabel = "many-{n}"\nlimit = 1\n' for n in range(20))
    plan = world.write("plan.toml", plan)
    monitor = world.spawn(["dbus-monitor", "--session", "type='method_call'"], "bus.log")
    deadline = time.monotonic() + 10
    while "NameLost" not in world.read("bus.log") and time.monotonic() < deadline:
        time.sleep(0.05)
    code, _, err = world.keywright(
        "apply", plan, "--yes", "--server", server, OPENROUTER_MANAGEMENT_KEY=management
    )
    equal((code, err), (0, err))
    monitor.terminate()
    monitor.wait(timeout=10)
    calls = re.findall(r"member=(\w+)", world.read("bus.log"))
    searches = calls.count("SearchItems")
    assert searches <= 2 * 20 + 12, f"{searches} searches for 20 keys"
    equal((calls.count("Hello"), calls.count("OpenSession")), (1, 1))


class Unregistered(BusGate):
    """The keychain knows no method yet when the first search arrives."""

    searches = 0

    def call(self, message):
        if message.member != "SearchItems":
            return message.data
        self.searches += 1
        if self.searches > 1:
            return message.data
        return message.data.replace(b"SearchItems", b"SearchLater")


@test
def a_keychain_that_has_not_registered_the_connection_is_asked_again(world):
    world.keyring()
    server, _ = world.sandbox()
    world.create_key(server, "one")
    gate = Unregistered(world)
    code, out, err = world.keywright("get", "one", "--server", server, **gate.env)
    equal((code, err), (0, ""))
    assert out.startswith("sk-or-v1-"), out
    equal(gate.searches, 2)


@test
def another_keychain_is_named_where_the_keys_are_missing(world):
    world.keyring()
    server, _ = world.sandbox()
    for label in ("one", "two"):
        world.create_key(server, label)
    with open(world.path("home", ".local", "share", "keywright", "keychain.json"), encoding="utf-8") as file:
        equal(json.load(file)["providers"], [{"program": "gnome-keyring-daemon", "collection": "login"}])
    with open(world.path("home", ".local", "share", "keywright", "keychain.json"), "w", encoding="utf-8") as file:
        json.dump({"version": 1, "providers": [{"program": "kwalletd6", "collection": "kdewallet"}]}, file)
    one = world.lookup(server, "one")
    service = "keywright/" + server.split("//")[1]
    world.run("secret-tool", "clear", "service", service, "username", "one")
    for command in (("get", "one"), ("list", "--refresh"), ("run", "one", "--", "true")):
        code, _, err = world.keywright("--server", server, *command)
        equal((command, code), (command, 4))
        contains(err, "which gnome-keyring-daemon (collection login) provides now; keys were stored with kwalletd6")
        assert "create a new key" not in err and one not in err, err
    # Without a record: none of the keys is there.
    os.remove(world.path("home", ".local", "share", "keywright", "keychain.json"))
    world.run("secret-tool", "clear", "service", service, "username", "two")
    for command in (("get", "two"), ("list", "--refresh")):
        code, _, err = world.keywright(*command, "--server", server)
        equal((command, code), (command, 4))
        contains(err, "none of the 2 stored keys is in the Secret Service keychain")


@test
def recover_deletes_no_key_that_may_be_in_another_keychain(world):
    daemon = world.keyring()
    server, management = world.sandbox()
    world.env.update(KEYWRIGHT_SERVER=server, OPENROUTER_MANAGEMENT_KEY=management)
    equal(world.keywright("new", "one", "--limit", "1")[0], 0)
    # As after a kill between the secret store and the inventory, before the server has the name.
    folder = world.path("home", ".local", "share", "keywright")
    with open(os.path.join(folder, "inventory.json"), encoding="utf-8") as file:
        inventory = json.load(file)
    key, = inventory["keys"]
    attempt = {
        "id": "5" * 32, "at": key["created_at"], "label": "one", "server": server,
        "stage": "received", "store": key["store"], "sends": 1, "held": key,
        "management_key": "of this account", "entry": True,
    }
    name = json.dumps({"name": f"one [kw:{attempt['id']}]"}).encode()
    request = urllib.request.Request(f"{server}/api/v1/keys/{key['hash']}", name, method="PATCH")
    request.add_header("Authorization", f"Bearer {management}")
    request.add_header("Content-Type", "application/json")

    def interrupt():
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()
        for file, content in (
            ("inventory.json", {**inventory, "keys": []}),
            ("journal.json", {"version": 1, "attempts": [attempt]}),
        ):
            with open(os.path.join(folder, file), "w", encoding="utf-8") as file:
                json.dump(content, file)

    def restart(move, to):
        nonlocal daemon
        daemon.kill()
        daemon.wait()
        os.rename(world.path("keyring"), world.path(move))
        if os.path.exists(world.path(to)):
            os.rename(world.path(to), world.path("keyring"))
        daemon = world.provider()

    interrupt()
    text, count = world.lookup(server, "one"), len(names(server, management))
    restart("right", "other")
    code, out, err = world.keywright("recover")
    equal(code, 4)
    contains(err, "which has no key that was stored before it")
    contains(out, "not checked")
    code, _, err = world.keywright("recover", "--revoke", "one", "--yes")
    equal(code, 4)
    contains(err, "do not delete it")
    equal(len(names(server, management)), count)
    # A key that is stored there later shows nothing about the earlier one.
    equal(world.keywright("new", "two", "--limit", "1")[0], 0)
    equal(world.keywright("recover")[0], 4)
    equal(len(names(server, management)), count + 1)
    restart("other", "right")
    equal(world.keywright("recover")[0], 0)
    equal((world.keywright("get", "one")[1].strip(), whoami(server, text)["limit"]), (text, 1))
    # In the keychain that has the attempt's own entry, a key that is not stored is deleted.
    interrupt()
    service = "keywright/" + server.split("//")[1]
    world.run("secret-tool", "clear", "service", service, "username", "one")
    equal(world.keywright("recover")[0], 4)
    store = "printf {} | secret-tool store --label x service keywright-attempts username "
    equal(world.run("sh", "-c", store + attempt["id"])[0], 0)
    code, out, err = world.keywright("recover")
    equal((code, err), (0, err))
    contains(out, "one  created and not received")
    equal((len(names(server, management)), world.attempts()), (count, []))
