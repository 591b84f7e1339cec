"""The command line, used by a script."""

import json
import socket
import threading
from datetime import datetime, timedelta, timezone

from rig import (
    consent, contains, equal, fetch, is_closed, names, port_of, query, test, whoami,
)


@test
def new_prints_one_json_document_without_the_key(world):
    world.keyring()
    server, _ = world.sandbox()
    browser = world.chromium()
    day = (datetime.now(timezone.utc) + timedelta(days=365)).date().isoformat()
    policy_options = ("--limit", "7.25", "--reset", "monthly", "--expires", day)
    new = world.new(server, "script", *policy_options, "--json")
    equal(world.opened(), [])
    contains(browser.consent(new.address, "#authorize"), "Authorization received")
    printed = new.stdout.read().decode()
    equal(new.wait(timeout=15), 0)
    key, document = world.lookup(server, "script"), json.loads(printed)
    equal(whoami(server, key)["limit"], 7.25)
    assert key not in printed and "key" not in document, printed
    policy = {"limit": 7.25, "limit_reset": "monthly", "expires_at": f"{day}T23:59:59Z"}
    equal(document["granted"], policy)
    equal(document["requested"], {**policy, "workspace_id": None})
    expected = {
        "label": "script", "server": server, "store": "os", "differences": [],
        "state": "active", "limit_remaining": 7.25, "masked": f"{key[:12]}...{key[-4:]}",
    }
    equal({name: document[name] for name in expected}, expected)


@test
def new_prints_the_key_with_print_key(world):
    world.keyring()
    server, _ = world.sandbox()
    new = world.new(server, "printed", "--json", "--print-key")
    equal(fetch(consent(new.address))[0], 200)
    document = json.loads(new.stdout.read())
    equal(new.wait(timeout=15), 0)
    equal(document["key"], world.lookup(server, "printed"))


@test
def denied_consent_exits_with_code_5(world):
    world.keyring()
    server, management = world.sandbox()
    before = names(server, management)
    browser = world.chromium()
    new = world.new(server, "refused", "--json")
    contains(browser.consent(new.address, "#refuse"), "No key was created")
    equal(json.load(new.stdout)["error"]["code"], 5)
    equal(new.wait(timeout=15), 5)
    contains(world.read("new.err"), "access was denied on the consent page")
    equal((world.lookup(server, "refused"), world.attempts()), ("", []))
    equal(names(server, management), before)
    assert is_closed(port_of(new.address))


def exit_code_after_callback(world, server):
    """Sends `new` a code that `server` did not issue, and returns the exit code."""
    new = world.new(server, "lost", "--json", "--retries", "0")
    request = query(new.address)
    separator = "&" if "?" in request["callback_url"] else "?"
    state = f"&state={request['state']}" if "state" in request else ""
    equal(fetch(f"{request['callback_url']}{separator}code=made-up{state}")[0], 200)
    document = json.load(new.stdout)
    code = new.wait(timeout=30)
    equal(document["error"]["code"], code)
    return code


@test
def an_unreachable_server_exits_with_code_6(world):
    world.keyring()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    equal(exit_code_after_callback(world, f"http://127.0.0.1:{port}"), 6)
    contains(world.read("new.err"), "no key was created and nothing was spent")
    equal(world.attempts(), [])


@test
def a_server_that_closes_the_connection_during_the_exchange_exits_with_code_7(world):
    world.keyring()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller:
                    caller.recv(4096)

        threading.Thread(target=hang_up, daemon=True).start()
        equal(exit_code_after_callback(world, f"http://127.0.0.1:{server.getsockname()[1]}"), 7)
        server.shutdown(socket.SHUT_RDWR)
    contains(world.read("new.err"), "a key may have been created and was not received")


@test
def wrong_usage_exits_with_code_2_and_sends_nothing(world):
    world.keyring()
    server, management = world.sandbox()
    before = names(server, management)
    for arguments in (
        ("new",),
        ("new", ""),
        ("new", "x", "--limit", "0"),
        ("new", "x", "--limit", "1.234"),
        ("new", "x", "--limit", "much"),
        ("new", "x", "--reset", "yearly"),
        ("new", "x", "--expires", "2001-01-01"),
        ("new", "x", "--workspace", "mine"),
        ("new", "x", "--print-key"),
        ("get", "x", "--server", "http://example.com"),
        ("get", "x", "--store", "paper"),
        ("frobnicate",),
    ):
        code, out, err = world.keywright(*arguments, KEYWRIGHT_SERVER=server)
        equal((arguments, code, out), (arguments, 2, ""))
        assert err.strip(), arguments
    equal((names(server, management), world.attempts()), (before, []))


@test
def an_unknown_label_exits_with_code_3(world):
    world.keyring()
    server, _ = world.sandbox()
    for command in ("get", "show", "rm"):
        code, out, err = world.keywright(command, "missing", "--server", server)
        equal((command, code, out), (command, 3, ""))
        contains(err, "missing")
    code, out, _ = world.keywright("show", "missing", "--json", "--server", server)
    equal((code, json.loads(out)["error"]["code"]), (3, 3))


@test
def a_created_key_is_listed_shown_read_and_removed(world):
    world.keyring()
    server, _ = world.sandbox()
    key = world.create_key(server, "kept", "--limit", "2")
    listed = json.loads(world.keywright("list", "--json", "--server", server)[1])
    equal([row["label"] for row in listed], ["kept"])
    code, out, _ = world.keywright("show", "kept", "--json", "--server", server)
    equal((code, json.loads(out)["granted"]["limit"]), (0, 2))
    assert key not in out
    equal(world.keywright("get", "kept", "--server", server), (0, f"{key}\n", ""))
    equal(world.keywright("rm", "kept", "--yes", "--server", server)[0], 0)
    equal((world.lookup(server, "kept"), whoami(server, key)["limit"]), ("", 2))
    equal(world.keywright("get", "kept", "--server", server)[0], 3)
