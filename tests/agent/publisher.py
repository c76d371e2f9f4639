#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Publishes the files of a folder on loopback, as a CA would, or as badly as it is told to.

publisher.py FOLDER [CERTIFICATE KEY]: listens until it is killed, over HTTPS where it has a certificate;
its port is in FOLDER/port, each request is one line of FOLDER/requests, FOLDER/fault may hold the name of one of
the faults below, and FOLDER/ahead by how many seconds its clock is ahead.
"""

import email.utils
import hashlib
import http.server
import os
import ssl
import sys
import time

FOLDER = sys.argv[1]
GIB = 1 << 30


def read(name):
    try:
        with open(os.path.join(FOLDER, name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        ahead = float(read("ahead") or 0)
        return super().date_time_string(time.time() + ahead if timestamp is None else timestamp)

    def note(self, code):
        asked = self.headers.get("If-None-Match") or self.headers.get("If-Modified-Since") or "-"
        with open(os.path.join(FOLDER, "requests"), "a", encoding="ascii") as file:
            file.write(f"{self.path} {code} {asked}\n")

    def begin(self, code, **fields):
        self.note(code)
        self.send_response(code)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def pour(self, size):
        try:
            while size > 0:
                self.wfile.write(bytes(1 << 16))
                size -= 1 << 16
        except OSError:
            pass

    def spoil(self, fault, body):
        if fault == "redirect":
            self.begin(302, Location=f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
        elif fault == "error":
            self.begin(503)
        elif fault == "forbidden":
            self.begin(403)
        elif fault == "huge":
            self.begin(200, Content_Length=str(5 * GIB))
            self.pour(5 * GIB)
        elif fault == "endless":
            self.begin(200)
            self.pour(1 << 60)
        elif fault == "garbage":
            self.begin(200)
            self.wfile.write(b"<html>maintenance</html>")
        elif fault == "empty":
            self.begin(200)
        elif fault == "truncated":
            self.begin(200)
            self.wfile.write(body[: len(body) // 2])
        elif fault == "cut":
            self.begin(200, Content_Length=str(len(body)))
            self.wfile.write(body[: len(body) // 2])
        elif fault == "unasked":
            self.begin(304)
        elif fault == "slow":
            self.begin(200, Content_Length=str(len(body)))
            self.wfile.flush()
            time.sleep(60)
        else:
            raise SystemExit(f"no such fault: {fault}")

    def do_GET(self):
        body = read(self.path.lstrip("/"))
        fault = read("fault")
        if fault is not None:
            self.spoil(fault.decode().strip(), body or b"")
            return
        if body is None:
            self.begin(404)
            return
        tag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        changed = int(os.stat(os.path.join(FOLDER, self.path.lstrip("/"))).st_mtime)
        fields = {"ETag": tag, "Last_Modified": email.utils.formatdate(changed, usegmt=True)}
        if read("no-tags") is not None:
            del fields["ETag"]
        since = self.headers.get("If-Modified-Since")
        if self.headers.get("If-None-Match") == tag or (
            self.headers.get("If-None-Match") is None
            and since is not None
            and email.utils.parsedate_to_datetime(since).timestamp() >= changed
        ):
            self.begin(304, **fields)
            return
        self.begin(200, Content_Length=str(len(body)), **fields)
        self.wfile.write(body)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with open(os.path.join(FOLDER, "port.new"), "w", encoding="ascii") as file:
        file.write(str(server.server_address[1]))
    os.rename(os.path.join(FOLDER, "port.new"), os.path.join(FOLDER, "port"))
    server.serve_forever()


main()
