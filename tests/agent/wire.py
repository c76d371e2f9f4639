# SPDX-License-Identifier: Apache-2.0
"""What may stand between a gateway and its hub: a wire that can be cut, and proxies as they are found in factories."""

import base64
import contextlib
import select
import socket
import struct
import threading


def pour(one, other, wire):
    """Copy both ways until either end has enough."""
    ends = {one: other, other: one}
    with contextlib.suppress(OSError, ValueError):
        while True:
            for end in select.select(list(ends), [], [])[0]:
                data = end.recv(65536)
                if not data:
                    return
                if wire.stalled:
                    wire.swallowed += len(data)
                else:
                    ends[end].sendall(data)


class Wire:
    """Listens on 127.0.0.1 and passes everything on to a port there. A subclass asks first where to."""

    def __init__(self, port=None):
        self.target = port
        self.stalled = False  # a link that is half open: nothing gets through, nobody is told
        self.swallowed = 0  # bytes of it
        self.count = 0  # of connections that were made
        self.pairs = []
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads.append(threading.Thread(target=self.run))
        self.threads[0].start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self.count += 1
                self.threads.append(threading.Thread(target=self.serve, args=(near,)))
                self.threads[-1].start()

    def serve(self, near):
        with near, contextlib.suppress(OSError):
            far = self.open(near)
            if far is not None:
                with far:
                    self.pairs.append((near, far))
                    pour(near, far, self)

    def open(self, near):  # pylint: disable=unused-argument
        return socket.create_connection(("127.0.0.1", self.target))

    def cut(self, reset=False):
        """As if the line was: neither end says goodbye."""
        while self.pairs:
            for end in self.pairs.pop():
                with contextlib.suppress(OSError):
                    if reset:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.threads[0].join()
        self.cut()
        for thread in self.threads:
            thread.join()


def exactly(link, count):
    data = b""
    while len(data) < count:
        more = link.recv(count - len(data))
        if not more:
            raise ConnectionError("it hung up")
        data += more
    return data


class Socks5(Wire):
    """A SOCKS5 proxy (RFC 1928), with a password (RFC 1929) where one is set; names are its own business."""

    def __init__(self, names=None, user=None, password=None, code=0, answer=None):
        self.names, self.user, self.password, self.code, self.answer = names or {}, user, password, code, answer
        self.asked = []
        super().__init__()

    def open(self, near):
        methods = exactly(near, exactly(near, 2)[1])
        if self.answer is not None:
            near.sendall(self.answer)
            return None
        wanted = 2 if self.user else 0
        if wanted not in methods:
            near.sendall(b"\5\xff")
            return None
        near.sendall(bytes([5, wanted]))
        if self.user:
            user = exactly(near, exactly(near, 2)[1]).decode()
            password = exactly(near, exactly(near, 1)[0]).decode()
            good = (user, password) == (self.user, self.password)
            near.sendall(bytes([1, 0 if good else 1]))
            if not good:
                return None
        kind = exactly(near, 4)[3]
        if kind == 3:
            name = exactly(near, exactly(near, 1)[0]).decode()
        else:
            name = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, exactly(near, 4 if kind == 1 else 16))
        port = struct.unpack("!H", exactly(near, 2))[0]
        self.asked.append((name, port))
        near.sendall(bytes([5, self.code, 0, 1, 0, 0, 0, 0, 0, 0]))
        return None if self.code else socket.create_connection((self.names.get(name, name), port))


class Http(Wire):
    """A proxy that knows CONNECT (RFC 9110, 9.3.6), with Basic authorization where a password is set."""

    def __init__(self, names=None, user=None, password=None, answer=None):
        self.names, self.answer = names or {}, answer
        self.word = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else None
        self.asked, self.heads = [], []
        super().__init__()

    def open(self, near):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += exactly(near, 1)
        lines = head.decode().split("\r\n")
        self.heads.append(head.decode())
        name, port = lines[0].split(" ")[1].rsplit(":", 1)
        self.asked.append((name, int(port)))
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        if self.answer is not None:
            near.sendall(self.answer)
            return None
        if self.word and fields.get("proxy-authorization", "").split(" ")[-1:] != [self.word.lower().split(" ")[1]]:
            near.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n")
            return None
        far = socket.create_connection((self.names.get(name.strip("[]"), name.strip("[]")), int(port)))
        near.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 somebody\r\n\r\n")
        return far
