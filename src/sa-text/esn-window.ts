/**
 * The window of an SA with ESN whose source tells none.
 *
 * ESN does not work without a window: the high half of a number is inferred around it. Wireshark's table has no
 * field for it, and `ip xfrm state` prints none in old versions, and 0 for sending SAs from Linux 6.10.
 * @module
 */

/** Packets, as Cilium sets it: wide enough not to call merely reordered packets late. */
export const ESN_WINDOW = 1024;
