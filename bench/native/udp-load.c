/*
 * UDP as fast as one thread sends it: iperf3 makes a system call a packet, and cannot load a tunnel with small ones.
 *
 *   udp-load send FROM TO BYTES SECONDS SEGMENTS    datagrams whose IPv4 packets have BYTES bytes; SEGMENTS of them in one
 *                                                   call by UDP GSO, 1: one a message, 64 messages a call
 *   udp-load receive ADDRESS SECONDS                prints how many came, and seconds from the first to the last
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define PORT 7777
#define HEADERS 28
#define MESSAGES 64
/* Room in sockets: what comes while the other end has no processor. */
#define ROOM (16 << 20)

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now_s(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *text, int port) {
    struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_aton(text, &out.sin_addr) == 0) {
        fprintf(stderr, "%s is no IPv4 address\n", text);
        exit(1);
    }
    return out;
}

static int bound(const struct sockaddr_in *at, int option) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0), room = ROOM;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, option, &room, sizeof room) != 0 ||
        bind(fd, (const struct sockaddr *)at, sizeof *at) != 0)
        fail("udp-load");
    return fd;
}

/* The same text in every message; `len` bytes each. */
static void fill(struct mmsghdr *messages, struct iovec *parts, char *text, size_t step, size_t len) {
    memset(messages, 0, MESSAGES * sizeof *messages);
    for (int i = 0; i < MESSAGES; i++) {
        parts[i] = (struct iovec){text + i * step, len};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
}

static int send_all(const char *from, const char *to, int bytes, double seconds, int segments) {
    static char text[65536];
    const struct sockaddr_in here = address(from, 0), there = address(to, PORT);
    const int fd = bound(&here, SO_SNDBUFFORCE), len = bytes - HEADERS;
    if (len < 1 || (size_t)len * segments > sizeof text) {
        fprintf(stderr, "%d segments of %d bytes do not fit\n", segments, len);
        return 1;
    }
    if (connect(fd, (const struct sockaddr *)&there, sizeof there) != 0) fail("connect");
    if (segments > 1 && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &len, sizeof len) != 0) fail("UDP_SEGMENT");
    struct mmsghdr messages[MESSAGES];
    struct iovec parts[MESSAGES];
    fill(messages, parts, text, 0, (size_t)len * segments);
    long sent = 0;
    for (const double end = now_s() + seconds; now_s() < end;) {
        const int done = sendmmsg(fd, messages, segments > 1 ? 1 : MESSAGES, 0);
        if (done > 0)
            sent += (long)done * segments;
        else if (errno != ENOBUFS && errno != ECONNREFUSED)
            fail("sendmmsg");
    }
    printf("%ld\n", sent);
    return 0;
}

static int receive(const char *at, double seconds) {
    static char text[MESSAGES][2048];
    const struct sockaddr_in here = address(at, PORT);
    const int fd = bound(&here, SO_RCVBUFFORCE);
    const struct timeval wait = {0, 100000};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0) fail("SO_RCVTIMEO");
    struct mmsghdr messages[MESSAGES];
    struct iovec parts[MESSAGES];
    fill(messages, parts, text[0], sizeof text[0], sizeof text[0]);
    puts("ready");
    fflush(stdout);
    long came = 0;
    double first = 0, last = 0;
    for (const double end = now_s() + seconds; now_s() < end;) {
        const int done = recvmmsg(fd, messages, MESSAGES, MSG_WAITFORONE, NULL);
        if (done <= 0) continue;
        last = now_s();
        if (came == 0) first = last;
        came += done;
    }
    printf("%ld %.6f\n", came, last - first);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 7 && strcmp(argv[1], "send") == 0)
        return send_all(argv[2], argv[3], atoi(argv[4]), atof(argv[5]), atoi(argv[6]));
    if (argc == 4 && strcmp(argv[1], "receive") == 0) return receive(argv[2], atof(argv[3]));
    fputs("usage: udp-load send FROM TO BYTES SECONDS SEGMENTS | receive ADDRESS SECONDS\n", stderr);
    return 2;
}
