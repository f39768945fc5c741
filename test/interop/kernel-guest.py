"""What kernel.test.ts has done inside a guest: two network namespaces, packets between them, and what became of each.

    far (f0) ---- veth ---- (e0) near

Reads plan.json, a list of steps, and writes answers.json, one answer a step:

  {"ip": NAMESPACE, "lines": [...]}  runs `ip` commands; answers the errors, by line number
  {"show": NAMESPACE, "args": [...]} runs one `ip` command; answers its text
  {"inject": [FRAME, ...]}           sends Ethernet frames from far to near, one after the other; answers, for each,
                                     what near counted and which inner packet it took
  {"send": [PACKET, ...], "mark": N} lets far's kernel send IP packets with a mark; answers what then came over the wire, too

Inner packets are of IP protocol 253 (RFC 3692: for experiments), for which a raw socket waits in near.
"""
import ctypes
import json
import os
import socket
import struct
import subprocess
import time

PROTOCOL = 253
ETH_P_ALL = 3
CLONE_NEWNET = 0x40000000
UDP_ENCAP = 100
UDP_ENCAP_ESPINUDP = 2
IP_HDRINCL = 3
IPV6_HDRINCL = 36
SO_MARK = 36
PACKET_OUTGOING = 4

libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    with open("/run/netns/" + namespace) as file:
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def ip(namespace, lines):
    command = ["ip", "-netns", namespace] if namespace else ["ip"]
    run = subprocess.run(
        command + ["-force", "-batch", "-"], input="\n".join(lines) + "\n", capture_output=True, text=True
    )
    errors = {}
    said = []
    for line in run.stderr.splitlines():
        if line.startswith("Command failed -:"):
            errors[int(line.split(":")[1]) - 1] = " ".join(said)
            said = []
        else:
            said.append(line)
    return errors


def must(namespace, lines):
    errors = ip(namespace, lines)
    if errors:
        raise SystemExit("%s: %s" % (namespace, {lines[at]: said for at, said in errors.items()}))


class Table:
    """Counters in a file of /proc/net of the namespace that it was opened in."""

    def __init__(self, name):
        self.fd = os.open("/proc/thread-self/net/" + name, os.O_RDONLY)
        self.text = b""
        self.since = {}
        self.changes()

    def changes(self):
        """What has risen since the last call."""
        text = os.pread(self.fd, 65536, 0)
        if text == self.text:
            return {}
        now = self.read(text.decode())
        risen = {name: value - self.since.get(name, 0) for name, value in now.items()}
        self.text, self.since = text, now
        return {name: value for name, value in risen.items() if value}


class Rows(Table):
    """`Name value` lines: xfrm_stat, snmp6."""

    def read(self, text):
        return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


class Columns(Table):
    """A line of names, a line of values: snmp, netstat."""

    def read(self, text):
        lines = [line.split() for line in text.splitlines()]
        return {
            names[0].rstrip(":") + name: int(value)
            for names, values in zip(lines[::2], lines[1::2])
            for name, value in zip(names[1:], values[1:])
        }


# Where a decrypted packet is dropped by the kernel's IP layer, this is what counts it.
ELSEWHERE = ["IpInHdrErrors", "IpExtInTruncatedPkts", "Ip6InHdrErrors", "Ip6InTruncatedPkts"]


class Near:
    def __init__(self):
        enter("near")
        self.tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.tap.bind(("e0", ETH_P_ALL))
        self.raw4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTOCOL)
        self.raw6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, PROTOCOL)
        self.sockets = [self.tap, self.raw4, self.raw6]
        for one in self.sockets:
            one.setblocking(False)
        # ESP in UDP is taken while a socket asks for it.
        self.udp = []
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            one = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address, 4500))
            one.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
            self.udp.append(one)
        self.xfrm = Rows("xfrm_stat")
        self.tables = [Columns("snmp"), Columns("netstat"), Rows("snmp6")]

    def forget(self):
        self.look()

    def look(self):
        """What has happened since the last look."""
        seen = {"counters": self.xfrm.changes(), "elsewhere": {}, "wire": [], "inner": [], "taken": []}
        for table in self.tables:
            for name, value in table.changes().items():
                if name in ELSEWHERE:
                    seen["elsewhere"][name] = value
        for one in self.sockets:
            while True:
                try:
                    packet, address = one.recvfrom(65536)
                except BlockingIOError:
                    break
                if one is not self.tap:
                    seen["taken"].append(packet.hex())
                elif address[2] == PACKET_OUTGOING:
                    continue
                elif upper(packet) == PROTOCOL:
                    seen["inner"].append(packet.hex())
                elif upper(packet) in (50, 17):
                    seen["wire"].append(packet.hex())
        return seen

    def wait(self):
        """The kernel works while it sends, so what happens has happened, but for what nobody sees."""
        seen = self.look()
        if not seen["counters"] and not seen["taken"] and not seen["elsewhere"]:
            time.sleep(0.01)
            for name, value in self.look().items():
                seen[name] = {**seen[name], **value} if isinstance(value, dict) else seen[name] + value
        return seen


def upper(packet):
    """The protocol that an IP header names."""
    if len(packet) < 20:
        return -1
    return packet[9] if packet[0] >> 4 == 4 else packet[6]


class Far:
    def __init__(self):
        enter("far")
        self.frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.frames.bind(("f0", 0))
        self.raw4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTOCOL)
        self.raw4.setsockopt(socket.IPPROTO_IP, IP_HDRINCL, 1)
        self.raw6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, PROTOCOL)
        self.raw6.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
        self.xfrm = Rows("xfrm_stat")

    mark = 0

    def bind(self, packet):
        if packet[0] >> 4 == 4:
            self.raw4.bind((socket.inet_ntop(socket.AF_INET, packet[12:16]), 0))
        else:
            self.raw6.bind((socket.inet_ntop(socket.AF_INET6, packet[8:24]), 0))

    def set_mark(self, mark):
        self.mark = mark
        for one in (self.raw4, self.raw6):
            one.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", mark))

    def send(self, packet):
        """An IP packet with its header, through the kernel's routing and policies; what those counted."""
        try:
            if self.mark:
                # Policies see the source of the socket, not that of the header.
                self.bind(packet)
            if packet[0] >> 4 == 4:
                self.raw4.sendto(packet, (socket.inet_ntop(socket.AF_INET, packet[16:20]), 0))
            else:
                self.raw6.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))
        except OSError:
            pass  # A policy said no, and its counter says which.
        return self.xfrm.changes()


def inject(near, far, frames):
    near.forget()
    for frame in frames:
        far.frames.send(bytes.fromhex(frame))
        yield near.wait()


def send(near, far, packets, mark):
    near.forget()
    far.set_mark(mark)
    for packet in packets:
        sender = far.send(bytes.fromhex(packet))
        yield {**near.wait(), "sender": sender}


def main():
    # Below the kernel's own threads: what they put off is done before this program looks again.
    os.nice(10)
    with open("plan.json") as file:
        plan = json.load(file)
    must("", ["netns add near", "netns add far"])
    must("far", ["link add f0 address 02:00:00:00:00:01 type veth peer name e0 netns near"])
    must("near", ["link set e0 address 02:00:00:00:00:02"])
    for namespace, link in (("near", "e0"), ("far", "f0")):
        # No frames but ours: no neighbour discovery, no router solicitations, no duplicate address detection.
        must(namespace, ["link set lo up", "link set %s addrgenmode none" % link, "link set %s up" % link])
    near, far = None, None
    answers = []
    spent = {}
    for step in plan:
        begun = time.time()
        if "ip" in step:
            answers.append(ip(step["ip"], step["lines"]))
        elif "show" in step:
            run = subprocess.run(["ip", "-netns", step["show"]] + step["args"], capture_output=True, text=True)
            answers.append(run.stdout + run.stderr)
        else:
            near = near or Near()
            far = far or Far()
            if "inject" in step:
                answers.append(list(inject(near, far, step["inject"])))
            else:
                answers.append(list(send(near, far, step["send"], step["mark"])))
        kind = next(iter(step))
        spent[kind] = spent.get(kind, 0) + time.time() - begun
    with open("answers.json", "w") as file:
        json.dump(answers, file)
    print(json.dumps({kind: round(seconds, 2) for kind, seconds in spent.items()}))


main()
