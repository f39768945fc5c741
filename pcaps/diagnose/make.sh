#!/bin/sh
# Makes the captures of this folder, in the folder where it is run: one trouble each, between two nodes with IPsec of the
# Linux kernel as Cilium sets it up. Needs root, a kernel with ESP and netem, iproute2, tcpdump, ping, perl and tc. It makes
# network namespaces named esp-… and removes them.
#
#     p1 10.244.1.10 ---- n1 ---- r ---- n2 ---- 10.244.2.20 p2
#                         10.244.1.1     10.244.2.1          the SAs run between these
set -eu

BOOT1=3f2a6c1e-8d4b-4e57-9a30-5b7c9d1e2f40
BOOT2=b81d0c7a-2e9f-4c63-8f15-6a4e3d2c1b09
# What node-1 had before it was rebooted.
OLD_BOOT1=11d3f0aa-52c7-4b0e-8e19-c0ffee7c8d21
KEY=5f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c
OTHER_KEY=a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3
ESN='replay-window 1024 flag esn'

on() { # on NAMESPACE ARGUMENTS… of ip
  where=$1
  shift
  ip -n "esp-$where" "$@"
}

run() { # run NAMESPACE COMMAND…
  where=$1
  shift
  ip netns exec "esp-$where" "$@"
}

# derive KEY SRC DST SRCBOOT DSTBOOT: the key of one tunnel.
derive() {
  perl -e 'print pack("H*", $ARGV[0]), map({ pack("C4", split(/\./)) } @ARGV[1, 2]), @ARGV[3, 4]' "$@" | sha256sum | cut -c1-40
}

# state NAMESPACE FROM TO SPI KEY WORDS…: one SA, from node FROM to node TO.
state() {
  where=$1 from=$2 to=$3 spi=$4 key=$5
  shift 5
  on "$where" xfrm state add src "10.244.$from.1" dst "10.244.$to.1" proto esp spi "$spi" reqid 1 mode tunnel "$@" \
    aead 'rfc4106(gcm(aes))' "0x$key" 128
}

# outward NAMESPACE HERE THERE: pods of the other node through ESP.
outward() {
  on "$1" xfrm policy add dir out src 0.0.0.0/0 dst "10.244.$3.0/24" \
    tmpl src "10.244.$2.1" dst "10.244.$3.1" proto esp reqid 1 mode tunnel
}

# node NUMBER: node nN with pod pN behind it, and a link to the router.
node() {
  for each in "n$1" "p$1"; do
    ip netns add "esp-$each"
    on "$each" link set lo up
  done
  ip link add eth0 netns "esp-n$1" type veth peer name "to$1" netns esp-r
  on "n$1" link add in0 type veth peer name eth0 netns "esp-p$1"
  for end in "n$1 eth0" "n$1 in0" "p$1 eth0" "r to$1"; do
    on "${end% *}" link set "${end#* }" addrgenmode none
    on "${end% *}" link set "${end#* }" up
  done
  on "n$1" addr add "192.168.$1.2/24" dev eth0
  on r addr add "192.168.$1.1/24" dev "to$1"
  on "n$1" addr add "10.244.$1.1/32" dev lo
  on "n$1" addr add 169.254.0.1/32 dev in0
  on "n$1" route add "10.244.$1.${1}0/32" dev in0
  on "n$1" route add default via "192.168.$1.1"
  on r route add "10.244.$1.0/24" via "192.168.$1.2"
  on "p$1" addr add "10.244.$1.${1}0/32" dev eth0
  on "p$1" route add 169.254.0.1 dev eth0
  on "p$1" route add default via 169.254.0.1
  run "n$1" sysctl -qw net.ipv4.ip_forward=1
  # As Cilium has them: anything may come in, with or without ESP.
  for dir in in fwd; do
    on "n$1" xfrm policy add dir "$dir" src 0.0.0.0/0 dst 0.0.0.0/0 priority 2975 tmpl proto esp mode tunnel level use
  done
}

tear_down() {
  for each in n1 p1 n2 p2 n3 p3 r; do ip netns del "esp-$each" 2>/dev/null || true; done
}

# begin: both nodes, and a router between them.
begin() {
  tear_down
  ip netns add esp-r
  on r link set lo up
  run r sysctl -qw net.ipv4.ip_forward=1
  node 1
  node 2
  outward n1 1 2
}

# listen NAME NAMESPACE; silence NAME EXPECTED-JSON…: a capture, and what stands beside it.
listen() {
  run "$2" tcpdump -q -Z root --immediate-mode -U -i eth0 -w "$1.pcap" ip 2>/dev/null &
  tcpdump=$!
  sleep 0.6
}

silence() {
  sleep 0.2
  kill $tcpdump
  wait $tcpdump || true
  for each in n1 n2; do
    on $each -s xfrm state >"$1.$each.xfrm_state.txt"
    on $each xfrm policy >"$1.$each.xfrm_policy.txt"
    run $each cat /proc/net/xfrm_stat >"$1.$each.xfrm_stat"
  done
  printf '%s\n' "$2" >"$1.expected.json"
}

# pings NAMESPACE TO WORDS…
pings() {
  where=$1 to=$2
  shift 2
  run "$where" ping -q -W 1 -i 0.02 "$@" "$to" >/dev/null || true
}

# both WORDS…: right SAs for both directions on both nodes.
both() {
  for each in n1 n2; do
    state $each 1 2 3 "$KEY12" "$@"
    state $each 2 1 3 "$KEY21" "$@"
  done
  outward n2 2 1
}

nodes() { # nodes BOOT1
  cat <<END
{"kind":"List","items":[
 {"kind":"CiliumNode","metadata":{"name":"node-1"},"spec":{"addresses":[{"type":"InternalIP","ip":"192.168.1.2"},{"type":"CiliumInternalIP","ip":"10.244.1.1"}],"bootid":"$1","encryption":{"key":3},"ipam":{"podCIDRs":["10.244.1.0/24"]}}},
 {"kind":"CiliumNode","metadata":{"name":"node-2"},"spec":{"addresses":[{"type":"InternalIP","ip":"192.168.2.2"},{"type":"CiliumInternalIP","ip":"10.244.2.1"}],"bootid":"$BOOT2","encryption":{"key":3},"ipam":{"podCIDRs":["10.244.2.0/24"]}}}
]}
END
}

trap tear_down EXIT
KEY12=$(derive $KEY 10.244.1.1 10.244.2.1 $BOOT1 $BOOT2)
KEY21=$(derive $KEY 10.244.2.1 10.244.1.1 $BOOT2 $BOOT1)
nodes $BOOT1 >nodes.json
nodes $OLD_BOOT1 >nodes.old.json
echo "3+ rfc4106(gcm(aes)) $KEY 128" >keys
echo "3+ rfc4106(gcm(aes)) $OTHER_KEY 128" >keys.old
{ cat keys; echo "4+ rfc4106(gcm(aes)) $OTHER_KEY 128"; } >keys.rotated

# Node-1 was rebooted; node-2 still has what it made from the boot id before.
begin
both $ESN
on n2 xfrm state delete src 10.244.1.1 dst 10.244.2.1 proto esp spi 3
state n2 1 2 3 "$(derive $KEY 10.244.1.1 10.244.2.1 $OLD_BOOT1 $BOOT2)" $ESN
listen stale-boot-id n2
pings p1 10.244.2.20 -c 6
pings p2 10.244.1.10 -c 2
silence stale-boot-id '{"keys":["keys"],"nodes":["nodes.old.json","nodes.json"],"findings":["stale-boot-id"]}'

# The Secret was changed without a new id, and only node-1 has it.
begin
both $ESN
for way in "1 2" "2 1"; do
  # shellcheck disable=SC2086 # two words
  set -- $way
  on n2 xfrm state delete src "10.244.$1.1" dst "10.244.$2.1" proto esp spi 3
done
state n2 1 2 3 "$(derive $OTHER_KEY 10.244.1.1 10.244.2.1 $BOOT1 $BOOT2)" $ESN
state n2 2 1 3 "$(derive $OTHER_KEY 10.244.2.1 10.244.1.1 $BOOT2 $BOOT1)" $ESN
listen key-changed n2
pings p1 10.244.2.20 -c 5
pings p2 10.244.1.10 -c 3
silence key-changed '{"keys":["keys.old","keys"],"nodes":["nodes.json"],"findings":["key-changed"]}'

# Node-1 made its SA anew with the same key; node-2 kept its own.
begin
both $ESN
on n1 xfrm state delete src 10.244.1.1 dst 10.244.2.1 proto esp spi 3
state n1 1 2 3 "$KEY12" $ESN replay-oseq 5000
listen counter-reset n2
pings p1 10.244.2.20 -c 6
on n1 xfrm state delete src 10.244.1.1 dst 10.244.2.1 proto esp spi 3
state n1 1 2 3 "$KEY12" $ESN
pings p1 10.244.2.20 -c 8
silence counter-reset '{"keys":["keys"],"nodes":["nodes.json"],"findings":["counter-reset"],"notes":["seen-twice"]}'

# The router holds some packets back, for longer than the window is wide.
begin
both replay-window 64 flag esn
on r link set to2 txqueuelen 1000
run r tc qdisc add dev to2 root handle 1: prio bands 4
run r tc qdisc add dev to2 parent 1:4 handle 40: netem delay 1500ms limit 1000
run r tc filter add dev to2 parent 1: protocol ip prio 1 u32 match ip tos 0x20 0xff flowid 1:4
listen reordered n2
pings p1 10.244.2.20 -c 4
pings p1 10.244.2.20 -c 3 -Q 0x20
run p1 ping -q -i 0.004 -c 90 10.244.2.20 >/dev/null || true
sleep 1.5
pings p1 10.244.2.20 -c 2
silence reordered '{"findings":["reordered-beyond-window"],"notes":["seen-twice"]}'

# A clone of node-1 with its address and its SA.
begin
both $ESN
node 3
on n3 addr add 10.244.1.1/32 dev lo
on n3 route add 10.244.2.0/24 via 192.168.3.1
on n3 xfrm policy add dir out src 0.0.0.0/0 dst 10.244.2.0/24 \
  tmpl src 10.244.1.1 dst 10.244.2.1 proto esp reqid 1 mode tunnel
state n3 1 2 3 "$KEY12" $ESN
# The answers go to the real node-1, which has no such pod.
on n3 addr add 10.244.1.30/32 dev lo
on n1 route add blackhole 10.244.1.30/32
listen two-senders n2
pings n3 10.244.2.20 -c 12 -I 10.244.1.30 &
second=$!
pings p1 10.244.2.20 -c 16
wait $second
silence two-senders '{"keys":["keys"],"nodes":["nodes.json"],"findings":["two-senders"],"notes":["seen-twice"]}'

# Node-2 has no policy for what it sends back.
begin
both $ESN
on n2 xfrm policy delete dir out src 0.0.0.0/0 dst 10.244.1.0/24
listen one-way n2
pings p1 10.244.2.20 -c 6
silence one-way '{"keys":["keys"],"nodes":["nodes.json"],"policy":true,"findings":["one-way-encryption"],"notes":["seen-twice"]}'

# The link behind the router is narrow, and nobody hears the router say so. Seen from node-1.
begin
both $ESN
on r link set to2 mtu 1300
on n2 link set eth0 mtu 1300
on r rule add iif lo ipproto icmp blackhole priority 1
listen mtu-hole n1
pings p1 10.244.2.20 -c 4
pings p1 10.244.2.20 -c 2 -M do -s 1100
pings p1 10.244.2.20 -c 4 -M do -s 1300
pings p1 10.244.2.20 -c 2
silence mtu-hole '{"keys":["keys"],"nodes":["nodes.json"],"findings":["mtu-hole"],"notes":["seen-twice"]}'

# The same, and the router is heard.
begin
both $ESN
on r link set to2 mtu 1300
on n2 link set eth0 mtu 1300
listen too-big n1
pings p1 10.244.2.20 -c 2 -M do -s 1100
pings p1 10.244.2.20 -c 3 -M do -s 1300
silence too-big '{"keys":["keys"],"nodes":["nodes.json"],"findings":["too-big"],"notes":["seen-twice"]}'

# Somebody flushed what node-2 receives with.
begin
both $ESN
on n2 xfrm state delete src 10.244.1.1 dst 10.244.2.1 proto esp spi 3
listen sa-gone n2
pings p1 10.244.2.20 -c 5
pings p2 10.244.1.10 -c 2
silence sa-gone '{"keys":["keys"],"nodes":["nodes.json"],"findings":["sa-gone"]}'

# Node-2 has dropped key 3 already, and node-1 has not seen key 4.
begin
both $ESN
for way in "1 2" "2 1"; do
  # shellcheck disable=SC2086
  set -- $way
  on n2 xfrm state delete src "10.244.$1.1" dst "10.244.$2.1" proto esp spi 3
done
state n2 1 2 4 "$(derive $OTHER_KEY 10.244.1.1 10.244.2.1 $BOOT1 $BOOT2)" $ESN
state n2 2 1 4 "$(derive $OTHER_KEY 10.244.2.1 10.244.1.1 $BOOT2 $BOOT1)" $ESN
listen rotation-out-of-step n2
pings p1 10.244.2.20 -c 4
pings p2 10.244.1.10 -c 3
silence rotation-out-of-step '{"keys":["keys.rotated"],"nodes":["nodes.json"],"findings":["rotation-out-of-step"]}'
