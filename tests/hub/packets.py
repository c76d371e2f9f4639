# SPDX-License-Identifier: Apache-2.0
"""MQTT control packets over a stream (MQTT 3.1.1, 2.2 "Fixed header"), for the tests' own clients."""


class Packets:
    """Whoever inherits has a socket, and an empty buffer."""

    def send(self, kind, body):
        length = len(body)
        head = b""
        while True:
            head += bytes([(length & 127) | (128 if length > 127 else 0)])
            length >>= 7
            if not length:
                break
        self.socket.sendall(bytes([kind]) + head + body)

    def exactly(self, count):
        while len(self.buffer) < count:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed by the broker")
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def packet(self):
        kind = self.exactly(1)[0]
        length = shift = 0
        while True:
            byte = self.exactly(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return kind, self.exactly(length)
