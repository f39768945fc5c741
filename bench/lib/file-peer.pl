# Sends a file over TCP, or receives one: `receive ADDRESS FILE`, `send FROM TO FILE`. Perl, because that starts at
# once inside User-mode Linux too, where Node takes seconds.
use strict;
use warnings;
use IO::Socket::INET;

my $port = 5202;
my $role = shift;
my ($in, $out);
if ($role eq 'receive') {
  my ($address, $file) = @ARGV;
  my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => $address, LocalPort => $port, ReuseAddr => 1)
    or die "no listener on $address: $!\n";
  open($out, '>:raw', $file) or die "$file: $!\n";
  syswrite(STDOUT, "ready\n");
  $in = $server->accept or die "no connection: $!\n";
} else {
  my ($from, $to, $file) = @ARGV;
  open($in, '<:raw', $file) or die "$file: $!\n";
  $out = IO::Socket::INET->new(LocalAddr => $from, PeerAddr => $to, PeerPort => $port)
    or die "no connection to $to: $!\n";
}
while (sysread($in, my $bytes, 65536)) {
  for (my $at = 0; $at < length $bytes;) {
    $at += syswrite($out, $bytes, length($bytes) - $at, $at) // die "cannot write: $!\n";
  }
}
