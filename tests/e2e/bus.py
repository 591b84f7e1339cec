"""A bus between Keywright and the real one, which can lose or change messages and break connections."""

import os
import socket
import struct
import threading


class Message:
    """One D-Bus message, with the fields that tests look at."""

    def __init__(self, data):
        self.data = data
        self.kind = data[1]
        length, = struct.unpack_from("<I", data, 12)
        at, end, self.fields = 16, 16 + length, {}
        while at < end:
            at = (at + 7) & ~7
            code, form = data[at], data[at + 2:at + 3]
            at += 4
            if form == b"g":
                size = data[at]
                value = data[at + 1:at + 1 + size].decode()
                at += size + 2
            else:
                value, = struct.unpack_from("<I", data, at)
                at += 4
                if form != b"u":
                    size, value = value, data[at:at + value].decode()
                    at += size + 1
            self.fields[code] = value
        self.body_at = (end + 7) & ~7
        self.member = self.fields.get(3, "")


class BusGate:
    """Passes messages on; a test overrides what happens to them."""

    def __init__(self, world):
        self.to = world.path("bus")
        path = world.path("gate")
        self.listener = socket.socket(socket.AF_UNIX)
        if os.path.exists(path):
            os.remove(path)
        self.listener.bind(path)
        self.listener.listen(16)
        self.env = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={path}"}
        self.lock = threading.Lock()
        threading.Thread(target=self.serve, daemon=True).start()

    def call(self, message):
        """What the bus receives for a message of Keywright; `None` closes the connection."""
        return message.data

    def reply(self, message):
        """What Keywright receives for a message of the bus; `None` closes the connection."""
        return message.data

    def accepts(self):
        return True

    def serve(self):
        while True:
            program = self.listener.accept()[0]
            if not self.accepts():
                program.close()
                continue
            bus = socket.socket(socket.AF_UNIX)
            bus.connect(self.to)
            for ends in ((program, bus, self.call), (bus, program, self.reply)):
                threading.Thread(target=self.carry, args=ends, daemon=True).start()

    def carry(self, source, sink, change):
        stream = source.makefile("rb")
        try:
            # The lines of the authentication come first.
            while stream.peek(1)[:1] not in (b"l", b""):
                sink.sendall(stream.readline())
            while head := stream.read(16):
                body, _, fields = struct.unpack_from("<III", head, 4)
                data = head + stream.read(((fields + 7) & ~7) + body)
                with self.lock:
                    data = change(Message(data))
                if data is None:
                    break
                for part in data if isinstance(data, list) else [data]:
                    sink.sendall(part)
        except (OSError, struct.error):
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
