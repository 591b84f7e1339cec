"""Signing in on a machine over SSH, with a real sshd on loopback."""

import os
import re
import shlex
import shutil
import socket
import urllib.parse

from rig import Pane, contains, equal, fetch, query, test, until, whoami

SSHD = """Port {port}
ListenAddress 127.0.0.1
HostKey {dir}/host
AuthorizedKeysFile {dir}/me.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
AllowTcpForwarding yes
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def sshd(world):
    """Starts an sshd; returns its port and the options for ssh."""
    folder = world.mkdir("ssh")
    for name in ("host", "me"):
        path = os.path.join(folder, name)
        equal(world.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)[0], 0)
    port = free_port()
    config = world.write("ssh/sshd.conf", SSHD.format(port=port, dir=folder))
    # sshd needs this directory for privilege separation; the package creates it at boot.
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    # sshd starts itself again for each connection, so it needs its full path.
    world.spawn([shutil.which("sshd", path="/usr/sbin:/sbin"), "-D", "-e", "-f", config], "sshd.log")
    until("an sshd", lambda: listens(port))
    return port, [
        "-F", "none", "-i", os.path.join(folder, "me"), "-o", "StrictHostKeyChecking=no",
        "-o", f"UserKnownHostsFile={folder}/known", "-o", "LogLevel=ERROR",
    ]


def remote_command(world, *command):
    """A command for the remote shell, with this world's keychain and home directory."""
    names = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
    return shlex.join(["env", *(f"{name}={world.env[name]}" for name in names), *command])


@test
def over_ssh_the_code_is_pasted_without_being_shown(world):
    world.keyring()
    server, _ = world.sandbox()
    port, options = sshd(world)
    pane = Pane(world, size=(100, 60))
    new = remote_command(world, "keywright", "--server", server, "new", "far away", "--limit", "1")
    pane.command(shlex.join(["ssh", "-t", "-p", str(port), *options, "root@127.0.0.1", new]))
    pane.wait("no browser is available .over SSH.")
    pane.wait("code:")
    screen = pane.screen()
    assert sum("█" in line for line in screen.splitlines()) > 15, "a QR code for a phone"
    written = pane.written().decode(errors="replace")
    address = re.search(r"^(http\S+)\r?$", written, re.M)[1]
    equal(query(address).get("callback_url"), None)
    code = re.search(r'id="code">([^<]+)<', fetch(address, data=b"decision=approve")[2])[1]
    pane.type(code)
    pane.press("Enter")
    pane.wait("far away +sk-or-v1-")
    pane.wait_shell()
    assert code.encode() not in pane.written(), "the code was shown"
    equal(whoami(server, world.lookup(server, "far away"))["limit"], 1)


@test
def the_printed_ssh_command_forwards_the_callback_port(world):
    world.keyring()
    server, _ = world.sandbox()
    port, options = sshd(world)
    callback, near_port = free_port(), free_port()
    new = remote_command(
        world, "env", "USER=root", "keywright", "--server", server, "new", "tunnelled",
        "--callback-port", str(callback),
    )
    run = world.spawn(["ssh", "-p", str(port), *options, "root@127.0.0.1", new], "new.err")
    address = until("the address", world.addresses)[0]
    line = f"ssh -p {port} -L {callback}:127.0.0.1:{callback} root@127.0.0.1"
    contains(world.read("new.err"), f"\n{line}\n")
    # Both ends are on this machine, so the near end of the tunnel needs another port.
    typed = line.replace(f"-L {callback}:", f"-L {near_port}:").split()
    world.spawn([typed[0], "-N", *options, *typed[1:]], "tunnel.log")
    until("the tunnel", lambda: listens(near_port))
    status, headers, _ = fetch(address, data=b"decision=approve", redirect=False)
    equal(status, 302)
    back = urllib.parse.urlsplit(headers["Location"])
    equal(back.netloc, f"127.0.0.1:{callback}")
    with socket.create_connection(("127.0.0.1", near_port), timeout=5) as near:
        # The request that the user's browser would send.
        head = f"GET {back.path}?{back.query} HTTP/1.1\r\nHost: {back.netloc}\r\n\r\n"
        near.sendall(head.encode())
        contains(near.makefile().readline(), "200")
    equal(run.wait(timeout=15), 0)
    contains(world.read("new.err"), "tunnelled  sk-or-v1-")
    equal(whoami(server, world.lookup(server, "tunnelled"))["limit"], 10)
