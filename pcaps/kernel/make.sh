#!/bin/sh
# Makes the captures of this folder, in the folder where it is run: pings between two pods on two nodes, with IPsec of
# the Linux kernel between the nodes. Needs root, a kernel with ESP, iproute2, tcpdump, ping and perl. It makes network
# namespaces named esp-… and removes them.
#
#     p1 10.244.1.10 ---- n1 192.0.2.1 ==== ESP ==== 192.0.2.2 n2 ---- 10.244.2.20 p2
#        fd00:1::10                                                    fd00:2::20
set -eu

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

# build HERE THERE: node nHERE with pod pHERE, and the way to the other node.
build() {
  on "n$1" -batch - <<END
link set lo up
link set eth0 addrgenmode none
link set eth0 up
addr add 192.0.2.$1/24 dev eth0
addr add 2001:db8::$1/64 dev eth0 nodad
link add in0 type veth peer name eth0 netns esp-p$1
link set in0 addrgenmode none
link set in0 up
addr add 169.254.0.1/32 dev in0
addr add fe80::1/64 dev in0 nodad
route add 10.244.$1.0/24 dev in0
route add fd00:$1::/32 dev in0
route add 10.244.$2.0/24 via 192.0.2.$2
route add fd00:$2::/32 via 2001:db8::$2
END
  on "p$1" -batch - <<END
link set lo up
link set eth0 addrgenmode none
link set eth0 up
addr add 10.244.$1.${1}0/32 dev eth0
addr add fd00:$1::${1}0/128 dev eth0 nodad
addr add fe80::2/64 dev eth0 nodad
route add 169.254.0.1 dev eth0
route add 0.0.0.0/0 via 169.254.0.1
route add ::/0 via fe80::1 dev eth0
END
  run "n$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

# protect FROM TO SPI SOURCES DESTINATIONS WORDS…: one direction; the words are those of its state.
protect() {
  from=$1 to=$2 spi=$3 src=$4 dst=$5
  shift 5
  for node in n1 n2; do
    on $node xfrm state add src "192.0.2.$from" dst "192.0.2.$to" proto esp spi "$spi" reqid 1 mode tunnel "$@"
  done
  policy="src $src dst $dst tmpl src 192.0.2.$from dst 192.0.2.$to proto esp reqid 1 mode tunnel"
  echo "xfrm policy add dir out $policy" | on "n$from" -batch -
  for dir in in fwd; do echo "xfrm policy add dir $dir $policy"; done | on "n$to" -batch -
}

# record NAME FILTER COMMAND…: what n2 has on the wire, and p2 in the clear, while p1 runs a command.
record() {
  name=$1 filter=$2
  shift 2
  ip netns exec esp-n2 tcpdump -q -Z root --immediate-mode -U -i eth0 -w "$name.pcap" "$filter" 2>/dev/null &
  wire=$!
  ip netns exec esp-p2 tcpdump -q -Z root --immediate-mode -U -i eth0 -w "$name.clear.pcap" "$PING" 2>/dev/null &
  clear=$!
  sleep 1
  run p1 "$@" >/dev/null
  sleep 0.2
  kill $wire $clear
  wait $wire $clear || true
  on n2 -s xfrm state >"$name.xfrm_state.txt"
  run n2 cat /proc/net/xfrm_stat >"$name.xfrm_stat"
  for node in n1 n2; do on $node xfrm state flush && on $node xfrm policy flush; done
}

# Echo requests and replies of either version.
PING='icmp or (ip6 and ip6[6] == 58 and (ip6[40] == 128 or ip6[40] == 129))'

# A socket on port 4500 that asks for ESP (UDP_ENCAP_ESPINUDP), until it is killed.
take_udp() {
  exec ip netns exec "esp-$1" perl -MSocket -e '
    socket(S, AF_INET, SOCK_DGRAM, 17) && bind(S, sockaddr_in(4500, INADDR_ANY)) &&
    setsockopt(S, 17, 100, pack("i", 2)) or die $!;
    sleep 600;'
}

daemons=
trap 'for each in n1 n2 p1 p2; do ip netns del esp-$each || true; done; test -z "$daemons" || kill $daemons' EXIT
for each in n1 n2 p1 p2; do ip netns add esp-$each; done
ip link add eth0 netns esp-n1 type veth peer name eth0 netns esp-n2
build 1 2
build 2 1

# AES-128-GCM with ESN; the sequence numbers go over 2^32.
esn='replay-window 64 flag esn replay-seq 0xfffffffa replay-oseq 0xfffffffa'
gcm='aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128'
# shellcheck disable=SC2086 # words of a state
protect 1 2 0x1002 10.244.1.0/24 10.244.2.0/24 $esn $gcm
# shellcheck disable=SC2086
protect 2 1 0x2001 10.244.2.0/24 10.244.1.0/24 $esn $gcm
record gcm128-esn esp ping -c 10 -i 0.1 -s 24 -p 70696e67 10.244.2.20

# AES-CBC with HMAC-SHA-256-128, in UDP, IPv6 in IPv4, without ESN.
for node in n1 n2; do
  take_udp $node &
  daemons="$daemons $!"
done
udp='replay-window 32 sel src ::/0 dst ::/0 encap espinudp 4500 4500 0.0.0.0'
auth='auth-trunc hmac(sha256) 0x404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f 128'
cbc='enc cbc(aes) 0x000102030405060708090a0b0c0d0e0f'
# shellcheck disable=SC2086
protect 1 2 0x1002 fd00:1::/32 fd00:2::/32 $udp $auth $cbc
# shellcheck disable=SC2086
protect 2 1 0x2001 fd00:2::/32 fd00:1::/32 $udp $auth $cbc
record cbc-udp 'udp port 4500' ping -c 6 -i 0.1 -s 61 -p 70696e67 fd00:2::20
