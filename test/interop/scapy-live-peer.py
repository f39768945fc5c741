"""A peer of one running node, over a raw socket: `scapy-live-peer.py HERE THERE CASE`.

Seals and opens with scapy. Every echo request that comes for a pod here is answered; for every line on standard input,
a number of bytes, it pings `podThere` itself and waits for the answer. Prints a line of JSON when it is ready, one for
every ping, and at the end of standard input what it has counted.
"""
import json
import select
import socket
import sys

from scapy.layers.inet import ICMP, IP
from scapy.layers.ipsec import ESP, IPSecIntegrityError, SecurityAssociation
from scapy.packet import Raw

here, there, case = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])


def association(spi, src, dst):
    return SecurityAssociation(
        ESP,
        spi=spi,
        seq_num=case["startAfter"]["lo"] + 1,
        crypt_algo=case["crypt"],
        crypt_key=bytes.fromhex(case["key"]),
        auth_algo=case["auth"],
        auth_key=bytes.fromhex(case["authKey"]),
        tunnel_header=IP(src=src, dst=dst),
        esn_en=case["esn"],
        esn=case["startAfter"]["hi"],
    )


inward = association(case["spiHere"], there, here)
outward = association(case["spiThere"], here, there)
wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP)
wire.setsockopt(socket.SOL_IP, socket.IP_HDRINCL, 1)
wire.bind((here, 0))
counted = {"opened": 0, "openedBytes": 0, "refused": 0, "sealed": 0, "sealedBytes": 0, "numbers": []}


def send(packet):
    packet = IP(bytes(packet))
    counted["sealed"] += 1
    counted["sealedBytes"] += len(packet)
    wire.sendto(bytes(outward.encrypt(packet)), (there, 0))


def receive():
    """Opens one packet and answers it if it is a request. Returns the payload of an echo reply."""
    packet = IP(wire.recv(65535))
    counted["numbers"].append(packet[ESP].seq)
    try:
        inner = IP(bytes(inward.decrypt(packet)))
    except IPSecIntegrityError:
        counted["refused"] += 1
        return None
    counted["opened"] += 1
    counted["openedBytes"] += len(inner)
    if ICMP not in inner:
        return None
    if inner[ICMP].type == 8:
        echo = ICMP(type=0, id=inner[ICMP].id, seq=inner[ICMP].seq)
        send(IP(src=inner.dst, dst=inner.src) / echo / Raw(bytes(inner[ICMP].payload)))
    return bytes(inner[ICMP].payload) if inner[ICMP].type == 0 else None


def ping(size, seq):
    payload = bytes((seq + i) & 255 for i in range(size))
    send(IP(src=case["podHere"], dst=case["podThere"]) / ICMP(id=7, seq=seq) / Raw(payload))
    while select.select([wire], [], [], 5)[0]:
        answer = receive()
        if answer is not None:
            return answer == payload
    return False


def say(what):
    print(json.dumps(what), flush=True)


say({"ready": True})
pings = 0
while True:
    readable = select.select([wire, sys.stdin], [], [])[0]
    if wire in readable:
        receive()
    if sys.stdin in readable:
        line = sys.stdin.readline()
        if not line:
            break
        pings += 1
        say({"answered": ping(int(line), pings)})
say(counted)
