/**
 * Every finding there is: one row a code, most important first. `esplane diagnose`, its documentation (docs/diagnose.md)
 * and the tests read this one table.
 * @module
 */
import type { Basis } from '../basis.ts';
import type { Severity } from './finding.ts';

interface Row {
  /** Stable: never renamed, never used for something else. */
  readonly code: string;
  readonly severity: Severity;
  /** How it is known; `sa`: told where the receiver's own text has, or lacks, the SA, and assumed otherwise. */
  readonly basis: Exclude<Basis, 'assumed'> | 'sa';
  /** What was seen, in general. */
  readonly means: string;
  /** How it is known. */
  readonly proof: string;
  /** What to do. */
  readonly remedy: string;
}

export const FINDINGS = [
  {
    code: 'iv-reused',
    severity: 'error',
    basis: 'seen',
    means:
      'Two different packets have the same IV under the same key. With AES-GCM both can be read, and others forged.',
    proof: 'Both packets authenticate under one key and carry the same 8 bytes of IV.',
    remedy:
      'Rotate the key now. Find the second sender, or what reset the counter (a snapshot restored, a cloned node).',
  },
  {
    code: 'two-senders',
    severity: 'error',
    basis: 'seen',
    means: 'Two senders use one SA: their numbers collide, and the receiver drops what comes second.',
    proof:
      'Authentic packets of one SA come from two counters side by side: Linux XORs each number with bytes of its own per SA, so the IVs tell the senders apart.',
    remedy:
      'Find the second node that has this address and key (a clone, a restored snapshot, one key for all nodes without +), then rotate the key.',
  },
  {
    code: 'clear-traffic',
    severity: 'error',
    basis: 'seen',
    means: 'Packets between pods of different nodes went by in the clear.',
    proof:
      'They are IP packets between two pods whose nodes differ, and no ESP packet of the capture carries the same.',
    remedy:
      'Compare `ip xfrm policy` of the sending node with the pod ranges, and look for the destination in `cilium-dbg bpf ipcache list` (encryptkey must not be 0).',
  },
  {
    code: 'one-way-encryption',
    severity: 'error',
    basis: 'seen',
    means: 'One direction between two pods is encrypted, the other is not.',
    proof: 'ESP carried packets from one pod to the other; those the other way went by in the clear.',
    remedy:
      'On the node that sends in the clear: is there an outbound policy for the other pod range, and a key id for its node (`cilium-dbg encrypt status`, `bpf ipcache list`)? Restart its agent if not.',
  },
  {
    code: 'encryption-off',
    severity: 'error',
    basis: 'told',
    means: 'IPsec is off, in the settings or on a node.',
    proof: '`enable-ipsec` in cilium-config, or `cilium-dbg encrypt status` of the node.',
    remedy:
      'Turn it on (Helm: encryption.enabled, encryption.type=ipsec), create the Secret, and restart the agents.',
  },
  {
    code: 'config-conflict',
    severity: 'error',
    basis: 'told',
    means: 'The settings turn on what excludes IPsec.',
    proof: 'Both are in cilium-config.',
    remedy: 'Turn one of the two off, and restart the agents.',
  },
  {
    code: 'no-boot-id',
    severity: 'error',
    basis: 'told',
    means:
      'A node has published no boot id, which the keys of its tunnels are made from: there are no SAs with it.',
    proof: 'Its CiliumNode has no spec.bootid, and others have one.',
    remedy:
      'Look why the agent of that node did not write its CiliumNode (`cilium-dbg status`, log of the agent), and restart it.',
  },
  {
    code: 'stale-boot-id',
    severity: 'error',
    basis: 'sa',
    means: 'One end made the key of this tunnel from a boot id that the other end does not have now.',
    proof:
      'The packets fail with the one key and open with the other; the key that is out of date was derived again from an earlier boot id, or all other inputs are shown to be the same.',
    remedy:
      'Compare spec.bootid of the CiliumNode with /proc/sys/kernel/random/boot_id on that node. Restart the agent of the end that is out of date; if that does not help, rotate the key.',
  },
  {
    code: 'key-changed',
    severity: 'error',
    basis: 'sa',
    means: 'The key was changed without a new key id: both ends use the same SPI with different keys.',
    proof: 'The packets fail with the one key of this id and open with another key of the same id.',
    remedy: 'Put a key with the next id into the Secret (`esplane keys rotate`), and let all agents load it.',
  },
  {
    code: 'wrong-key',
    severity: 'error',
    basis: 'sa',
    means: 'Sender and receiver hold different keys for this tunnel.',
    proof: "The packets fail with the receiver's key and open with another one at hand.",
    remedy:
      'Give the earlier keys and nodes too, before the current ones (--keys OLD --keys NEW), to name the cause. A key rotation brings both ends together again.',
  },
  {
    code: 'unknown-key',
    severity: 'error',
    basis: 'sa',
    means:
      'No packet of this stream opens with any key at hand: a key of another cluster, or one that is not given here.',
    proof: 'The keys at hand were tried with all boot ids, ids, addresses and with and without ESN.',
    remedy:
      'Give the text of `ip -s xfrm state` of the sending node, or the keys and nodes of the time of the capture (--keys OLD --keys NEW, --nodes OLD --nodes NEW).',
  },
  {
    code: 'esn-differs',
    severity: 'error',
    basis: 'sa',
    means: 'One end has extended sequence numbers (ESN), the other has not: every ICV is wrong.',
    proof: 'The packets open with the same key once ESN is switched.',
    remedy:
      'Up to Cilium 1.16 write + after the key id on all nodes, or on none; give --cilium as the version that runs.',
  },
  {
    code: 'icv-length-differs',
    severity: 'error',
    basis: 'sa',
    means: 'Sender and receiver hold the same key, and cut the ICV to different lengths.',
    proof:
      'The packets open with the same key once the ICV has another length. Or two texts give one key and two lengths.',
    remedy:
      'Set the same length on both ends: HMAC-SHA-256 has 128 bits by RFC 4868, and 96 by the default of Linux (strongSwan sha256_96, libreswan sha2-truncbug).',
  },
  {
    code: 'sa-gone',
    severity: 'error',
    basis: 'sa',
    means: 'The receiver has no SA for packets that the sender is right to send: no more, or not yet.',
    proof:
      "The text of the receiver's kernel does not have it; the sender's, or keys and nodes, do. Or the capture itself says when it went, or came.",
    remedy:
      'Restart the agent of the receiving node, which installs the SA again. `cilium-dbg encrypt flush` and a deleted CiliumNode are known to remove it.',
  },
  {
    code: 'rotation-out-of-step',
    severity: 'error',
    basis: 'sa',
    means: 'Sender and receiver are at different steps of a key rotation.',
    proof:
      "The receiver's kernel, or the capture's own list, has an SA of this tunnel under another key id, and none (yet) under the one that is used.",
    remedy:
      'Let the node that is behind load the new Secret (about a minute); a key is to be kept 5 minutes after its successor came (ipsec-key-rotation-duration).',
  },
  {
    code: 'no-node-id',
    severity: 'error',
    basis: 'told',
    means:
      'A node drops packets to another one before they are encrypted, because its map of node ids lacks that node.',
    proof:
      "Hubble's flows with the verdict DROPPED and the reason NO_NODE_ID (197). They are the last flows of each node, so it may have dropped more.",
    remedy:
      'Look whether the agent of that node knows the other one (`cilium-dbg node list`, `cilium-dbg bpf nodeid list`), and restart it where it does not.',
  },
  {
    code: 'unencrypted-dropped',
    severity: 'error',
    basis: 'told',
    means:
      'Strict mode drops packets that are not encrypted, though they should be: no leak, and nothing comes through.',
    proof:
      "Hubble's flows with the verdict DROPPED and the reason UNENCRYPTED_TRAFFIC (195). They are the last flows of each node, so it may have dropped more.",
    remedy:
      'Find why they are not encrypted: the other findings, the key id of the other node (spec.encryption.key of its CiliumNode), and `encryptkey` of its pods in `cilium-dbg bpf ipcache list`.',
  },
  {
    code: 'policy-missing',
    severity: 'error',
    basis: 'told',
    means: 'A node has no outbound policy for pods of another node.',
    proof:
      'No policy `dir out` with ESP in its text selects the pod range that Kubernetes has for the other node.',
    remedy:
      'Restart the agent of that node, and look whether it knows the other one (`cilium-dbg node list`).',
  },
  {
    code: 'ipcache-no-key',
    severity: 'error',
    basis: 'told',
    means:
      'A node sends packets to pods of another node in the clear, because its ipcache has no key for them.',
    proof: '`encryptkey=0` in its `cilium-dbg bpf ipcache list`, with the other node as the tunnel endpoint.',
    remedy:
      'See whether the other node publishes a key (spec.encryption.key of its CiliumNode), then restart the agent that lacks it.',
  },
  {
    code: 'unknown-spi',
    severity: 'warning',
    basis: 'sa',
    means: 'Packets with an SPI that no source at hand has an SA for.',
    proof: 'Neither kernel text nor keys and nodes yield an SA with this destination and SPI.',
    remedy:
      'If the SPI is a key id (1 to 15): give that key too, or let the sender load the Secret. Otherwise ask what else sends ESP to this node.',
  },
  {
    code: 'counter-reset',
    severity: 'error',
    basis: 'seen',
    means:
      'The sender began to count again, below what the receiver has seen: everything is dropped until it catches up.',
    proof:
      'Authentic packets under the old key have numbers far below the highest; their IVs are of a new counter. Under ESN the kernel counts them as XfrmInStateProtoError.',
    remedy:
      'Rotate the key: both ends then begin with new SAs. Restarting agents does not help, because an SA that is there is kept.',
  },
  {
    code: 'blocked-on-the-way',
    severity: 'error',
    basis: 'seen',
    means:
      'All packets of a stream left one place and none came to the other, though captures of both were given.',
    proof: 'They are in the one capture and not in the other, which was listening all the time.',
    remedy:
      'Let the network between the nodes pass IP protocol 50 (ESP), and UDP port 4500 where it is used: firewalls, security groups, network policies of the cloud.',
  },
  {
    code: 'mtu-hole',
    severity: 'error',
    basis: 'seen',
    means: 'Long packets vanish on the way, short ones pass.',
    proof:
      'Inside the tunnel short requests and segments are answered; all longer ones are not, or are sent again and again. Behind the hole: TCP inside keeps waiting for bytes before a short segment that came, numbers go missing, and no long packet comes. Or by captures of both ends: what left the one and never came to the other is longer than all that came.',
    remedy:
      'Find the link with the smaller MTU (`tracepath`), and give Cilium that MTU; let ICMP "fragmentation needed" through to the nodes.',
  },
  {
    code: 'too-big',
    severity: 'warning',
    basis: 'seen',
    means: 'A router says that ESP packets are too long for its next link.',
    proof:
      'ICMP "fragmentation needed" or "packet too big" that quotes a packet between the tunnel ends or pods.',
    remedy:
      'Set the MTU of Cilium to the smallest of the path: it then gives pods 77 bytes less, and 50 or 70 more less under VXLAN.',
  },
  {
    code: 'esp-unreachable',
    severity: 'error',
    basis: 'seen',
    means:
      'ESP packets do not get there: a host says that it has no ESP, or a router that it cannot or must not deliver them.',
    proof:
      'ICMP "unreachable", or "unrecognized next header", that sends back an ESP packet. Anyone can send such a message.',
    remedy:
      'Where a host has no ESP, load its module (esp4, esp6) or start its IPsec; where a filter forbids it, allow protocol 50, or UDP port 4500.',
  },
  {
    code: 'sequence-near-end',
    severity: 'error',
    basis: 'seen',
    means:
      'The sequence numbers of an SA without ESN are nearly used up. At 4,294,967,295 the sender drops everything.',
    proof: "The numbers in the capture, or `oseq` in the text of the sender's kernel.",
    remedy:
      'Rotate the key now; from Cilium 1.17 on all keys have ESN, before that write + after the key id.',
  },
  {
    code: 'reordered-beyond-window',
    severity: 'warning',
    basis: 'sa',
    means: 'Packets came so late that the anti-replay window had moved past them.',
    proof:
      'They are authentic, their numbers had not been seen, and they are left of the window. Under ESN the kernel counts them as XfrmInStateProtoError.',
    remedy:
      'Find what reorders (several paths, several queues of a NIC, software RPS), or widen the window; Linux has at most 4096.',
  },
  {
    code: 'replayed',
    severity: 'warning',
    basis: 'seen',
    means: 'Packets came twice.',
    proof: 'Number, IV and ICV are those of a packet that was accepted.',
    remedy:
      'Something doubles packets (a bridge loop, a bond, a mirror port, a capture on two interfaces), or somebody replays them: compare the TTLs and the times of both frames.',
  },
  {
    code: 'altered',
    severity: 'warning',
    basis: 'seen',
    means: 'Packets were altered on the way, or made up.',
    proof:
      'The ICV is wrong under a key that opens other packets of the stream; IV or number are those of a good packet.',
    remedy:
      'Look for a device that rewrites packets (a NIC with broken offload, a middlebox), or for an attacker.',
  },
  {
    code: 'truncated',
    severity: 'warning',
    basis: 'seen',
    means: 'ESP packets were cut off on the way.',
    proof: 'They are shorter than the good packet with the same number, or too short for IV and ICV.',
    remedy: 'Look for a link that cuts long packets, or an offload that does; compare MTUs on the way.',
  },
  {
    code: 'header-error',
    severity: 'warning',
    basis: 'seen',
    means: 'Packets of protocol ESP that are too short for SPI and sequence number.',
    proof: 'Fewer than eight bytes after the IP header.',
    remedy: 'Find out who sends them: no ESP implementation does.',
  },
  {
    code: 'number-zero',
    severity: 'warning',
    basis: 'seen',
    means: 'Packets with sequence number 0, which no sender uses.',
    proof: 'The number on the wire.',
    remedy: 'The packet was altered, or the sender does not count: find out who sends it.',
  },
  {
    code: 'number-far-ahead',
    severity: 'warning',
    basis: 'seen',
    means:
      'Authentic packets with numbers so far ahead that a receiver with ESN takes them for numbers of the past.',
    proof: 'They open with the high half that the stream has, which is not the one that the receiver infers.',
    remedy:
      'Find out what made the sender jump: a counter that was set by hand, or packets that were crafted with the key.',
  },
  {
    code: 'missing-numbers',
    severity: 'warning',
    basis: 'seen',
    means: 'Numbers that were sent never came by.',
    proof: 'Gaps between the first packet of the capture and the highest number.',
    remedy:
      'Packets are lost before the capture point: compare with a capture at the sender, and look at drops of NICs and queues. (A capture that cannot keep up loses them too: tcpdump says so at its end.)',
  },
  {
    code: 'fragments-missing',
    severity: 'warning',
    basis: 'seen',
    means: 'ESP packets came as fragments, and some fragments never came.',
    proof: 'Fragments without the rest of their packet when the capture ends, or after 30 s.',
    remedy: 'Give Cilium the MTU of the path, so that ESP is not fragmented; firewalls often drop fragments.',
  },
  {
    code: 'selector-mismatch',
    severity: 'warning',
    basis: 'sa',
    means: 'Decrypted packets have addresses outside the selector of their SA.',
    proof: 'Inner addresses beside `sel` of the state.',
    remedy:
      "Make the selector wider, or send these packets through another SA; Cilium's selectors take everything.",
  },
  {
    code: 'policy-refuses',
    severity: 'error',
    basis: 'sa',
    means:
      'The receiver decrypts packets, and then an inbound policy refuses them, or none covers them; or it refuses what came in the clear.',
    proof:
      "The receiver's own `ip xfrm policy`, asked as Linux asks it, with the SAs that each packet came by. Assumed where it is not known whether the destination is the node itself or behind it; and of packets in the clear, that they reach the node.",
    remedy:
      'Compare `ip xfrm policy` of the receiver, `dir in` and `dir fwd`, with its state: templates name mode, reqid, SPI and source of the SA, and a policy with if_id is for what an xfrm interface with that if_id brings.',
  },
  {
    code: 'expired',
    severity: 'error',
    basis: 'sa',
    means: 'An SA reached its hard limit of packets, bytes or seconds, and is gone.',
    proof:
      'As many packets or bytes as `ip xfrm state` says the SA may carry. Or its time is over by `add`, `use` and `expire` there; that is assumed, since the text does not say the time zone of its dates: they are taken as UTC where packets do not show otherwise.',
    remedy: 'Install a new SA; Cilium sets no limits, so something else made this one.',
  },
  {
    code: 'encap-mismatch',
    severity: 'error',
    basis: 'sa',
    means: 'ESP in UDP came for an SA without UDP encapsulation, or the other way round.',
    proof: 'The UDP header, or its absence, beside `encap` of the state.',
    remedy: 'Set the same encapsulation on both ends; Cilium uses none.',
  },
  {
    code: 'wrong-direction',
    severity: 'error',
    basis: 'told',
    means: 'The receiver has the SA for sending alone, and refuses all that comes for it.',
    proof: "`dir out` of the state in the receiver's own text, which kernels have from Linux 6.10.",
    remedy: 'Install the state on the receiver with `dir in`, or without a direction.',
  },
  {
    code: 'bad-padding',
    severity: 'warning',
    basis: 'seen',
    means: 'Authentic packets whose pad length leaves no payload.',
    proof: 'The trailer after decryption.',
    remedy: 'The sender builds wrong packets: find out which program it is.',
  },
  {
    code: 'dummy',
    severity: 'warning',
    basis: 'seen',
    means: 'Dummy packets (next header 59), which Linux counts as errors.',
    proof: 'The trailer after decryption.',
    remedy: 'Switch traffic flow confidentiality off at the sender.',
  },
  {
    code: 'not-ip',
    severity: 'warning',
    basis: 'sa',
    means: 'A tunnel SA carried something that is not IP.',
    proof: 'The next header in the trailer is neither 4 nor 41.',
    remedy: 'Sender and receiver differ in mode (tunnel, transport): compare `mode` in both texts.',
  },
  {
    code: 'inner-damaged',
    severity: 'warning',
    basis: 'seen',
    means: 'The packet inside an authentic one is damaged: too short, cut off, or with a wrong header.',
    proof: 'The inner IP header after decryption.',
    remedy: 'It was damaged before encryption: look at the sender.',
  },
  {
    code: 'iptfs-refused',
    severity: 'warning',
    basis: 'sa',
    means: 'An SA in IP-TFS (RFC 9347) carried a payload that Linux does not read.',
    proof: 'The header of the payload and its data blocks after decryption.',
    remedy: 'Compare `mode` at both ends: the sender may be in tunnel mode. Else look at the sender.',
  },
  {
    code: 'iptfs-abandoned',
    severity: 'warning',
    basis: 'sa',
    means: 'Inner packets that IP-TFS had cut (RFC 9347) did not become whole, and were dropped.',
    proof: 'The next payload by its number does not go on with them.',
    remedy:
      'Look for lost outer packets, and for reordering beyond `reorder-window` of the SA (3 where it is not set).',
  },
  {
    code: 'packets-refused',
    severity: 'warning',
    basis: 'told',
    means:
      'A kernel refused packets, and their key is the same at both ends, or that of the other end is not told.',
    proof: 'The `stats:` lines of its states.',
    remedy:
      'Capture at that node while the counter rises, and run esplane diagnose on it: it tells replays, reordering and damage apart.',
  },
  {
    code: 'window-differs',
    severity: 'warning',
    basis: 'told',
    means: 'States have a narrower replay window than those of other nodes.',
    proof: '`replay-window` and `replay_window` in the text.',
    remedy: 'See which release of Cilium made them; rotate the key, so that all nodes make theirs anew.',
  },
  {
    code: 'node-id-differs',
    severity: 'warning',
    basis: 'told',
    means: 'States have marks with other node ids than the node has in its map.',
    proof: 'The upper half of `mark` in its `ip xfrm state` beside its `cilium-dbg bpf nodeid list`.',
    remedy: 'Run `cilium-dbg encrypt flush --stale` on that node (1.16 and later), or restart its agent.',
  },
  {
    code: 'node-unheard',
    severity: 'warning',
    basis: 'told',
    means: 'An agent does not know of a node that Kubernetes lists.',
    proof: 'Its `cilium-dbg node list` beside the CiliumNodes.',
    remedy:
      'Look whether the agent reaches the API server or the kvstore (`cilium-dbg status`), and restart it.',
  },
  {
    code: 'ipcache-other-key',
    severity: 'warning',
    basis: 'told',
    means: 'The ipcache of a node has another key id for the pods of a node than that node publishes.',
    proof: '`encryptkey` in its `cilium-dbg bpf ipcache list` beside spec.encryption.key of the CiliumNode.',
    remedy:
      'In a rotation that is so for a minute. Where it lasts, restart the agent of the node whose ipcache it is.',
  },
  {
    code: 'rotation-stuck',
    severity: 'warning',
    basis: 'told',
    means: 'Two keys have been there for longer than a rotation takes.',
    proof: 'Both ids are in the states, the newer ones made more than half an hour before the texts.',
    remedy:
      'Look for agents that did not load the new Secret (`cilium-dbg encrypt status`, log of the agent), and restart them.',
  },
  {
    code: 'versions-differ',
    severity: 'warning',
    basis: 'told',
    means: 'Nodes run different releases of Cilium.',
    proof: 'The images of the pods.',
    remedy: 'Finish the upgrade. Do not rotate keys before all nodes run the same release.',
  },
  {
    code: 'collected-twice',
    severity: 'warning',
    basis: 'told',
    means: 'Several sysdumps are mixed: a node was collected more than once.',
    proof: 'Two collections have its name.',
    remedy: 'Give one sysdump at a time.',
  },
  {
    code: 'contradicting-keys',
    severity: 'warning',
    basis: 'told',
    means: 'Two sources give different keys for one SA.',
    proof: 'The sources themselves; the packets say which one is right.',
    remedy: 'Trust the one that opens the packets, and find out how old the other one is.',
  },
  {
    code: 'state-differs',
    severity: 'warning',
    basis: 'told',
    means: "A kernel holds another SA than keys and nodes, or the other end's kernel, say.",
    proof: 'Key, ESN or replay window in the text beside those that keys and nodes yield.',
    remedy: 'Restart the agent of that node, or rotate the key: an SA that is there is kept as it is.',
  },
  {
    code: 'wrong-secret',
    severity: 'warning',
    basis: 'told',
    means: 'The given keys fit no state of the cluster.',
    proof:
      'The hash of each key that follows from them and the nodes, beside those in the place of the keys.',
    remedy:
      'Give the Secret of this cluster, as it was when the texts were printed; all else is said without it.',
  },
  {
    code: 'counters-differ',
    severity: 'warning',
    basis: 'told',
    means: 'A kernel counted something else than this capture explains.',
    proof: 'The rise in /proc/net/xfrm_stat beside what the packets would have caused.',
    remedy:
      'More there than here: the capture misses an interface, or the time of the drops. Fewer there: the capture point is not the receiver, or its SAs were others then.',
  },
  {
    code: 'kernel-drops',
    severity: 'warning',
    basis: 'told',
    means: 'A kernel dropped packets that it received, and there is no capture to say which.',
    proof: 'Its rows XfrmIn… and XfrmFwd… rose.',
    remedy:
      'Give a capture of the packets to this node, taken while the row rises, to see which they are, and why.',
  },
  {
    code: 'unknown-node',
    severity: 'warning',
    basis: 'told',
    means:
      'Counters are of a node that no source and no packet of the capture names, so they are compared with nothing.',
    proof: 'The name before the file of --xfrm-stat.',
    remedy: 'Write the name as --nodes has it, or an address of the node: --xfrm-stat NODE=FILE.',
  },
  {
    code: 'lost-on-the-way',
    severity: 'warning',
    basis: 'seen',
    means: 'Packets left one place and never came to the other, though captures of both were given.',
    proof:
      'The captures have most packets of the stream in common, by SPI, number and the bytes behind them, or in the clear by all that no router changes; these are in one alone, at a time when the other place was listening.',
    remedy:
      'Look for what drops between the two places: full queues, rate limits, a bad link. Rule out that the capture itself lost them: tcpdump says at its end how many packets were dropped by the kernel.',
  },
  {
    code: 'came-from-elsewhere',
    severity: 'warning',
    basis: 'seen',
    means: 'Packets came to a place and did not pass the other one, which the rest of their stream did.',
    proof: 'They are in the one capture and not in the other, at a time when both places were listening.',
    remedy:
      'Look for a second path between the nodes, or another interface of the sender. Else they were injected, or the capture there lost them: tcpdump says how many.',
  },
  {
    code: 'duplicated-on-the-way',
    severity: 'warning',
    basis: 'seen',
    means: 'Packets left one place once, and came to the other more than once.',
    proof: 'The same bytes are in one capture once and in the other several times.',
    remedy:
      'Look for a network that duplicates (bonding, mirrored ports), or for a sender that replays; the receiver drops all but the first (XfrmInStateSeqError).',
  },
  {
    code: 'sender-drops',
    severity: 'warning',
    basis: 'told',
    means: 'A kernel dropped packets that it was to send.',
    proof: 'Its rows XfrmOut… rose.',
    remedy: 'The row says what was missing; docs/diagnose.md has an entry for each.',
  },
  {
    code: 'not-encrypted-yet',
    severity: 'warning',
    basis: 'seen',
    means:
      'ESP packets are in the clear behind their IV: the capture has them before the NIC that encrypts them (crypto offload). So they cannot be checked.',
    proof: 'Behind the IV lies a whole packet with its padding and trailer, and no ICV fits.',
    remedy:
      'Capture at the receiver. Where this was not taken on the sending node, the packets are on the wire unencrypted: switch `crypto offload` off there.',
  },
  {
    code: 'not-captured',
    severity: 'warning',
    basis: 'seen',
    means: 'The capture holds only the beginning of packets, so these cannot be checked.',
    proof: 'The IP header says they are longer.',
    remedy: 'Capture with `tcpdump -s 0`.',
  },
  {
    code: 'reordered-on-the-way',
    severity: 'info',
    basis: 'seen',
    means: 'Packets came in another order than they left.',
    proof: 'Captures of both places have them in different orders.',
    remedy:
      'Nothing, as long as the window is wide enough (reordered-beyond-window says where it is not). Several paths or queues do that.',
  },
  {
    code: 'clocks-differ',
    severity: 'info',
    basis: 'seen',
    means: 'The clocks of two places differ.',
    proof:
      'The median of the differences of packets that both captures have; with both directions the time on the way is taken out of it.',
    remedy: 'Mind it when comparing times of the two captures. Let both nodes ask the same time server.',
  },
  {
    code: 'seen-twice',
    severity: 'info',
    basis: 'seen',
    means: 'The capture point sees packets in ESP and in the clear: before encryption, or after decryption.',
    proof: 'The clear packet is the one that came out of ESP, byte for byte, but for what a router changes.',
    remedy: 'Nothing: this is no leak. Capture with the filter `esp or udp port 8472` to have them once.',
  },
  {
    code: 'pod-side',
    severity: 'info',
    basis: 'seen',
    means:
      'Packets between pods of different nodes are in the clear where a pod is: before its node encrypts them, or after it has decrypted them.',
    proof:
      'They have the TTL that packets begin with, so they have passed no node; or they answer such packets, and no ESP of these nodes is in the capture.',
    remedy: 'Capture on the interface between the nodes to see whether they are encrypted there.',
  },
  {
    code: 'odd-padding',
    severity: 'info',
    basis: 'seen',
    means:
      'Authentic packets whose padding does not hold 1, 2, 3, as RFC 4303 §2.4 has it. Linux takes them; other receivers may not.',
    proof: 'The padding after decryption.',
    remedy:
      'The sender fills padding in its own way: find out which program it is, if the other end refuses packets.',
  },
  {
    code: 'fragmented',
    severity: 'info',
    basis: 'seen',
    means: 'ESP packets came as IP fragments, all of them complete.',
    proof: 'Fragments whose packet is ESP.',
    remedy: 'Nothing is lost, but it costs throughput: give Cilium the MTU of the path.',
  },
  {
    code: 'rotation-under-way',
    severity: 'info',
    basis: 'told',
    means: 'Nodes hold two keys, each the same at both ends, as they do while a key is rotated.',
    proof: 'The key ids of the states, and of the CiliumNodes.',
    remedy: 'Nothing. Look again when it should be over: 5 minutes after the last node has the new key.',
  },
  {
    code: 'counted-before',
    severity: 'info',
    basis: 'told',
    means: 'A kernel dropped packets at some time since it was booted, and none while the sysdump was made.',
    proof: 'Its row is not 0, and is the same in both readings.',
    remedy: 'Nothing, unless the row rises: restarts of agents and rotations leave such traces.',
  },
  {
    code: 'same-key',
    severity: 'info',
    basis: 'told',
    means: 'The texts of both ends hide the key of an SA, and show that it is the same.',
    proof: 'cilium-bugtool puts a hash in the place of each key; both are equal.',
    remedy: 'Nothing: the key is not what is wrong with these packets.',
  },
  {
    code: 'cilium-version',
    severity: 'info',
    basis: 'seen',
    means:
      'The packets show that Cilium has another version than --cilium says: up to 1.16 it uses a key without + as it is, later ones derive one for each tunnel.',
    proof: 'The packets open with the key used the one way, and not the other.',
    remedy:
      'Nothing is wrong with the key. Give --cilium as the version that runs, so that all else is taken as that version has it.',
  },
  {
    code: 'keys-hidden',
    severity: 'info',
    basis: 'told',
    means:
      'The text shows no keys, so ICVs cannot be checked: only numbers, gaps and unknown SPIs can be told.',
    proof: '`<<Keys hidden>>` in the text.',
    remedy: 'Run `ip -s xfrm state` as root without `nokeys`, or give --keys and --nodes.',
  },
  {
    code: 'no-evidence',
    severity: 'info',
    basis: 'seen',
    means:
      'There is ESP of which no source at hand knows either end, or that an SA carried which is gone since.',
    proof: 'The addresses and SPIs beside those of the sources.',
    remedy: 'Give the keys and nodes, or the kernel texts, of these nodes at the time of the capture.',
  },
] as const satisfies readonly Row[];

export type FindingCode = (typeof FINDINGS)[number]['code'];

const RANKS = new Map<FindingCode, number>(FINDINGS.map(({ code }, i) => [code, i]));

/** The row of a code. */
export function findingRow(code: FindingCode): Row & { readonly code: FindingCode } {
  return FINDINGS[RANKS.get(code)!]!;
}

/** Its place: what stands higher is more important. */
export function rankOf(code: FindingCode): number {
  return RANKS.get(code)!;
}
