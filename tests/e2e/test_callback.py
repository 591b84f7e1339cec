"""The callback while strangers are at its door."""

import http.client
import signal
import socket
import threading
import time

from rig import (
    Pane, consent, contains, equal, fetch, is_closed, names, port_of, query, test, until, whoami,
)
from test_soak import Gate


class Dribblers:
    """Sockets that send a byte now and then, and come again whenever they are thrown out."""

    def __init__(self, port, count):
        self.port, self.sockets, self.over = port, [None] * count, False
        self.connected = 0
        self.thread = threading.Thread(target=self.dribble, daemon=True)
        self.thread.start()

    def dribble(self):
        while not self.over:
            for n, stranger in enumerate(self.sockets):
                try:
                    if stranger is None:
                        # A stranger in the queue must not hold up the others.
                        stranger = socket.create_connection(("127.0.0.1", self.port), timeout=0.5)
                        stranger.sendall(b"GET /callback/")
                        self.connected += 1
                    stranger.sendall(b"x")
                    self.sockets[n] = stranger
                except OSError:
                    if stranger is not None:
                        stranger.close()
                    self.sockets[n] = None
            time.sleep(0.02)

    def stop(self):
        self.over = True
        self.thread.join()
        for stranger in filter(None, self.sockets):
            stranger.close()


def listening(port):
    """The addresses on which something listens at this port, as the kernel writes them."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as rows:
            for row in rows.read().splitlines()[1:]:
                address, number = row.split()[1].split(":")
                if row.split()[3] == "0A" and int(number, 16) == port:
                    found.append(address)
    return found


@test
def the_callback_is_answered_among_300_sockets_that_dribble(world):
    world.keyring()
    server, _ = world.sandbox()
    browser = world.chromium()
    new = world.new(server, "crowded", limit=256)
    strangers = Dribblers(port_of(new.address), 300)
    try:
        until("300 strangers at the door", lambda: strangers.connected >= 300)
        began = time.monotonic()
        contains(browser.consent(new.address, "#authorize"), "Authorization received")
        took = time.monotonic() - began
    finally:
        strangers.stop()
    assert took < 5, f"answered after {took:.1f} s"
    equal(new.wait(timeout=15), 0)
    assert isinstance(whoami(server, world.lookup(server, "crowded")), dict)


@test
def the_callback_listens_on_loopback_alone_and_closes_with_the_key_or_on_sigterm(world):
    world.keyring()
    server, _ = world.sandbox()
    new = world.new(server, "received")
    port = port_of(new.address)
    # 127.0.0.1 in the byte order of this machine.
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
def esc_while_waiting_closes_the_callback(world):
    world.keyring()
    server, _ = world.sandbox()
    world.be_browser()
    pane = Pane(world)
    pane.dashboard("--server", server)
    pane.fill("left")
    port = port_of(pane.address())
    equal(listening(port), ["0100007F"])
    pane.press("Escape")
    pane.wait("a new key", within=2)
    until("the port closed", lambda: listening(port) == [], within=2)
    until("the attempt's secrets gone", lambda: world.attempts() == [])


@test
def strangers_are_turned_away_and_change_nothing(world):
    world.keyring()
    server, management = world.sandbox()
    new = world.new(server, "visited")
    port = port_of(new.address)
    callback = query(new.address)["callback_url"]
    path = callback[callback.index("/callback/") :]

    def status(method="GET", path=path, **headers):
        caller = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        caller.request(method, path, headers=headers)
        answer = caller.getresponse()
        equal(answer.getheader("Access-Control-Allow-Origin"), None)
        contains(answer.read().decode() or "Request not accepted", "Request not accepted")
        caller.close()
        return answer.status

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

    back = consent(new.address)
    equal(fetch(back)[0], 200)
    equal(new.wait(timeout=15), 0)
    equal(names(server, management).count("visited"), 1)


class Stranger(Gate):
    """A way to the server on which every account is another one."""

    def passes(self, part):
        return part.replace(b"user_2sandbox0", b"user_2stranger")


@test
def a_key_of_another_account_than_the_others_is_said_to_be_one(world):
    world.keyring()
    server, _ = world.sandbox()
    gate = Gate(server)
    world.cut(gate.url, "mine")
    words = "of another account than the keys that are held here"
    assert words not in world.read("new.err")
    gate.close()
    stranger = Stranger(server)
    # Under the address that the keys are held for.
    stranger.close()
    stranger.port = gate.port
    stranger.open()
    world.cut(gate.url, "theirs")
    contains(world.read("new.err"), words)
    # From now on both are known.
    world.cut(gate.url, "theirs again")
    equal(world.read("new.err").count(words), 1)
