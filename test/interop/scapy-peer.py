"""The other side of scapy.test.ts: seals and opens ESP packets with scapy.

Standard input: a JSON list of cases, each an SA in scapy's words with packets. Standard output: for each packet what
scapy made of it, in hexadecimal: sealed with the given number and IV, sealed with an IV of scapy's own, and opened.
"""
import json
import sys

from cryptography.hazmat.primitives.ciphers import algorithms, modes
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import (
    AUTH_ALGOS,
    CRYPT_ALGOS,
    ESP,
    HMAC,
    AuthAlgo,
    CryptAlgo,
    IPSecIntegrityError,
    SecurityAssociation,
    hashes,
)

# scapy's own AES-GCM has no ICV but the one of 16 octets; its parts make the others.
for octets in (8, 12):
    CRYPT_ALGOS["AES-GCM-%d" % octets] = CryptAlgo(
        "AES-GCM-%d" % octets,
        cipher=algorithms.AES,
        mode=modes.GCM,
        block_size=1,
        iv_size=8,
        salt_size=4,
        icv_size=octets,
        format_mode_iv=lambda sa, iv, **_: sa.crypt_salt + iv,
    )
# What Linux takes for hmac(sha256) when it is not told otherwise.
AUTH_ALGOS["SHA2-256-96"] = AuthAlgo("SHA2-256-96", mac=HMAC, digestmod=hashes.SHA256, icv_size=12)


def ip(octets):
    return (IP if octets[0] >> 4 == 4 else IPv6)(octets)


def association(case, packet, like):
    """An SA at the packet's number, with the outer header of the packet `like` as far as scapy does not compute it."""
    outer = None
    if case["tunnel"]:
        outer = ip(like)
        outer.remove_payload()
    return SecurityAssociation(
        ESP,
        spi=case["spi"],
        seq_num=packet["lo"],
        crypt_algo=case["crypt"],
        crypt_key=bytes.fromhex(case["key"]),
        auth_algo=case["auth"],
        auth_key=bytes.fromhex(case["authKey"]),
        tunnel_header=outer,
        nat_t_header=UDP(sport=4500, dport=4500) if case["udp"] else None,
        esn_en=case["esn"],
        esn=packet["hi"],
    )


def seal(case, packet, like, iv):
    sealed = association(case, packet, like).encrypt(ip(bytes.fromhex(packet["clear"])), iv=iv)
    if case["udp"]:
        # scapy 2.5 leaves the length of an empty datagram in the header.
        del sealed[UDP].len
    return bytes(sealed).hex()


def unseal(sa, octets):
    try:
        return bytes(sa.decrypt(ip(octets))).hex()
    except IPSecIntegrityError:
        return "integrity"


def answer(case):
    for packet in case["packets"]:
        sent = bytes.fromhex(packet["sent"])
        flipped = bytearray(sent)
        flipped[-20] ^= 1
        yield {
            "twin": seal(case, packet, sent, bytes.fromhex(packet["iv"])),
            "own": seal(case, packet, sent, None),
            "opened": unseal(association(case, packet, sent), sent),
            "flipped": unseal(association(case, packet, sent), bytes(flipped)),
        }


json.dump([list(answer(case)) for case in json.load(sys.stdin)], sys.stdout)
