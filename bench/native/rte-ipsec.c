/*
 * DPDK's rte_ipsec with CPU crypto as a contender of `npm run bench -- codec`: what a packet of ESP costs in it, and what the
 * same cipher of ipsec-mb costs alone, with as many keys, in the same rounds.
 *
 *   rte-ipsec EAL-OPTIONS -- SIZE SAS BATCHES ROUNDS
 *
 * Prints one line: medians over the rounds, ns a packet, of sealing, sealing by the cipher alone, opening, and opening
 * by the cipher alone; then the medians of the two ratios of a round. Tunnel mode, IPv4, AES-GCM-128 with an ICV of 16 bytes,
 * a window of 1024 packets without ESN; SAs in turn, one packet each; batches of 64 packets in 64 buffers, as in esplane.
 * SAs are looked up in a table of this file, as DPDK's own ipsec-secgw has a cache before its database: rte_ipsec_sad_lookup
 * takes some 100 ns a packet more.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <intel-ipsec-mb.h>
#include <rte_cryptodev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ip.h>
#include <rte_ipsec.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#define BATCH 64
#define ICV 16
#define SALT 0x01020304
#define FIRST_SPI 3
/* Between two texts of the yardstick. */
#define SLOT 9472
#define HEADER 64

static const char *DEVICE = "crypto_aesni_gcm0";
static const uint32_t SRC = RTE_IPV4(10, 0, 1, 1), DST = RTE_IPV4(10, 0, 2, 1);

struct results {
    double seal, cipher_seal, open, cipher_open;
};

static void fail(const char *what, ...) {
    va_list rest;
    va_start(rest, what);
    vfprintf(stderr, what, rest);
    va_end(rest);
    fputc('\n', stderr);
    exit(1);
}

static void *must(void *pointer, const char *what) {
    if (pointer == NULL) fail("%s: %s", what, rte_strerror(rte_errno));
    return pointer;
}

static double now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e9 + at.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

/* One key for each SA. */
static void make_key(uint8_t key[16], uint32_t k) {
    memset(key, 7, 16);
    memcpy(key, &k, sizeof k);
}

static int open_device(struct rte_mempool *sessions) {
    const int id = rte_cryptodev_get_dev_id(DEVICE);
    if (id < 0) fail("no %s: --vdev=%s", DEVICE, DEVICE);
    struct rte_cryptodev_info info;
    rte_cryptodev_info_get(id, &info);
    if (!(info.feature_flags & RTE_CRYPTODEV_FF_SYM_CPU_CRYPTO)) fail("%s has no CPU crypto", DEVICE);
    struct rte_cryptodev_config config = {.nb_queue_pairs = 1};
    struct rte_cryptodev_qp_conf pair = {.nb_descriptors = 2048, .mp_session = sessions};
    if (rte_cryptodev_configure(id, &config) != 0 || rte_cryptodev_queue_pair_setup(id, 0, &pair, 0) != 0 ||
        rte_cryptodev_start(id) != 0)
        fail("%s does not start", DEVICE);
    return id;
}

static void make_session(struct rte_ipsec_session *session, uint32_t k, int is_in, int device, struct rte_mempool *pool) {
    uint8_t key[16];
    make_key(key, k);
    struct rte_crypto_sym_xform cipher = {
        .type = RTE_CRYPTO_SYM_XFORM_AEAD,
        .aead = {.op = is_in ? RTE_CRYPTO_AEAD_OP_DECRYPT : RTE_CRYPTO_AEAD_OP_ENCRYPT,
                 .algo = RTE_CRYPTO_AEAD_AES_GCM,
                 .key = {.data = key, .length = sizeof key},
                 .iv = {.offset = sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op), .length = 12},
                 .digest_length = ICV,
                 .aad_length = 8}};
    struct rte_ipv4_hdr outer = {.version_ihl = 0x45,
                                 .time_to_live = 64,
                                 .next_proto_id = IPPROTO_ESP,
                                 .src_addr = rte_cpu_to_be_32(SRC),
                                 .dst_addr = rte_cpu_to_be_32(DST)};
    struct rte_ipsec_sa_prm parameters = {
        .userdata = k,
        .ipsec_xform = {.spi = FIRST_SPI + k,
                        .salt = SALT,
                        .options = {.copy_dscp = 1},
                        .direction = is_in ? RTE_SECURITY_IPSEC_SA_DIR_INGRESS : RTE_SECURITY_IPSEC_SA_DIR_EGRESS,
                        .proto = RTE_SECURITY_IPSEC_SA_PROTO_ESP,
                        .mode = RTE_SECURITY_IPSEC_SA_MODE_TUNNEL,
                        .tunnel = {.type = RTE_SECURITY_IPSEC_TUNNEL_IPV4},
                        .replay_win_sz = 1024},
        .crypto_xform = &cipher,
        .tun = {.hdr_len = sizeof outer, .next_proto = IPPROTO_IPIP, .hdr = &outer}};
    const int size = rte_ipsec_sa_size(&parameters);
    if (size < 0) fail("rte_ipsec_sa_size: %d", size);
    session->sa = must(rte_zmalloc(NULL, size, RTE_CACHE_LINE_SIZE), "an SA");
    if (rte_ipsec_sa_init(session->sa, &parameters, size) < 0) fail("rte_ipsec_sa_init");
    session->type = RTE_SECURITY_ACTION_TYPE_CPU_CRYPTO;
    session->crypto.dev_id = device;
    session->crypto.ses = must(rte_cryptodev_sym_session_create(device, &cipher, pool), "a session");
    if (rte_ipsec_session_prepare(session) != 0) fail("rte_ipsec_session_prepare");
}

static void through(struct rte_ipsec_session *session, struct rte_mbuf **packets, uint16_t count, const char *what) {
    const uint16_t ready = rte_ipsec_pkt_cpu_prepare(session, packets, count);
    if (rte_ipsec_pkt_process(session, packets, ready) != count) fail("%s: %s", what, rte_strerror(rte_errno));
}

static void seal(struct rte_ipsec_session *sessions, uint32_t sas, uint32_t turn, struct rte_mbuf **packets) {
    if (sas == 1)
        through(sessions, packets, BATCH, "seal");
    else
        for (int i = 0; i < BATCH; i++) through(&sessions[(turn + i) % sas], packets + i, 1, "seal");
}

struct place {
    uint32_t spi, dst; /* big-endian */
    struct rte_ipsec_session *session;
};
/* Open addressing, twice as many places as SAs at least. */
struct table {
    struct place *places;
    uint32_t mask;
};

static struct place *place_of(const struct table *table, uint32_t spi, uint32_t dst) {
    for (uint32_t at = (spi * 0x9E3779B1u) >> 8;; at++) {
        struct place *place = &table->places[at & table->mask];
        if (place->session == NULL || (place->spi == spi && place->dst == dst)) return place;
    }
}

/* Looks each packet's SA up, and opens runs of packets of one SA. */
static void open_all(const struct table *table, struct rte_mbuf **packets) {
    struct rte_ipsec_session *sessions[BATCH];
    for (int i = 0; i < BATCH; i++) {
        const uint8_t *packet = rte_pktmbuf_mtod(packets[i], const uint8_t *);
        uint32_t spi, dst;
        memcpy(&spi, packet + 20, 4);
        memcpy(&dst, packet + 16, 4);
        sessions[i] = place_of(table, spi, dst)->session;
    }
    for (int i = 0, end; i < BATCH; i = end) {
        for (end = i + 1; end < BATCH && sessions[end] == sessions[i]; end++)
            ;
        if (sessions[i] == NULL) fail("open: no SA");
        through(sessions[i], packets + i, end - i, "open");
    }
}

int main(int argc, char **argv) {
    const int taken = rte_eal_init(argc, argv);
    if (taken < 0) fail("rte_eal_init: %s", rte_strerror(rte_errno));
    argc -= taken;
    argv += taken;
    if (argc != 5) fail("usage: rte-ipsec EAL-OPTIONS -- SIZE SAS BATCHES ROUNDS");
    const int size = atoi(argv[1]), batches = atoi(argv[3]), rounds = atoi(argv[4]);
    const uint32_t sas = atoi(argv[2]);

    struct rte_mempool *pool = must(
        rte_cryptodev_sym_session_pool_create("sessions", 2 * sas + 16,
                                              rte_cryptodev_sym_get_private_session_size(rte_cryptodev_get_dev_id(DEVICE)),
                                              0, 0, 0),
        "a pool of sessions");
    const int device = open_device(pool);
    struct rte_mempool *buffers = must(rte_pktmbuf_pool_create("packets", 4 * BATCH, 0, 0, SLOT, 0), "a pool of packets");
    struct table table = {.mask = 15};
    while (table.mask < 2 * sas) table.mask = 2 * table.mask + 1;
    table.places = must(calloc(table.mask + 1, sizeof *table.places), "a table of SAs");
    const size_t bytes = sizeof(struct rte_ipsec_session) * sas;
    struct rte_ipsec_session *out = must(rte_zmalloc(NULL, bytes, 64), "sessions"),
                             *in = must(rte_zmalloc(NULL, bytes, 64), "sessions");
    IMB_MGR *manager = must(alloc_mb_mgr(0), "ipsec-mb");
    IMB_ARCH path;
    init_mb_mgr_auto(manager, &path);
    struct gcm_key_data *keys = must(aligned_alloc(64, sizeof *keys * sas), "keys");
    for (uint32_t k = 0; k < sas; k++) {
        make_session(&out[k], k, 0, device, pool);
        make_session(&in[k], k, 1, device, pool);
        const uint32_t spi = rte_cpu_to_be_32(FIRST_SPI + k), dst = rte_cpu_to_be_32(DST);
        *place_of(&table, spi, dst) = (struct place){spi, dst, &in[k]};
        uint8_t key[16];
        make_key(key, k);
        IMB_AES128_GCM_PRE(manager, key, &keys[k]);
    }

    uint8_t *inner = must(calloc(1, size), "a packet");
    inner[0] = 0x45;
    inner[2] = size >> 8;
    inner[3] = size;
    inner[6] = 0x40;
    inner[8] = 63;
    inner[9] = IPPROTO_UDP;
    for (int i = 28; i < size; i++) inner[i] = rand();
    struct rte_mbuf *packets[BATCH];
    if (rte_pktmbuf_alloc_bulk(buffers, packets, BATCH) != 0) fail("no packets");
    uint8_t *slab = must(aligned_alloc(64, (size_t)BATCH * SLOT), "texts");
    memset(slab, 1, (size_t)BATCH * SLOT);

    const int len = size + 2 + (-(size + 2) & 3);
    double *times[4], *ratios[2];
    for (int k = 0; k < 4; k++) times[k] = calloc(rounds, sizeof(double));
    for (int k = 0; k < 2; k++) ratios[k] = calloc(rounds, sizeof(double));
    struct gcm_context_data context;
    uint32_t turn = 0, cipher_turn = 0;
    for (int round = -1; round < rounds; round++) { /* the first one warms up */
        struct results spent = {0};
        for (int batch = 0; batch < batches; batch++, turn += BATCH) {
            for (int i = 0; i < BATCH; i++) {
                rte_pktmbuf_reset(packets[i]);
                memcpy(rte_pktmbuf_append(packets[i], size), inner, size);
                packets[i]->l2_len = 0;
                packets[i]->l3_len = sizeof(struct rte_ipv4_hdr);
                packets[i]->packet_type = 0;
            }
            double from = now_ns();
            seal(out, sas, turn, packets);
            spent.seal += now_ns() - from;
            for (int i = 0; i < BATCH; i++) {
                packets[i]->l2_len = 0;
                packets[i]->l3_len = sizeof(struct rte_ipv4_hdr);
            }
            from = now_ns();
            open_all(&table, packets);
            spent.open += now_ns() - from;
            if (rte_pktmbuf_data_len(packets[0]) != size || memcmp(rte_pktmbuf_mtod(packets[0], void *), inner, size) != 0)
                fail("what was opened is not what was sealed");
        }
        uint8_t nonce[12] = {1}, aad[8] = {0}, tag[ICV];
        for (int sealing = 1; sealing >= 0; sealing--) {
            const double from = now_ns();
            for (int batch = 0; batch < batches; batch++) {
                for (int i = 0; i < BATCH; i++) {
                    uint8_t *text = slab + (size_t)i * SLOT + HEADER;
                    const struct gcm_key_data *key = &keys[cipher_turn];
                    if (++cipher_turn == sas) cipher_turn = 0;
                    nonce[11] = i;
                    if (sealing)
                        IMB_AES128_GCM_ENC(manager, key, &context, text, text, len, nonce, aad, 8, text + len, ICV);
                    else
                        IMB_AES128_GCM_DEC(manager, key, &context, text, text, len, nonce, aad, 8, tag, ICV);
                }
            }
            *(sealing ? &spent.cipher_seal : &spent.cipher_open) = now_ns() - from;
        }
        if (round < 0) continue;
        const double n = (double)batches * BATCH;
        times[0][round] = spent.seal / n;
        times[1][round] = spent.cipher_seal / n;
        times[2][round] = spent.open / n;
        times[3][round] = spent.cipher_open / n;
        ratios[0][round] = spent.seal / spent.cipher_seal;
        ratios[1][round] = spent.open / spent.cipher_open;
    }
    for (int k = 0; k < 4; k++) printf("%.1f ", median(times[k], rounds));
    printf("%.3f %.3f\n", median(ratios[0], rounds), median(ratios[1], rounds));
    return 0;
}
