"""Sends ESP that is no good, as fast as it goes: `flood.py KIND SRC DST SECONDS PROTOCOL`, right in IP (50) or
in UDP from port 4500 to 4500 (17). Prints how many packets went out.
KIND: `spi` unknown SPIs, `garbage` a known SPI with noise behind it, `fragments` first fragments without a rest,
`short` packets of a few bytes."""
import os
import socket
import struct
import sys
import time

kind, src, dst, seconds, protocol = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
noise = os.urandom(1 << 16)
n = 0
end = time.monotonic() + seconds
while time.monotonic() < end:
    for _ in range(200):
        n += 1
        at = n % 60000
        flags = 0
        if kind == "spi":
            body = struct.pack("!II", 0x40000000 + n, n) + noise[at : at + 200]
        elif kind == "garbage":
            body = struct.pack("!II", 3, n) + noise[at : at + 200]
        elif kind == "fragments":
            body, flags = struct.pack("!II", 3, n) + noise[at : at + 600], 0x2000
        else:
            body = noise[at : at + n % 8]
        if protocol == socket.IPPROTO_UDP:
            body = struct.pack("!HHHH", 4500, 4500, 8 + len(body) + (800 if flags else 0), 0) + body
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), n & 0xFFFF or 1, flags, 64, protocol, 0)
        packet = header + socket.inet_aton(src) + socket.inet_aton(dst) + body
        try:
            s.sendto(packet, (dst, 0))
        except OSError:
            pass
print(n)
