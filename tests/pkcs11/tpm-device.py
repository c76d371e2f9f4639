#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make swtpm look like a TPM's device: tpm-device.py SOCKET LINK

A pseudo-terminal plays the device, and LINK leads to it once it is there; what is written to it goes to the TPM at
SOCKET, one command at a time, and the response comes back. Unlike a connection by the TSS's TCTI for swtpm, it is a
file that a process has open or has not. Runs until it is ended.
"""
import os
import pty
import socket
import struct
import sys
import tty


def message(read):
    """One command or response: tag, size, code, and what the size says (TPM 2.0 Library Part 1)."""
    data = b""
    while len(data) < 10 or len(data) < struct.unpack_from(">I", data, 2)[0]:
        more = read(4096)
        if not more:
            sys.exit("the TPM is gone")
        data += more
    return data


master, slave = pty.openpty()
tty.setraw(slave)
os.symlink(os.ttyname(slave), sys.argv[2])
while True:
    command = message(lambda size: os.read(master, size))
    with socket.socket(socket.AF_UNIX) as tpm:
        tpm.connect(sys.argv[1])
        tpm.sendall(command)
        response = message(tpm.recv)
    os.write(master, response)
