"""What other processes can learn: of the program's memory, the session bus, a server's certificate."""

import os
import shutil
import socket
import ssl
import subprocess
import threading

from rig import KEYWRIGHT, consent, contains, equal, fetch, files, leaks, test, until
from test_commands import exit_code_after_callback

NOBODY = 65534


@test
def a_process_of_the_same_user_can_neither_trace_it_nor_find_a_core_file(world):
    os.chmod(world.dir, 0o755)
    program = shutil.copy(KEYWRIGHT, world.path("program"))
    os.chmod(program, 0o755)
    sandbox = subprocess.Popen(
        [program, "sandbox"], user=NOBODY, stdout=subprocess.PIPE, cwd="/", env={"HOME": "/"}
    )
    sandbox.stdout.readline()
    # Its files in /proc belong to root alone: whoever is that user may not attach or read its memory.
    equal(os.stat(f"/proc/{sandbox.pid}/mem").st_uid, 0)
    with open(f"/proc/{sandbox.pid}/limits", encoding="utf-8") as limits:
        core = next(line for line in limits if line.startswith("Max core file size"))
    equal(core.split()[4:6], ["0", "0"])
    peer = subprocess.Popen(["sleep", "60"], user=NOBODY, cwd="/")
    until("the other program", lambda: os.stat(f"/proc/{peer.pid}/mem").st_uid == NOBODY)
    peer.kill()
    peer.wait()


@test
def a_monitor_of_the_session_bus_sees_no_key(world):
    world.keyring()
    server, _ = world.sandbox()
    watcher = world.spawn(["dbus-monitor", "--pcap"], "bus.pcap")
    until("the watcher", lambda: os.path.getsize(world.path("bus.pcap")) > 0)
    new = world.new(server, "watched")
    verifier = until("the attempt in the keychain", world.attempts)[0]["code_verifier"]
    before = os.path.getsize(world.path("bus.pcap"))
    watcher.terminate()
    watcher.wait(timeout=10)
    with open(world.path("bus.pcap"), "rb") as capture:
        seen = capture.read(before)
    contains(seen.decode("latin-1"), "dh-ietf1024-sha256-aes128-cbc-pkcs7")
    secrets = {"the verifier": verifier}
    # secret-tool, which looked it up, has a session of its own.
    equal(leaks(seen, secrets), [])
    equal(fetch(consent(new.address))[0], 200)
    equal(new.wait(timeout=15), 0)
    key = world.lookup(server, "watched")
    for path, content in files(world.home):
        equal((path, leaks(content, {**secrets, "the key": key})), (path, []))


@test
def a_server_with_an_untrusted_certificate_is_sent_nothing(world):
    world.keyring()
    certificate, key = world.path("certificate"), world.path("certificate.key")
    made = world.run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", key, "-out", certificate,
    )
    equal(made[0], 0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    received = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    caller = listener.accept()[0]
                except OSError:
                    return
                try:
                    with context.wrap_socket(caller, server_side=True) as tunnel:
                        received.append(tunnel.recv(4096))
                except OSError as error:
                    received.append(error)

        threading.Thread(target=serve, daemon=True).start()
        equal(exit_code_after_callback(world, f"https://127.0.0.1:{listener.getsockname()[1]}"), 6)
        listener.shutdown(socket.SHUT_RDWR)
    contains(world.read("new.err"), "no key was created and nothing was spent")
    assert received and all(isinstance(one, OSError) or not one for one in received), received
