"""The callback listener with invalid, slow and foreign clients."""

import http.client
import json
import signal
import socket
import threading
import time

from rig import (
    Pane, consent, contains, equal, fetch, is_closed, names, port_of, query, test, until, whoami,
)
from test_soak import Gate


class SlowClients:
    """Sockets that send single bytes and reconnect when the server closes them."""

    def __init__(self, port, count):
        self.port, self.sockets, self.stopped = port, [None] * count, False
        self.connected = 0
        self.thread = threading.Thread(target=self.send_bytes, daemon=True)
        self.thread.start()

    def send_bytes(self):
        while not self.stopped:
            for n, client in enumerate(self.sockets):
                try:
                    if client is None:
                        # A queued connection must not delay the others.
                        client = socket.create_connection(("127.0.0.1", self.port), timeout=0.5)
                        client.sendall(b"GET /callback/")
                        self.connected += 1
                    client.sendall(b"x")
                    self.sockets[n] = client
                except OSError:
                    if client is not None:
                        client.close()
                    self.sockets[n] = None
            time.sleep(0.02)

    def stop(self):
        self.stopped = True
        self.thread.join()
        for client in filter(None, self.sockets):
            client.close()


def listening(port):
    """Returns the addresses with a listener on this port, in the kernel's notation."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as rows:
            for row in rows.read().splitlines()[1:]:
                address, number = row.split()[1].split(":")
                if row.split()[3] == "0A" and int(number, 16) == port:
                    found.append(address)
    return found


@test
def callback_is_answered_beside_300_slow_clients(world):
    world.keyring()
    server, _ = world.sandbox()
    browser = world.chromium()
    new = world.new(server, "busy", limit=256)
    slow_clients = SlowClients(port_of(new.address), 300)
    try:
        until("300 slow connections", lambda: slow_clients.connected >= 300)
        began = time.monotonic()
        contains(browser.consent(new.address, "#authorize"), "Authorization received")
        took = time.monotonic() - began
    finally:
        slow_clients.stop()
    assert took < 5, f"answered after {took:.1f} s"
    equal(new.wait(timeout=15), 0)
    assert isinstance(whoami(server, world.lookup(server, "busy")), dict)


@test
def callback_listens_only_on_loopback_and_closes_after_the_key_or_on_sigterm(world):
    world.keyring()
    server, _ = world.sandbox()
    new = world.new(server, "received")
    port = port_of(new.address)
    # 127.0.0.1 in the machine's byte order.
    equal(listening(port), ["0100007F"])
    equal(fetch(consent(new.address))[0], 200)
    equal(new.wait(timeout=15), 0)
    equal((listening(port), is_closed(port)), ([], True))

    new = world.new(server, "ended")
    port = port_of(new.address)
    equal(listening(port), ["0100007F"])
    new.send_signal(signal.SIGTERM)
    equal(new.wait(timeout=5), 5)
    equal((listening(port), is_closed(port)), ([], True))
    equal(world.attempts(), [])


@test
def esc_cancels_the_sign_in_and_closes_the_callback(world):
    world.keyring()
    server, _ = world.sandbox()
    world.set_browser()
    pane = Pane(world)
    pane.dashboard("--server", server)
    pane.fill("cancelled")
    port = port_of(pane.address())
    equal(listening(port), ["0100007F"])
    pane.press("Escape")
    pane.wait("a new key", within=2)
    until("the port closed", lambda: listening(port) == [], within=2)
    until("the attempt's secrets removed", lambda: world.attempts() == [])


@test
def invalid_requests_are_rejected_and_have_no_effect(world):
    world.keyring()
    server, management = world.sandbox()
    new = world.new(server, "valid")
    port = port_of(new.address)
    callback = query(new.address)["callback_url"]
    path = callback[callback.index("/callback/") :]

    def status(method="GET", path=path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        equal(response.getheader("Access-Control-Allow-Origin"), None)
        contains(response.read().decode() or "Request not accepted", "Request not accepted")
        connection.close()
        return response.status

    valid = f"{path}?code=made-up"
    equal(status(path="/favicon.ico"), 404)
    equal(status(path=f"/callback/{'A' * 43}?code=made-up"), 404)
    equal(status(path=valid, Host="attacker.example"), 421)
    equal(status(path=valid, Host=f"localhost:{port}"), 421)
    equal(status("POST", valid, Content_Length="0"), 405)
    equal(status("HEAD", valid), 405)
    equal(status("OPTIONS", valid), 405)
    equal(status(path=valid, Sec_Purpose="prefetch"), 403)
    equal(status(path=valid, Sec_Fetch_Dest="image"), 403)
    equal(status(), 400)
    equal(status(path=f"{path}?code="), 400)
    equal(status(path=f"{path}?code=one&code=two"), 400)
    equal(status(path=f"{path}?code=one&error=access_denied"), 400)
    equal(status(path=f"{path}?code={'x' * 9000}"), 431)
    equal(new.poll(), None)

    callback_url = consent(new.address)
    equal(fetch(callback_url)[0], 200)
    equal(new.wait(timeout=15), 0)
    equal(names(server, management).count("valid"), 1)


class OtherAccount(Gate):
    """A proxy to the server that replaces the user ID of the account."""

    def passes(self, part):
        return part.replace(b"user_2sandbox0", b"user_2another0")


@test
def key_of_another_account_is_reported(world):
    world.keyring()
    server, _ = world.sandbox()
    gate = Gate(server)
    world.create_key(gate.url, "mine")
    warning = "belongs to another account (user_2another0"
    assert "another account" not in world.read("new.err")
    gate.close()
    other = OtherAccount(server)
    # At the same address, so that the server is the same.
    other.close()
    other.port = gate.port
    other.open()

    def create(label, *options):
        new = world.new(gate.url, label, *options)
        fetch(consent(new.address))
        return new.wait(timeout=15)

    for label in ("theirs", "theirs again"):
        equal(create(label), 1)
        contains(world.read("new.err"), warning)
    keywright = lambda *arguments: world.keywright("--server", gate.url, *arguments)
    keys = json.loads(keywright("list", "--json")[1])
    equal([key["other_account"] for key in keys], [False, True, True])

    # The label stays with the old key until the account is confirmed.
    mine = keywright("get", "mine")[1]
    before = len(world.addresses())
    rotation = world.spawn(
        ["keywright", "--server", gate.url, "rotate", "mine", "--no-open"], "new.err"
    )
    until("the address", lambda: len(world.addresses()) > before)
    fetch(consent(world.addresses()[-1]))
    equal(rotation.wait(timeout=15), 1)
    equal(keywright("get", "mine")[1], mine)
    equal(keywright("rotate", "mine", "--other-account")[0], 0)
    equal(keywright("get", "mine (old)")[1], mine)
    assert keywright("get", "mine")[1] != mine
    equal(create("confirmed"), 0)
