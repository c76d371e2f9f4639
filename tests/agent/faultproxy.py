#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A bad line to the hub, to order: a TCP proxy that watches TLS and MQTT go by and fails where it is told to.

    faultproxy.py LISTEN-ADDRESS HUB-ADDRESS HUB-PORT

It is told by JSON lines on its standard input, each answered by one on its standard output, and ends with that
input. Every line names a "link", which listens on a port of its own, so that one proxy serves many gateways:

    {"open": true}                     listen: {"port": N}
    {"at": POINT, "do": WHAT}          once, in place of that record of the connection
    {"now": WHAT}                      to every connection that is open
    {"delay_ms": N}                    each way, from now on
    {"flip": "up" | "down", "after": N}    one bit, once, so many bytes further on in that direction
    {"tell": true}                     {"connections": [{"reached": POINT, ...}], "open": N, "fired": N}

POINT, in the order in which a connection comes by; the record there is not passed on:
    accept          nothing was said yet
    client-hello    the hub does not hear of it
    server-hello    it heard, and its first words are lost
    server-flight   what follows its hello
    client-flight   certificate and signature, or the end of a resumed handshake
    ticket          the hub's first words after those: its verdict
    connack         the hub has the CONNECT, and its answer is lost
    reply           the hub has what was posted, and its answer is lost
WHAT:
    fin, rst        end both connections so
    silence         keep both open, take what comes, and pass nothing on: a link that is half open
    deaf            read nothing any more from the gateway
"""

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time

POINTS = ("accept", "client-hello", "server-hello", "server-flight", "client-flight", "ticket", "connack", "reply")
DEEDS = ("fin", "rst", "silence", "deaf")

HANDSHAKE, APPLICATION_DATA = 22, 23
HEADER = 5
CONNACK_SIZES = (4 + 1 + 16, 4 + 8 + 16, 4 + 16)  # encrypted: by TLS 1.3; by 1.2 with GCM, with ChaCha20
REPLY_SIZE = 64  # at least; all that the hub sends unasked is shorter


class Records:
    """Cuts a stream into TLS records; what is none is passed on as it is."""

    def __init__(self):
        self.buffer = b""

    def feed(self, data):
        self.buffer += data
        while len(self.buffer) >= HEADER:
            kind, version, length = struct.unpack("!BBxH", self.buffer[:HEADER])
            size = HEADER + length if version == 3 and 20 <= kind <= 24 else len(self.buffer)
            if len(self.buffer) < size:
                return
            record, self.buffer = self.buffer[:size], self.buffer[size:]
            yield kind, record


class Connection:
    """One connection of a gateway, and the one to the hub that belongs to it."""

    def __init__(self, link, client):
        self.link, self.client, self.hub = link, client, None
        self.reached, self.begun, self.hurt = "accept", time.time(), False
        self.silent = self.deaf = False
        self.bytes = {"up": 0, "down": 0}
        self.tasks = []

    def describe(self):
        return {"reached": self.reached, "hurt": self.hurt, "begun": self.begun, **self.bytes}

    def point(self, way, kind, record):
        """Which point this record is, or None."""
        stage, size = POINTS.index(self.reached), len(record) - HEADER
        if way == "up":
            if stage == POINTS.index("accept"):
                return "client-hello"
            return "client-flight" if stage == POINTS.index("server-flight") and kind in (HANDSHAKE, APPLICATION_DATA) else None
        if stage < POINTS.index("server-flight") and kind in (HANDSHAKE, APPLICATION_DATA):
            return POINTS[max(stage + 1, POINTS.index("server-hello"))]
        if stage == POINTS.index("client-flight"):
            return "ticket"
        if stage == POINTS.index("ticket") and kind == APPLICATION_DATA and size in CONNACK_SIZES:
            return "connack"
        return "reply" if stage >= POINTS.index("connack") and size >= REPLY_SIZE else None

    def at(self, point):
        """Note that it came so far; whether it ends here."""
        self.reached = point
        deed = self.link.orders.pop(point, None)
        if deed is None:
            return False
        self.link.fired += 1
        self.do(deed)
        return True

    def do(self, deed):
        self.hurt = True
        if deed == "silence":
            self.silent = True
        elif deed == "deaf":
            self.deaf = True
        else:
            self.end(reset=deed == "rst")

    def end(self, reset=False):
        if self in self.link.connections_open:
            self.link.connections_open.discard(self)
            asyncio.ensure_future(self.bury(reset))

    async def bury(self, reset):
        """Nobody may wait for a socket any more when it is closed: its number is another's at once."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for end in self.client, self.hub:
            if end is not None:
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.close()

    def passed(self, way, data):
        """Count it, and spoil it where that was asked for."""
        self.bytes[way] += len(data)
        left = self.link.flips.get(way)
        if left is None:
            return data
        if left >= len(data):
            self.link.flips[way] = left - len(data)
            return data
        del self.link.flips[way]
        self.link.fired += 1
        self.hurt = True
        return data[:left] + bytes([data[left] ^ 1]) + data[left + 1:]

    async def take(self, way, source, queue):
        loop, records = asyncio.get_running_loop(), Records()
        while data := await loop.sock_recv(source, 65536):
            for kind, record in records.feed(data):
                point = self.point(way, kind, record)
                if point is not None and self.at(point) or self.silent:
                    continue
                await queue.put((loop.time() + self.link.delay, record))
            if way == "up" and self.deaf:
                await asyncio.Event().wait()
        await queue.put((loop.time() + self.link.delay, records.buffer))

    async def give(self, way, sink, queue):
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(due - loop.time(), 0))
            if not self.silent:
                await loop.sock_sendall(sink, self.passed(way, data))
            queue.task_done()

    async def carry(self, way, source, sink):
        """One direction until its end, which ends the other as well unless nobody is to hear of it."""
        queue = asyncio.Queue(256)
        giving = asyncio.ensure_future(self.give(way, sink, queue))
        taking = asyncio.ensure_future(self.take(way, source, queue))
        self.tasks += [giving, taking]
        done, _ = await asyncio.wait([giving, taking], return_when=asyncio.FIRST_COMPLETED)
        broken = any(task.exception() for task in done)
        if not broken:
            await asyncio.wait([giving, asyncio.ensure_future(queue.join())], return_when=asyncio.FIRST_COMPLETED)
        if not self.silent:
            self.end(reset=broken)

    async def run(self):
        loop = asyncio.get_running_loop()
        if self.at("accept") and not self.silent and not self.deaf:
            return
        self.hub = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.hub.setblocking(False)
        try:
            await loop.sock_connect(self.hub, self.link.proxy.hub)
        except OSError:
            self.end(reset=True)
            return
        for end in self.client, self.hub:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tasks += [asyncio.ensure_future(self.carry("up", self.client, self.hub)),
                       asyncio.ensure_future(self.carry("down", self.hub, self.client))]


class Link:
    """One gateway's way to the hub."""

    def __init__(self, proxy):
        self.proxy, self.orders, self.flips, self.delay, self.fired = proxy, {}, {}, 0, 0
        self.connections, self.connections_open = [], set()
        self.listener = socket.create_server((proxy.address, 0))
        self.listener.setblocking(False)
        self.task = asyncio.ensure_future(self.listen())

    async def listen(self):
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(self.listener)
            client.setblocking(False)
            connection = Connection(self, client)
            self.connections.append(connection)
            self.connections_open.add(connection)
            connection.tasks.append(asyncio.ensure_future(connection.run()))

    def order(self, order):
        if "delay_ms" in order:
            self.delay = order["delay_ms"] / 1000
        if "at" in order:
            assert order["at"] in POINTS and order["do"] in DEEDS, order
            self.orders[order["at"]] = order["do"]
        if "flip" in order:
            self.flips[order["flip"]] = order["after"]
        if "now" in order:
            assert order["now"] in DEEDS, order
            for connection in list(self.connections_open):
                self.fired += 1
                connection.do(order["now"])
        return {"port": self.listener.getsockname()[1], "fired": self.fired, "open": len(self.connections_open),
                "connections": [connection.describe() for connection in self.connections] if "tell" in order else []}


class Server:
    """The proxy as a process."""

    def __init__(self, address, hub, port):
        self.address, self.hub, self.links = address, (hub, int(port)), {}

    async def serve(self):
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(1 << 20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            order = json.loads(line)
            name = order["link"]
            if name not in self.links:
                self.links[name] = Link(self)
            print(json.dumps(self.links[name].order(order)), flush=True)


class FaultProxy:
    """The other end of it, for tests; any thread may ask."""

    def __init__(self, port, address="127.0.0.1", hub="127.0.0.1", prefix=()):
        import threading  # pylint: disable=import-outside-toplevel
        self.lock = threading.Lock()
        self.process = subprocess.Popen([*prefix, sys.executable, os.path.abspath(__file__), address, hub, str(port)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, link, **order):
        with self.lock:
            self.process.stdin.write(json.dumps({"link": link, **order}) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(30)


if __name__ == "__main__":
    asyncio.run(Server(*sys.argv[1:4]).serve())
