# SPDX-License-Identifier: Apache-2.0
"""When a gateway could not hear its hub, as seen from beside both of them."""

import threading
import time

LOOK = 0.3  # seconds from one look to the next


class Outages:
    """Looks at a gatekeyd all the time; faults that it cannot know of are told."""

    def __init__(self, service):
        self.service = service
        self.rows = []  # (begin, end), monotonic
        self.lock = threading.Lock()
        self.broken = None  # how it was connected when its line was broken; until that has changed, nothing is heard
        self.seen = None  # how it was connected at the last look
        self.looked = time.monotonic()
        self.enough = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def connection(self):
        """Which connection it has, or None: another number, or another process, is another connection."""
        process = self.service.process
        try:
            status = self.service.status()
        except (OSError, ValueError):
            return None
        return (process.pid, status["connects"]) if status["connected"] else None

    def breaks(self):
        """Its line is broken from now on, whatever it believes."""
        with self.lock:
            now = time.monotonic()
            self.rows.append((now, now))
            self.broken = self.broken or self.seen or ()

    def look(self):
        begin, which = self.looked, self.connection()
        with self.lock:
            self.looked = time.monotonic()
            if which is not None and which != self.broken:
                self.broken = None
            if which is None or which != self.seen or self.broken is not None:
                self.rows.append((begin, self.looked))
            self.seen = which

    def run(self):
        while not self.enough.wait(LOOK):
            self.look()

    def end(self):
        self.enough.set()
        self.thread.join(60)

    def meets(self, begin, end):
        """Was there one in that time?"""
        with self.lock:
            return any(first <= end and last >= begin for first, last in self.rows)

    def seconds(self):
        """How long nothing was heard in all."""
        with self.lock:
            total = until = 0
            for begin, end in sorted(self.rows):
                total += max(0, end - max(begin, until))
                until = max(until, end)
        return total
