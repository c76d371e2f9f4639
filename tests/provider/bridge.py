#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Carry TPM commands from stdin to a TPM's unix socket and its answers to stdout, for the TCTI "cmd:"."""
import os
import socket
import sys
import threading

tpm = socket.socket(socket.AF_UNIX)
tpm.connect(sys.argv[1])


def answers():
    while data := tpm.recv(4096):
        os.write(1, data)


threading.Thread(target=answers, daemon=True).start()
while command := os.read(0, 4096):
    tpm.sendall(command)
