"""UDP at a fixed rate both ways, for tests of rotation: two of these send each other numbered datagrams.

`udp-rate.py OWN PEER RATE FOLDER NAME` listens, says so by FOLDER/NAME.ready, sends RATE datagrams a second from OWN to
PEER while there is FOLDER/go, and ends once there is FOLDER/end. It then writes FOLDER/NAME.json: how many it sent, and the numbers that came,
as [first, last] of each run without a gap. With a file FOLDER/NAME.mark it sets that packet mark, looked at before each
datagram, as a data plane that chooses a key would."""
import json
import os
import socket
import struct
import sys
import time

SO_MARK = 36
PORT = 7007
LEN = 500

own, peer, rate, folder, name = sys.argv[1:]
step = 1 / float(rate)
family = socket.AF_INET6 if ":" in own else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind((own, PORT))
s.setblocking(False)

mark_file = os.path.join(folder, name + ".mark")
mark = None


def follow_mark():
    """The file is replaced, never written in place."""
    global mark
    try:
        wanted = open(mark_file).read().strip()
    except FileNotFoundError:
        return
    if wanted != mark:
        s.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", int(wanted, 0)))
        mark = wanted


def there(what):
    return os.path.exists(os.path.join(folder, what))


came = []
refused = 0


def take():
    while True:
        try:
            came.append(int.from_bytes(s.recv(2048)[:4], "big"))
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            continue  # the peer does not listen yet


sent = 0
start = time.monotonic()
open(os.path.join(folder, name + ".ready"), "w").close()
while not there("end"):
    if there("go"):
        follow_mark()
        try:
            s.sendto(sent.to_bytes(4, "big") + bytes(LEN - 4), (peer, PORT))
            sent += 1
        except (BlockingIOError, PermissionError, ConnectionRefusedError):
            refused += 1
    take()
    start += step
    time.sleep(max(0, start - time.monotonic()))
take()

runs = []
for number in sorted(came):
    if runs and runs[-1][1] + 1 == number:
        runs[-1][1] = number
    else:
        runs.append([number, number])
with open(os.path.join(folder, name + ".partial"), "w") as f:
    json.dump({"sent": sent, "refused": refused, "came": len(came), "runs": runs}, f)
os.rename(os.path.join(folder, name + ".partial"), os.path.join(folder, name + ".json"))
