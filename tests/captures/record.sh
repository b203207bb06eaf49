#!/bin/bash
# Records programs.pcap: what programs of Debian send to multicast groups, between two network namespaces
# joined by a cable. Needs root, tcpdump and the packages below; a program that is not there is left out,
# and said so. Nothing leaves the namespaces.
#
#   apt-get install --no-install-recommends avahi-daemon babeld chrony corosync cyclonedds-tools ffmpeg \
#     frr ganglia-monitor gstreamer1.0-plugins-good gstreamer1.0-tools gupnp-tools knxd-tools libcoap3-bin \
#     linuxptp minidlna minisapserver miniupnpc ola python3-zeroconf transmission-cli tshark tcpdump wsdd
#   tests/captures/record.sh [FILE]        (programs.pcap; about 20 s)
set -uo pipefail
cd "$(dirname "$0")"
file=$(realpath "${1:-programs.pcap}")
PATH=$PATH:/usr/sbin:/sbin:/usr/lib/frr
work=$(mktemp -d)
a=judge-a-$$ b=judge-b-$$
cleanup() {
  # Only what was started here, by its number.
  local pid
  for pid in $(jobs -p); do kill "$pid" 2>/dev/null; done
  wait 2>/dev/null
  ip netns del "$a" 2>/dev/null
  ip netns del "$b" 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

ip netns add "$a" && ip netns add "$b" || exit 1
ip link add net0 netns "$a" type veth peer name net0 netns "$b"
n=1
for ns in "$a" "$b"; do
  ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  ip -n "$ns" link set lo up
  ip -n "$ns" link set net0 up multicast on
  ip -n "$ns" addr add "10.77.0.$n/24" dev net0
  ip -n "$ns" addr add "fd77::$n/64" dev net0 nodad
  ip -n "$ns" route add 224.0.0.0/4 dev net0
  n=$((n + 1))
done

# host SECONDS COMMAND...: runs it in host a or b in the background, with an end and folders of its own.
on() {
  local ns=$1 seconds=$2
  shift 2
  command -v "$1" >/dev/null || { echo "left out: $1 is not installed" >&2; return; }
  timeout --kill-after=3 "$seconds" ip netns exec "$ns" unshare --mount sh -c \
    'mount -t tmpfs none /run && mount -t tmpfs none /var/lib && mkdir -p /run/chrony /run/avahi-daemon /var/lib/corosync && install -d -o frr -g frr /run/frr && exec "$@"' sh "$@" \
    >"$work/log.$(basename "$1")" 2>&1 </dev/null &
}
a() { on "$a" "$@"; }
b() { on "$b" "$@"; }

ip netns exec "$b" tcpdump -i net0 -n -U -w "$work/all.pcap" -Z root --immediate-mode -s 2000 \
  'udp and (ip multicast or ip6 multicast)' 2>"$work/tcpdump.log" &
tcpdump=$!
touch "$work/tcpdump.log"
until grep -q listening "$work/tcpdump.log"; do sleep 0.1; done
export HOME=$work

# --- names and services ---------------------------------------------------------------------
cat >"$work/avahi.conf" <<X
[server]
host-name=desk
use-ipv4=yes
use-ipv6=yes
enable-dbus=no
allow-interfaces=net0
[publish]
publish-workstation=yes
publish-hinfo=yes
X
a 6 avahi-daemon -f "$work/avahi.conf" --no-drop-root --no-chroot --no-rlimits
cat >"$work/browse.py" <<'X'
import time, socket, zeroconf as z
c = z.Zeroconf(interfaces=["10.77.0.2"])
class L(z.ServiceListener):
    def add_service(self, c, t, n): c.get_service_info(t, n)
    def update_service(self, *x): pass
    def remove_service(self, *x): pass
z.ServiceBrowser(c, ["_workstation._tcp.local.", "_ipp._tcp.local.", "_http._tcp.local."], L())
c.register_service(z.ServiceInfo("_ipp._tcp.local.", "Büro 2._ipp._tcp.local.", port=631, addresses=[socket.inet_aton("10.77.0.2")],
                                 properties={"rp": "ipp/print", "txtvers": "1"}, server="printer.local."))
time.sleep(3)
c.close()
X
b 6 python3 "$work/browse.py"
mkdir -p "$work/media" "$work/dlna"
cat >"$work/minidlna.conf" <<X
network_interface=net0
media_dir=$work/media
db_dir=$work/dlna
log_dir=$work/dlna
friendly_name=Shelf
notify_interval=3
inotify=no
X
a 8 minidlnad -S -f "$work/minidlna.conf" -P "$work/minidlna.pid"
b 5 gssdp-discover -i net0 --timeout=3
b 5 upnpc -m net0 -s
b 5 gupnp-universal-cp
a 6 wsdd -i net0 -n shelf -v
cat >"$work/lookup.py" <<'X'
import socket, struct
q = struct.pack(">6H", 0x4711, 0, 1, 0, 0, 0) + b"\x05shelf\0" + struct.pack(">2H", 1, 1)
for f, g in ((socket.AF_INET, "224.0.0.252"), (socket.AF_INET6, "ff02::1:3%net0")):
    s = socket.socket(f, socket.SOCK_DGRAM); s.sendto(q, socket.getaddrinfo(g, 5355, f)[0][4])
X
b 8 python3 "$work/lookup.py"
mkdir -p "$work/bt"
echo '{"lpd-enabled": true, "dht-enabled": false, "pex-enabled": false}' >"$work/bt/settings.json"
head -c 16384 /dev/zero >"$work/bt/zeroes"
printf 'd8:announce20:http://10.77.0.2:1/a4:infod6:lengthi16384e4:name6:zeroes12:piece lengthi16384e6:pieces20:%see' \
  "$(head -c 20 /dev/zero | tr '\0' x)" >"$work/bt/zeroes.torrent"
a 14 transmission-cli -g "$work/bt" -w "$work/bt" "$work/bt/zeroes.torrent"

# --- time -----------------------------------------------------------------------------------
ptp="-S -m --free_running=1 --logAnnounceInterval=-1 --announceReceiptTimeout=2"
a 9 ptp4l -i net0 -4 $ptp --priority1=100 --domainNumber=7
b 9 ptp4l -i net0 -4 $ptp --slaveOnly=1 --domainNumber=7
a 9 ptp4l -i net0 -6 $ptp --delay_mechanism=P2P
b 9 ptp4l -i net0 -6 $ptp --delay_mechanism=P2P
printf 'broadcast 2 224.0.1.1\nlocal stratum 5\nbindcmdaddress /\npidfile %s/chrony.pid\ndriftfile %s/drift\ncmdport 0\n' "$work" "$work" >"$work/chrony.conf"
a 7 chronyd -x -d -u root -f "$work/chrony.conf"

# --- media ----------------------------------------------------------------------------------
enc() { a 8 ffmpeg -nostdin -loglevel error -re -f lavfi "$@"; }
to='ttl=4&localaddr=10.77.0.1'
enc -i sine -t 3 -ar 8000 -c:a pcm_mulaw -f sap "sap://239.77.1.1:6000?announce_addr=224.2.127.254&ttl=4"
enc -i sine -t 3 -ar 8000 -c:a pcm_alaw -f rtp "rtp://239.77.1.2:6004?$to"
enc -i sine -t 3 -ar 44100 -ac 2 -c:a pcm_s16be -f rtp "rtp://239.77.1.3:6008?$to"
enc -i testsrc=size=160x120:rate=25 -t 3 -c:v mpeg2video -f rtp_mpegts "rtp://239.77.1.4:6012?$to&pkt_size=1328"
enc -i testsrc=size=160x120:rate=25 -t 3 -c:v mpeg2video -metadata service_name="Nachrichten HD" -f mpegts "udp://239.77.1.5:1234?$to&pkt_size=1316"
enc -i testsrc=size=160x120:rate=25 -t 3 -c:v mjpeg -huffman 0 -pix_fmt yuvj420p -f rtp "rtp://239.77.1.6:6016?$to"
enc -i testsrc=size=160x120:rate=25 -t 3 -c:v libx264 -g 25 -tune zerolatency -f rtp "rtp://239.77.1.7:6020?$to"
enc -i sine -t 3 -ar 48000 -ac 2 -c:a libopus -f rtp "rtp://239.77.1.9:6024?$to"
enc -i sine -t 3 -ar 48000 -c:a libmp3lame -f rtp "rtp://239.77.1.10:6028?$to"
a 8 ffmpeg -nostdin -loglevel error -re -f lavfi -i testsrc=size=160x120:rate=25 -f lavfi -i sine -f lavfi -i sine=880 -t 3 \
  -map 0 -map 1 -map 2 -c:v mpeg2video -c:a aac -program title=Eins:st=0:st=1 -program title=Zwei:st=2 -f mpegts "udp://239.77.1.11:1235?$to&pkt_size=1316"
gst() { a 8 gst-launch-1.0 -q "$@"; }
gst audiotestsrc num-buffers=150 is-live=true samplesperbuffer=480 ! audio/x-raw,rate=48000,channels=2 ! \
  audioconvert ! rtpL24pay min-ptime=1000000 max-ptime=1000000 pt=97 ! udpsink host=239.69.1.1 port=5004 multicast-iface=net0 ttl-mc=4
gst audiotestsrc num-buffers=100 is-live=true ! mulawenc ! rtppcmupay ! udpsink host=239.77.1.8 port=7200 multicast-iface=net0
cat >"$work/sap.cfg" <<X
[global]
sap_delay=1
[program]
name=Studio Ä
user=radio
machine=10.77.0.1
address=239.69.1.1
type=rtp
rtp_payload_type=97
program_port=5004
program_ttl=4
X
a 5 sapserver -c "$work/sap.cfg"

# --- lighting, buildings, devices -----------------------------------------------------------
mkdir -p "$work/ola"
chmod 755 "$work"
chown nobody "$work/ola"
a 9 setpriv --reuid=nobody --regid=nogroup --clear-groups olad --no-http -c "$work/ola" -i net0 -l 3
a 9 knxd -e 1.1.1 -E 1.1.2:8 -u "$work/knx" -b ip:
a 8 coap-client-notls -N -m get -B 2 'coap://224.0.1.187/.well-known/core?rt=temp'
a 8 coap-client-notls -N -m get -B 2 'coap://[ff02::fd%net0]/sensors/temp'
a 8 coap-client-notls -N -m put -e 21.5 -B 2 'coap://224.0.1.187:5683/sensors/temp'

# --- clusters, logs -------------------------------------------------------------------------
cat >"$work/corosync.conf" <<X
totem {
  version: 2
  cluster_name: shelf
  transport: udp
  crypto_cipher: none
  crypto_hash: none
  interface {
    ringnumber: 0
    bindnetaddr: 10.77.0.0
    mcastaddr: 239.192.77.1
    mcastport: 5405
  }
}
nodelist {
  node {
    ring0_addr: 10.77.0.1
    nodeid: 1
  }
  node {
    ring0_addr: 10.77.0.2
    nodeid: 2
  }
}
quorum {
  provider: corosync_votequorum
}
logging {
  to_stderr: yes
  to_syslog: no
}
X
a 8 corosync -f -c "$work/corosync.conf"
b 8 corosync -f -c "$work/corosync.conf"
gmond -t >"$work/gmond.conf" 2>/dev/null
sed -i 's/mcast_join = .*/mcast_join = 239.2.11.71\n  mcast_if = net0/; s/setuid = yes/setuid = no/; s/deaf = no/deaf = no/' "$work/gmond.conf" 2>/dev/null
a 6 gmond -f -c "$work/gmond.conf"
cat >"$work/cyclone.xml" <<X
<CycloneDDS><Domain Id="any"><General><Interfaces><NetworkInterface name="net0" multicast="true"/></Interfaces><AllowMulticast>true</AllowMulticast></General></Domain></CycloneDDS>
X
export CYCLONEDDS_URI=file://$work/cyclone.xml
b 7 ddsperf sub
a 7 ddsperf -D 4 pub 5Hz size 100
for format in --rfc5424 --rfc3164; do
  a 8 logger -n 239.77.2.1 -d -P 514 $format -p auth.crit -t su 'failed for lonvick'
  a 8 logger -n 239.77.2.1 -d -P 514 $format -p local4.info -t app "3 users, 0 errors"
done
a 8 bash -c 'for i in 1 2 3; do echo -n "api.hits:$i|c" >/dev/udp/239.77.2.2/8125; echo -n "api.time:${i}2.5|ms|@0.1
api.queue:7|g" >/dev/udp/239.77.2.2/8125; done'

# --- routers --------------------------------------------------------------------------------
cat >"$work/rip.conf" <<X
hostname shelf
router rip
 version 2
 network net0
 timers basic 5 15 15
 default-information originate
 route 10.78.0.0/16
X
printf 'hostname shelf\nrouter ripng\n network net0\n timers basic 5 15 15\n route fd78::/32\n' >"$work/ripng.conf"
for ns in a b; do
  $ns 9 sh -c "zebra -d -f /dev/null -i /run/frr/zebra.pid -z /run/frr/z.sock -u frr -g frr -A 127.0.0.1
    ripngd -d -f '$work/ripng.conf' -i /run/frr/ripngd.pid -z /run/frr/z.sock -u frr -g frr
    exec ripd -f '$work/rip.conf' -i /run/frr/ripd.pid -z /run/frr/z.sock -u frr -g frr"
done
a 5 babeld -I "$work/babeld.pid" -S "$work/babel-state" net0

sleep 3
in_a() { timeout 5 ip netns exec "$a" "$@" >>"$work/log.in" 2>&1 </dev/null; }
in_a ola_dev_info
in_a ola_patch -d 1 -p 0 -u 1
for id in 2 3 4 5 6 7; do in_a ola_patch -d $id -p 0 -u 1; done
in_a ola_set_dmx -u 1 -d 255,128,0,7
in_a knxtool groupswrite "local:$work/knx" 1/2/3 1
in_a knxtool groupwrite "local:$work/knx" 1/2/4 0c 1a
in_a knxtool groupread "local:$work/knx" 1/2/4
sleep 12
kill -INT "$tcpdump"
wait "$tcpdump"
cp "$work/all.pcap" "$file.all"
mkdir -p "${LOGS:-$work/none}"
cp "$work"/log.* "${LOGS:-$work/none}" 2>/dev/null
python3 thin.py "$file.all" "$file"
rm -f "$file.all"
