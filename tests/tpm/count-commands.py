#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print how many TPM commands a capture of the tss2 pcap TCTI holds, and their codes in order.

The capture is pcapng (IETF draft-ietf-opsawg-pcapng): little-endian blocks of type, length, body, length.
A packet is one TPM command or response behind made-up IP and TCP headers, and the TPM's header (TPM 2.0
Library Part 3, "Command/Response Structure"): tag, size, then a command code or a response code. An error's code
may be a command's as well, so what tells them apart is the port: a capture begins with a command.
"""
import struct
import sys

ENHANCED_PACKET = 6
TAGS = (0x8001, 0x8002)  # TPM_ST_NO_SESSIONS, TPM_ST_SESSIONS
FIRST, LAST = 0x11F, 0x1FF  # TPM_CC
DESTINATION = 22  # where a packet has the port it goes to: 20 bytes of IP, and TCP's second word


def packets(data):
    offset = 0
    while offset + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, offset)
        if kind == ENHANCED_PACKET:
            (captured,) = struct.unpack_from("<I", data, offset + 20)
            yield data[offset + 28 : offset + 28 + captured]
        offset += length


def command(packet):
    """The command code of a packet, or None."""
    for start in range(len(packet) - 9):
        tag, size, code = struct.unpack_from(">HII", packet, start)
        if tag in TAGS and size == len(packet) - start:
            return code if FIRST <= code <= LAST else None
    return None


try:
    with open(sys.argv[1], "rb") as capture:
        seen = list(packets(capture.read()))
    ports = [struct.unpack_from(">H", packet, DESTINATION)[0] for packet in seen]
    commands = [command(packet) for packet, port in zip(seen, ports) if port == ports[0]]
    codes = [code for code in commands if code is not None]
except FileNotFoundError:
    codes = []  # nobody opened the TCTI
print(len(codes), *(hex(code) for code in codes))
