"""A TCP peer for tests: `serve PORT COUNT` takes COUNT transfers and answers each with the SHA-256 of what came;
`send HOST PORT BYTES` sends pseudo-random bytes and checks the answer; `encap PORT` takes ESP in UDP for the kernel."""
import hashlib
import random
import socket
import sys
import time

UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2


def serve(port, count):
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", port))
    s.listen(4)
    for _ in range(count):
        c, _ = s.accept()
        h = hashlib.sha256()
        while True:
            data = c.recv(1 << 16)
            if not data:
                break
            h.update(data)
        c.sendall(h.hexdigest().encode())
        c.close()


def send(host, port, size):
    data = random.Random(7).randbytes(size)
    s = socket.create_connection((host, port), timeout=20)
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    answer = b""
    while True:
        more = s.recv(100)
        if not more:
            break
        answer += more
    if answer.decode() != hashlib.sha256(data).hexdigest():
        sys.exit("the bytes that arrived are not those that were sent")


def encap(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", port))
    s.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
    time.sleep(3600)


{"serve": lambda a: serve(int(a[0]), int(a[1])), "send": lambda a: send(a[0], int(a[1]), int(a[2])), "encap": lambda a: encap(int(a[0]))}[
    sys.argv[1]
](sys.argv[2:])
