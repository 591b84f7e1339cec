"""Provisioning from the form to the keychain, with a real browser."""

import json
import re
import time
from datetime import datetime, timedelta, timezone

from rig import (
    Pane, equal, files, leaks, names, query, shows, test, until, whoami,
)

NOTHING = "No key was created and nothing was spent"


@test
def a_key_created_in_the_dashboard_is_in_the_keychain_with_the_requested_limits(world):
    world.keyring()
    world.display()
    server, _ = world.sandbox()
    world.chromium()
    pane = Pane(world)
    pane.dashboard("--server", server)
    before = datetime.now(timezone.utc)
    pane.fill("tool one", limit="12.5", reset="w", expires="30d")
    pane.wait_words("tool one was created and stored in the Secret Service keychain", within=30)
    pane.wait_words("granted as requested")
    equal(len(world.opened()), 1)
    until("the browser's last page", lambda: "Authorization received" in world.read("browser.log"))

    key = world.lookup(server, "tool one")
    assert re.fullmatch(r"sk-or-v1-[0-9a-f]{64}", key), key
    me = whoami(server, key)
    equal((me["limit"], me["limit_remaining"], me["limit_reset"]), (12.5, 12.5, "weekly"))
    expires = datetime.fromisoformat(me["expires_at"].replace("Z", "+00:00"))
    days = [(before + timedelta(days=more)).date() for more in (30, 31)]
    assert expires.date() in days, expires
    equal(world.keywright("get", "tool one", "--server", server), (0, f"{key}\n", ""))

    # The record is written after the screen.
    until("the reveal screen in the record", lambda: b"granted" in pane.written())
    assert not shows(pane.written(), key), "the key was on the screen before it was asked for"
    pane.press("v")
    until("the whole key on the screen", lambda: key in pane.joined())
    began = time.monotonic()
    until("the key hidden again", lambda: not shows(pane.screen().encode(), key), within=14)
    shown = time.monotonic() - began
    assert 8 < shown < 12, f"shown for {shown:.1f} s"
    # Proves that the search above would find the secret.
    until("the key in the record", lambda: shows(pane.written(), key))
    pane.press("q")
    pane.wait_shell()


@test
def a_key_is_listed_after_a_restart_and_revealed_for_ten_seconds(world):
    world.keyring()
    server, _ = world.sandbox()
    key = world.create_key(server, "later", "--limit", "3", "--reset", "daily")
    pane = Pane(world)
    pane.dashboard("--server", server)
    pane.wait("later")
    pane.press("Enter", "v")
    until("the whole key on the screen", lambda: key in pane.joined())
    pane.press("v")
    until("the key hidden again", lambda: not shows(pane.screen().encode(), key), within=2)


@test
def denied_consent_is_reported_and_stores_nothing(world):
    world.keyring()
    world.display()
    server, management = world.sandbox()
    before = names(server, management)
    world.chromium(click="#refuse")
    pane = Pane(world)
    pane.dashboard("--server", server)
    pane.fill("unwanted")
    pane.wait_words("Access was denied on the consent page", within=30)
    pane.wait_words(NOTHING)
    until("the browser's last page", lambda: "No key was created" in world.read("browser.log"))
    equal(world.lookup(server, "unwanted"), "")
    until("the attempt's secrets gone", lambda: world.attempts() == [])
    equal(names(server, management), before)
    pane.press("q")
    pane.wait_shell()
    equal(world.keywright("get", "unwanted", "--server", server)[0], 3)
    equal(json.loads(world.keywright("list", "--json", "--server", server)[1]), [])


@test
def the_sandbox_works_with_an_empty_home_and_leaves_no_files(world):
    pane = Pane(world)
    pane.dashboard("--sandbox")
    for label in ("laptop", "ci", "notebook", "agent"):
        pane.wait(rf"\b{label}\b")
    pane.fill("first", limit="5")
    # The step is listed before it is reached; the footer offers what can be pressed now.
    pane.wait("y approve")
    pane.press("y")
    pane.wait_words("first was created and stored in memory")
    pane.press("q")
    pane.wait_shell()
    equal(list(files(world.home)), [])


@test
def without_a_callback_the_page_shows_a_code_that_can_be_pasted(world):
    world.keyring()
    server, _ = world.sandbox()
    browser = world.chromium()
    del world.env["BROWSER"]
    pane = Pane(world, SSH_CONNECTION="192.0.2.1 50000 192.0.2.2 22")
    pane.dashboard("--server", server)
    pane.fill("far away", limit="1")
    address = pane.address()
    equal(query(address).get("callback_url"), None)
    equal(query(address)["key_label"], "far away")
    browser.consent(address, "#authorize")
    code = browser.element("#code")
    pane.press("p")
    pane.wait(r"▸ Code")
    # A newline that came along sends nothing by itself.
    pane.paste(f"{code}\n")
    pane.wait(r"▸ Code +•+")
    assert code not in pane.screen()
    equal(world.lookup(server, "far away"), "")
    pane.press("Enter")
    pane.wait_words("far away was created and stored")
    equal(whoami(server, world.lookup(server, "far away"))["limit"], 1)


@test
def nothing_secret_is_in_the_log_the_data_directory_or_on_standard_error(world):
    world.keyring()
    server, _ = world.sandbox()
    browser = world.chromium()
    data = world.mkdir("data")
    loud = {"KEYWRIGHT_LOG": "trace", "KEYWRIGHT_DATA_DIR": data}
    secrets, seen = {}, []

    def note(about, address):
        # The verifier is only in the keychain, until the attempt ends.
        attempt = until("the attempt in the keychain", world.attempts)[0]
        secrets[f"verifier of {about}"] = attempt["code_verifier"]
        secrets[f"nonce of {about}"] = query(address)["callback_url"].rpartition("/")[2]
        # While it waits, the data directory holds the journal of the attempt.
        seen.extend(files(data))

    def follow(about, decision):
        secrets[f"code of {about}"] = query(browser.url()).get("code", decision)

    new = world.new(server, "loud", "--json", **loud)
    note("new", new.address)
    browser.consent(new.address, "#authorize")
    follow("new", None)
    printed = new.stdout.read()
    equal(new.wait(timeout=15), 0)
    secrets["key of new"] = world.lookup(server, "loud")

    world.env.update(loud)
    world.set_browser()
    pane = Pane(world)
    pane.dashboard("--server", server)
    pane.fill("on screen")
    note("dashboard", pane.address())
    browser.consent(world.opened()[0], "#authorize")
    follow("dashboard", None)
    pane.wait_words("on screen was created and stored", within=20)
    secrets["key of dashboard"] = world.lookup(server, "on screen")
    pane.press("q")
    pane.wait_shell()

    assert all(len(secret) >= 20 for secret in secrets.values()), secrets
    equal(len(secrets), 8)
    for path, content in [*seen, *files(data), *files(world.home)]:
        equal((path, leaks(content, secrets)), (path, []))
    log = next(content for path, content in files(data) if path.endswith("keywright.log"))
    assert log.count(b"started") >= 2, log
    assert any(path.endswith("inventory.json") for path, _ in files(data))
    stderr = world.read("new.err").replace(new.address, "")
    equal(leaks(stderr.encode() + printed, secrets), [])
    # Finding the address proves that the search works.
    equal(leaks(new.address.encode(), secrets), ["nonce of new"])
