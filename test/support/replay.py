"""Sends the frames of a pcap file (Ethernet, little endian) again: replay.py FILE INTERFACE. Prints how many."""
import socket
import struct
import sys

data = open(sys.argv[1], "rb").read()
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[2], 0))
at, sent = 24, 0
while at + 16 <= len(data):
    (length,) = struct.unpack_from("<I", data, at + 8)
    if at + 16 + length > len(data):
        break
    frame = bytearray(data[at + 16 : at + 16 + length])
    # The checksum of UDP over IPv4, which the sender had left to its device.
    frame[40:42] = b"\0\0"
    out.send(frame)
    at += 16 + length
    sent += 1
print(sent)
