"""Does harm to ESP that leaves this machine: `inject.py DEVICE DST COUNT`. Waits until COUNT packets for DST have left
through DEVICE, sends each once more as it was, then with another SPI. Prints `ready` first,
and `done` at the end."""
import socket
import struct
import sys

device, dst, count = sys.argv[1], socket.inet_aton(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind((device, 0))
s.settimeout(20)
print("ready", flush=True)
seen = []
while len(seen) < count:
    frame, (_, _, kind, _, _) = s.recvfrom(65535)
    # 4: PACKET_OUTGOING.
    if kind == 4 and frame[12:14] == b"\x08\x00" and frame[23] == 50 and frame[30:34] == dst:
        seen.append(frame)
for frame in seen:
    s.send(frame)
for frame in seen:
    s.send(frame[:34] + struct.pack("!I", 0x7777) + frame[38:])
print("done", flush=True)
