#!/usr/bin/env python3
"""Builds the sample payloads beside this file, one file each: ID-WHAT.bin, where ID is the protocol.

The bytes come from the standards, written here a second time and in another language, so that the
parsers are not tested against themselves. `make.py check` wraps them in UDP with text2pcap and has
tshark name and dissect each one; `make.py check WORD` prints the dissection of those named so.
`make.py capture FILE` writes all of them into one pcap file, a millisecond apart.
"""
import os, struct, subprocess, sys, tempfile, zlib
from struct import pack

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "payload")
# name -> (payload, destination port, tshark's protocol ("udp" if it has none there), its options)
SAMPLES = {}


def sample(name, payload, port, tshark, *options):
    SAMPLES[name] = (bytes(payload), port, tshark, options)


# --- DNS (RFC 1035, 6762, 6763, 4795) ---------------------------------------------------------
def name(text):
    return b"".join(bytes([len(l)]) + l.encode() for l in text.split(".") if l) + b"\0"


def rr(owner, kind, klass, ttl, data):
    return owner + pack(">HHIH", kind, klass, ttl, len(data)) + data


def dns(ident, flags, qd=(), an=(), ns=(), ar=()):
    head = pack(">6H", ident, flags, len(qd), len(an), len(ns), len(ar))
    return head + b"".join([*qd, *an, *ns, *ar])


def mdns_response():
    service = name("_ipp._tcp.local")  # at 12
    instance = b"\x06Office" + b"\xc0\x0c"  # at 12 + 17 + 10 = 39
    at = 12 + len(service) + 10
    pointer = pack(">H", 0xC000 | at)
    local = pack(">H", 0xC000 | (12 + 10))
    host_at = at + len(instance) + 2 + 10 + 6
    srv = pack(">HHH", 0, 0, 631) + b"\x07printer" + local
    host = pack(">H", 0xC000 | host_at)
    txt = b"".join(bytes([len(t)]) + t for t in (b"txtvers=1", b"rp=ipp/print"))
    return dns(0, 0x8400, an=[
        rr(service, 12, 1, 4500, instance),
        rr(pointer, 33, 0x8001, 120, srv),
        rr(pointer, 16, 0x8001, 4500, txt),
    ], ar=[
        rr(host, 1, 0x8001, 120, bytes([192, 168, 1, 20])),
        rr(host, 47, 0x8001, 120, host + b"\0\x04\x40\0\0\x08"),
    ])


sample("mdns-response", mdns_response(), 5353, "mdns")
sample("mdns-query", dns(0, 0, qd=[name("host.local") + pack(">HH", 1, 0x8001),
                                   b"\xc0\x0c" + pack(">HH", 28, 0x8001)]), 5353, "mdns")
sample("mdns-goodbye", dns(0, 0x8400, an=[rr(name("_http._tcp.local"), 12, 1, 0, b"\x03Web\xc0\x0c")]), 5353, "mdns")
sample("mdns-probe", dns(0, 0, qd=[name("host.local") + pack(">HH", 255, 0x8001)],
                         ns=[rr(b"\xc0\x0c", 1, 1, 120, bytes([10, 0, 0, 7]))]), 5353, "mdns")
sample("llmnr-query", dns(0x1234, 0, qd=[name("wpad") + pack(">HH", 1, 1)]), 5355, "llmnr")
sample("llmnr-answer", dns(0x1234, 0x8000, qd=[name("desk") + pack(">HH", 1, 1)],
                           an=[rr(b"\xc0\x0c", 1, 1, 30, bytes([10, 0, 0, 9]))]), 5355, "llmnr")

# --- SSDP, BitTorrent -------------------------------------------------------------------------
sample("ssdp-alive", b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age = 1800\r\n"
       b"LOCATION: http://10.0.0.3:8200/rootDesc.xml\r\nNT: urn:schemas-upnp-org:device:MediaRenderer:1\r\n"
       b"NTS: ssdp:alive\r\nSERVER: Linux/5.4 UPnP/1.0 Player/2\r\n"
       b"USN: uuid:2f402f80-da50-11e1-9b23-001788255acc::urn:schemas-upnp-org:device:MediaRenderer:1\r\n\r\n", 1900, "ssdp")
sample("ssdp-search", b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 3\r\n"
       b"ST: ssdp:all\r\n\r\n", 1900, "ssdp")
sample("ssdp-byebye", b"NOTIFY * HTTP/1.1\nHost:239.255.255.250:1900\nnt:upnp:rootdevice\nnts:ssdp:byebye\n"
       b"usn:uuid:2f402f80-da50-11e1-9b23-001788255acc::upnp:rootdevice\n\n", 1900, "ssdp")
sample("ssdp-answer", b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nUSN: uuid:0011::upnp:rootdevice\r\nEXT:\r\n\r\n", 1900, "ssdp")
sample("bt-lsd-search", b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n"
       b"Infohash: 2ffe7ec5ad83b2ad6b7e26c6d3fcac5a0a0f4ac6\r\ncookie: 1\r\n\r\n\r\n", 6771, "udp")

# --- WS-Discovery, XML ------------------------------------------------------------------------
WSD = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
sample("wsd-probe", ('<?xml version="1.0" encoding="UTF-8"?>\n<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
       'xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="%s" '
       'xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><e:Header><w:MessageID>uuid:84ede3de-7dec-11d0-c360-f01234567890'
       '</w:MessageID><w:To e:mustUnderstand="true">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>'
       '<w:Action>%s/Probe</w:Action></e:Header><e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types>'
       '</d:Probe></e:Body></e:Envelope>' % (WSD, WSD)).encode(), 3702, "udp")
sample("wsd-hello", ('<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope" '
       'xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:wsd="%s" xmlns:wsdp="http://schemas.xmlsoap.org/ws/2006/02/devprof">'
       '<soap:Header><wsa:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</wsa:To><wsa:Action>%s/Hello</wsa:Action>'
       '<wsa:MessageID>urn:uuid:73948edc-3204-4455-bae2-7c7d0ff6c37c</wsa:MessageID>'
       '<wsd:AppSequence InstanceId="1077004800" MessageNumber="7"></wsd:AppSequence></soap:Header><soap:Body><wsd:Hello>'
       '<wsa:EndpointReference><wsa:Address>urn:uuid:98190dc2-0890-4ef8-ac9a-5940995e6119</wsa:Address></wsa:EndpointReference>'
       '<wsd:Types>wsdp:Device</wsd:Types><wsd:MetadataVersion>75965</wsd:MetadataVersion></wsd:Hello></soap:Body></soap:Envelope>'
       % (WSD, WSD)).encode(), 3702, "udp")
sample("xml-status", b'<status host="a1"><temp unit="C">21.5</temp><load>0.3</load></status>\n', 9999, "data")
sample("cot-event", b'<?xml version="1.0"?><event version="2.0" uid="ANDROID-1" type="a-f-G-U-C" time="2026-01-01T00:00:00Z" '
       b'start="2026-01-01T00:00:00Z" stale="2026-01-01T00:05:00Z" how="m-g"><point lat="47.5" lon="8.25" hae="400" ce="9" le="9"/>'
       b'<detail><contact callsign="ALPHA"/></detail></event>', 6969, "udp")

# --- SAP, SDP (RFC 2974, 8866) ----------------------------------------------------------------
AES67 = (b"v=0\r\no=- 1311738121 1311738121 IN IP4 192.168.1.1\r\ns=Studio A\r\nc=IN IP4 239.69.1.1/32\r\nt=0 0\r\n"
         b"a=clock-domain:PTPv2 0\r\nm=audio 5004 RTP/AVP 97\r\na=rtpmap:97 L24/48000/2\r\na=sync-time:0\r\na=framecount:48\r\n"
         b"a=ptime:1\r\na=mediaclk:direct=0\r\na=ts-refclk:ptp=IEEE1588-2008:00-1D-C1-FF-FE-12-34-56:0\r\na=recvonly\r\n")
sample("sap-aes67", bytes([0x20, 0]) + pack(">H", 0xBEEF) + bytes([192, 168, 1, 1]) + b"application/sdp\0" + AES67, 9875, "sap")
sample("sap-delete", bytes([0x24, 0]) + pack(">H", 0xBEEF) + bytes([192, 168, 1, 1])
       + b"application/sdp\0" + b"o=- 1311738121 1311738121 IN IP4 192.168.1.1\r\n", 9875, "sap")
sample("sap-v6-auth", bytes([0x30, 2]) + pack(">H", 0x77) + bytes.fromhex("fe80000000000000021dc1fffe123456")
       + b"\x20\0AUTHXX"[:8] + b"v=0\r\no=jdoe 3724394400 3724394405 IN IP6 2001:db8::1\r\ns=Call\r\nc=IN IP6 ff15::101/3\r\n"
       b"t=0 0\r\nm=video 5100/2 RTP/AVP 33\r\na=source-filter: incl IN IP6 ff15::101 2001:db8::1\r\nm=audio 0 RTP/AVP 0\r\n", 9875, "sap")
sample("sap-encrypted", bytes([0x22, 0]) + pack(">H", 0x1001) + bytes([10, 1, 1, 1]) + bytes(range(40)), 9875, "sap")
sample("sap-compressed", bytes([0x21, 0]) + pack(">H", 0xBEEF) + bytes([192, 168, 1, 1]) + zlib.compress(b"application/sdp\0" + AES67), 9875, "sap")
sample("sap-bomb", bytes([0x21, 0]) + pack(">H", 0xB0B) + bytes([192, 168, 1, 1]) + zlib.compress(b"v=0\r\n" + b"a=x\r\n" * 200_000, 9), 9875, "sap")
sample("sdp-bare", AES67, 9999, "udp")

# --- RTP, RTCP (RFC 3550) ---------------------------------------------------------------------
sample("rtp-l24", pack(">BBHII", 0x80, 0xE1, 51234, 9012, 0x1A2B3C4D) + bytes(288), 5004, "rtp", "-d", "udp.port==5004,rtp")
sample("rtp-pcmu-csrc-ext-pad", pack(">BBHIIII", 0xB2, 0, 65535, 160, 7, 1, 2) + pack(">HHI", 0xBEDE, 1, 0x10FF0000)
       + bytes([0xD5]) * 160 + b"\0\0\0\x04", 5004, "rtp", "-d", "udp.port==5004,rtp")
SR = pack(">BBHIIIIII", 0x81, 200, 12, 0x11223344, 0xE8000000, 0x80000000, 90000, 12345, 1234500) \
    + pack(">IB3sIIII", 0x55667788, 1, (52).to_bytes(3, "big"), 0x0001C350, 96, 0xE8001234, 65536)
CNAME = b"\x01\x0ahost@10.1.\0\0"
SDES = pack(">BBHI", 0x81, 202, 1 + (len(CNAME) + 3) // 4, 0x11223344) + CNAME + bytes(-len(CNAME) % 4)
sample("rtcp-sr-sdes", SR + SDES, 5005, "rtcp", "-d", "udp.port==5005,rtcp")
sample("rtcp-rr-bye", pack(">BBHI", 0x80, 201, 1, 9) + pack(">BBHI", 0x81, 203, 3, 9) + b"\x06ending\0", 5005, "rtcp", "-d", "udp.port==5005,rtcp")

# --- JSON, text -------------------------------------------------------------------------------
sample("json-telemetry", b'{"id":7,"unit":"C","tags":["a","b"],"temp":21.5,"more":{"x":null}}\n', 9999, "json", "-d", "udp.port==9999,json")
sample("json-lines", b'{"a":1}\n{"a":2}\n', 9999, "json", "-d", "udp.port==9999,json")
sample("text-chat", "hello from the café, number 42\n".encode(), 9999, "data")

# --- NTP (RFC 5905) ---------------------------------------------------------------------------
sample("ntp-broadcast", bytes([0x25, 1, 6, 0xEC]) + pack(">II", 0, 0x28) + b"GPS\0"
       + pack(">QQQQ", 0xE8000000_00000000, 0, 0, 0xE8000001_80000000), 123, "ntp")

# --- MPEG-TS: not built here but by another program, cut into datagrams of seven packets ---------
#   ffmpeg -f lavfi -i testsrc=size=160x120:rate=25 -f lavfi -i sine -t 2 -c:v mpeg2video -c:a aac -muxrate 600k
#          -metadata service_provider=Lab -metadata service_name="News HD" -mpegts_service_id 100 -f mpegts
# (mpegts-timecode: the same with -mpegts_m2ts_mode 1; mpegts-parity: 16 zero bytes behind each packet.)
for n in ("mpegts-tables", "mpegts-null", "mpegts-timecode", "mpegts-parity", "rtp-mp2t"):
    with open(os.path.join(OUT, n + ".bin"), "rb") as f:
        odd = n in ("mpegts-timecode", "mpegts-parity")
        sample(n, f.read(), 5004, "rtp" if n[:3] == "rtp" else "udp" if odd else "mp2t", "-d",
               "udp.port==5004," + ("rtp" if n[:3] == "rtp" else "mp2t"))

# --- PTP (IEEE 1588) --------------------------------------------------------------------------
CLOCK = bytes.fromhex("001dc1fffe123456")


def ptp(kind, length, flags, seq, control, interval, body, version=2, domain=0):
    return (pack(">BBHBBHq4x", kind, version, length, domain, 0, flags, 0) + CLOCK
            + pack(">HHBb", 1, seq, control, interval) + body)


TIME = pack(">HII", 0, 1700000000, 123456789)
sample("ptp-sync", ptp(0, 44, 0x0200, 4711, 0, -3, bytes(10)), 319, "ptp")
sample("ptp-follow-up", ptp(8, 44, 0, 4711, 2, -3, TIME), 320, "ptp")
sample("ptp-announce", ptp(0x0B, 64, 0x003C, 9, 5, 1, TIME + pack(">hBBBBHB8sHB", 37, 0, 128, 6, 0x21, 0x4E5D, 128, CLOCK, 0, 0x20),
                           domain=127), 320, "ptp")
sample("ptp-delay-resp", ptp(9, 54, 0, 77, 3, 0, TIME + bytes.fromhex("aabbccfffeddeeff") + b"\0\x02") + b"\0\0", 320, "ptp")
sample("ptp-v1-sync", pack(">HH16sBB6sHHBBH4xII", 1, 1, b"_DFLT", 1, 1, CLOCK[:6], 1, 33, 0, 0, 8, 1700000000, 5)
       + bytes(76), 319, "ptp")

# --- RTPS (DDSI-RTPS 2.x) ---------------------------------------------------------------------
PREFIX = bytes.fromhex("01100c5a1b2c3d4e5f600001")
PAYLOAD = b"\0\x03\0\0" + pack("<HHII", 2, 8, 20, 0) + pack("<HH", 1, 0)
DATA = pack("<HH", 0, 16) + bytes.fromhex("000100c7000100c2") + pack("<iI", 0, 5) + PAYLOAD
sample("rtps-data", b"RTPS\x02\x03\x01\x10" + PREFIX + pack("<BBHiI", 9, 1, 8, 1700000000, 0x80000000)
       + pack("<BBH", 0x15, 5, len(DATA)) + DATA, 7400, "rtps")
# A participant leaves: inline QoS with the status info, a key only.
BYE = pack("<HH", 0, 16) + bytes.fromhex("000100c7000100c2") + pack("<iI", 0, 6) \
    + pack("<HH", 0x71, 4) + bytes([0, 0, 0, 3]) + pack("<HH", 1, 0) \
    + b"\0\x03\0\0" + pack("<HH", 0x50, 16) + PREFIX + bytes.fromhex("000001c1") + pack("<HH", 1, 0)
sample("rtps-dispose", b"RTPS\x02\x03\x01\x10" + PREFIX + pack("<BBH", 0x15, 11, len(BYE)) + BYE, 7400, "rtps")
HB = bytes.fromhex("00000000000003c2") + pack(">iIiII", 0, 1, 0, 12, 3)
sample("rtps-heartbeat", b"RTPS\x02\x01\x01\x01" + PREFIX + pack(">BBH", 7, 0, len(HB)) + HB, 7400, "rtps")

# --- sACN, Art-Net, Pathport ------------------------------------------------------------------
CID = bytes(range(0x10, 0x20))


def acn(root, framing, body):
    inner = pack(">HI", 0x7000 | len(body) + 6, framing) + body
    return (b"\0\x10\0\0ASC-E1.17\0\0\0" + pack(">HI", 0x7000 | len(inner) + 22, root) + CID + inner)


def sacn(levels, seq, options=0, code=0):
    dmp = pack(">HBBHHHB", 0x7000 | 11 + len(levels), 2, 0xA1, 0, 1, len(levels) + 1, code) + levels
    return acn(4, 2, b"Desk A".ljust(64, b"\0") + pack(">BHBBH", 100, 0, seq, options, 7) + dmp)


LEVELS = bytes(11) + b"\xff" + bytes(500)
sample("sacn-data", sacn(LEVELS, 41), 5568, "acn", "--enable-heuristic", "acn")
sample("sacn-terminated", sacn(bytes(24), 42, 0x40), 5568, "acn", "--enable-heuristic", "acn")
sample("sacn-sync", acn(8, 1, pack(">BHH", 3, 7, 0)), 5568, "udp")
sample("sacn-discovery", acn(8, 2, b"Desk A".ljust(64, b"\0") + bytes(4) + pack(">HIBBHHH", 0x7000 | 14, 1, 0, 0, 1, 7, 300)), 5568, "udp")
sample("artnet-dmx", b"Art-Net\0" + pack("<H", 0x5000) + pack(">HBB", 14, 9, 0) + b"\x01\x00" + pack(">H", 512) + LEVELS, 6454, "artnet")
sample("artnet-poll", b"Art-Net\0" + pack("<H", 0x2000) + pack(">HBB", 14, 2, 0x10), 6454, "artnet")
sample("artnet-reply", b"Art-Net\0" + pack("<H", 0x2100) + bytes([10, 0, 0, 5]) + pack("<H", 6454) + bytes(10)
       + b"node".ljust(18, b"\0") + b"A node in a corner".ljust(64, b"\0") + b"#0001 [0000] ok".ljust(64, b"\0") + bytes(67), 6454, "artnet")
sample("artnet-timecode", b"Art-Net\0" + pack("<H", 0x9700) + pack(">HBB", 14, 0, 0) + bytes([24, 59, 30, 1, 1]), 6454, "artnet")
sample("pathport-reply", pack(">HHHHIII", 0xED01, 0x0200, 1, 0, 0, 0x0A000007, 0xEFFFEDFF)
       + pack(">HHI", 0x0302, 12, 0x0A000007) + bytes([10, 0, 0, 7, 0, 1, 40, 1]), 3792, "pathport")
sample("pathport-data", pack(">HHHHIII", 0xED01, 0x0200, 513, 0, 0, 0x0A000007, 0xEFFF0001)
       + pack(">HH", 0x0100, 8) + pack(">HHHH", 0x0101, 2, 0, 0) + b"\xff\x80\0\0", 3792, "pathport")

# --- KNXnet/IP --------------------------------------------------------------------------------
def knx(service, body):
    return pack(">BBHH", 6, 0x10, service, len(body) + 6) + body


sample("knx-write", knx(0x0530, bytes.fromhex("2900bce01101") + pack(">H", 1 << 11 | 2 << 8 | 3) + b"\x01\x00\x81"), 3671, "cemi")
sample("knx-write-long", knx(0x0530, bytes.fromhex("290403020102bce01105") + pack(">H", 0 << 11 | 1 << 8 | 200) + b"\x03\x00\x80\x0c\x1a"), 3671, "cemi")
sample("knx-lost", knx(0x0531, bytes([4, 0, 0, 12])), 3671, "kip")
sample("knx-busy", knx(0x0532, bytes([6, 0, 0, 100, 0, 0])), 3671, "kip")
sample("knx-search", knx(0x0201, bytes([8, 1, 10, 0, 0, 9, 0x0E, 0x57])), 3671, "kip")

# --- CoAP, MoldUDP64 --------------------------------------------------------------------------
sample("coap-get", bytes([0x52, 0x01]) + pack(">H", 4660) + b"\xca\xfe" + b"\xbb.well-known" + b"\x04core" + b"\x47rt=temp", 5683, "coap")
sample("coap-content", bytes([0x60, 0x45]) + pack(">H", 4661) + b"\x61\x0c" + b"\x60" + b"\xff21.5", 5683, "coap")
sample("moldudp64-data", b"ABCD000001" + pack(">QH", 12345, 2) + pack(">H", 5) + b"Sabcd" + pack(">H", 3) + b"Axy", 26400, "moldudp64",
       "-d", "udp.port==26400,moldudp64")
sample("moldudp64-heartbeat", b"ABCD000001" + pack(">QH", 12347, 0), 26400, "moldudp64", "-d", "udp.port==26400,moldudp64")

# --- Lines ------------------------------------------------------------------------------------
sample("syslog-5424", b'<34>1 2026-10-11T22:14:15.003Z mymachine.example.com su - ID47 [a@1 x="]"][b@1 y="\\""] \'su root\' failed', 514, "syslog")
sample("syslog-3164", b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick\n", 514, "syslog")
sample("syslog-bare", b"<13>something happened", 514, "syslog")
sample("statsd-metrics", b"api.hits:1|c|@0.1\napi.time:320|ms|#region:eu,host:a\ntemp:-3.5|g\n", 8125, "udp")
GLL = b"GPGLL,4916.45,N,12311.12,W,225444,A"
SUM = 0
for c in GLL:
    SUM ^= c
sample("nmea-gll", b"$" + GLL + b"*%02X\r\n" % SUM, 10110, "udp")
sample("nmea-450", b"UdPbC\0\\s:GP0001,n:7*1A\\$" + GLL + b"*%02X\r\n" % (SUM ^ 1), 60002, "udp")

# --- CBOR (RFC 8949 appendix A has the parts) --------------------------------------------------
sample("cbor-map", bytes.fromhex("a4" "626964" "07" "6474656d70" "f94d60" "64756e6974" "6143" "6474616773" "9f6161c102ff"), 9999, "udp")
sample("cbor-described", bytes.fromhex("d9d9f7" "83010203"), 9999, "udp")

# --- Clusters and machines --------------------------------------------------------------------
def xdr(text):
    return pack(">I", len(text)) + text + bytes(-len(text) % 4)


sample("ganglia-load", pack(">I", 134) + xdr(b"host1") + xdr(b"load_one") + pack(">I", 0) + xdr(b"%.2f") + pack(">f", 0.42), 8649, "udp")
sample("ganglia-request", pack(">I", 136) + xdr(b"host1") + xdr(b"cpu") + pack(">I", 0), 8649, "udp")
sample("totem-join", pack("<HBBBII", 0xC070, 3, 3, 0, 2, 0) + bytes(20), 5405, "udp")
sample("hazelcast-join", b"\x04\0\0\0\x01\xff\xfe\0\0\0\x03dev\0\0\0\x0b192.168.1.7\0\0\x16\x45", 54327, "udp")
sample("lcm-short", b"LC02" + pack(">I", 77) + b"POSE\0" + bytes(12), 7667, "udp")
sample("lcm-first", b"LC03" + pack(">IIIHH", 78, 3000, 0, 0, 3) + b"IMAGE\0" + bytes(30), 7667, "udp")
sample("lcm-later", b"LC03" + pack(">IIIHH", 78, 3000, 1000, 1, 3) + bytes(30), 7667, "udp")
def mavlink(head, payload, extra):
    crc = 0xFFFF
    for c in head[1:] + payload + bytes([extra]):
        t = (c ^ crc) & 0xFF
        t = (t ^ t << 4) & 0xFF
        crc = (crc >> 8 ^ t << 8 ^ t << 3 ^ t >> 4) & 0xFFFF
    return head + payload + pack("<H", crc)


# The extra byte of a message comes from its definition: 50 for HEARTBEAT, 39 for ATTITUDE.
sample("mavlink-v1", mavlink(bytes([0xFE, 9, 5, 1, 1, 0]), bytes.fromhex("000000000203510403"), 50), 14550, "udp")
sample("mavlink-v2-two", mavlink(bytes([0xFD, 3, 0, 0, 6, 1, 1, 30, 0, 0]), bytes(3), 39) * 2, 14550, "udp")

# --- Marks ------------------------------------------------------------------------------------
sample("sood-query", b"SOOD\x02Q" + b"\x10query_service_id" + pack(">H", 8) + b"00720724" + b"\x04_tid" + pack(">H", 2) + b"ab", 9003, "udp")
sample("sma-meter", b"SMA\0" + bytes.fromhex("000402a000000001") + pack(">HHHHII", 24, 0x10, 0x6069, 349, 1901234567, 5000)
       + bytes.fromhex("00010400" "00000ed8" "00000000"), 9522, "udp")
sample("minecraft-game", b"[MOTD]A game[/MOTD][AD]52130[/AD]", 4445, "udp")
sample("xplane-beacon", b"BECN\0" + pack("<BBiiIH", 1, 2, 1, 120106, 1, 49000) + b"pilot\0", 49707, "udp")
sample("sadp-probe", b'<?xml version="1.0" encoding="utf-8"?><Probe><Uuid>13A888A9-F1B1-4020-AE9F-05607682D23B</Uuid><Types>inquiry</Types></Probe>', 37020, "udp")

# --- Routers ----------------------------------------------------------------------------------
sample("hsrp-v1-hello", bytes([0, 0, 16, 3, 10, 110, 1, 0]) + b"cisco\0\0\0" + bytes([10, 0, 0, 1]), 1985, "hsrp")
sample("hsrp-v2-hello", bytes([1, 40, 2, 0, 6, 4]) + pack(">H", 20) + bytes.fromhex("001122334455") + pack(">III", 120, 3000, 10000)
       + bytes([10, 0, 20, 1]).ljust(16, b"\0"), 1985, "udp")
sample("glbp-hello", bytes([1, 0]) + pack(">HH", 5, 0) + bytes.fromhex("001122334455") + bytes([1, 28, 0, 32, 0, 100, 0, 0]) + bytes(20), 3222, "glbp")
sample("rip-request", bytes([1, 2, 0, 0]) + pack(">HHIIII", 0, 0, 0, 0, 0, 16), 520, "rip")
sample("rip-response", bytes([2, 2, 0, 0]) + pack(">HHIIII", 2, 0, 0x0A010000, 0xFFFF0000, 0, 1)
       + pack(">HHIIII", 2, 0, 0x0A020000, 0xFFFFFF00, 0, 16), 520, "rip")
V6NET = bytes.fromhex("20010db8000100000000000000000000")
LINK = bytes.fromhex("fe80000000000000021dc1fffe123456")
sample("ripng-request", bytes([1, 1, 0, 0]) + bytes(16) + pack(">HBB", 0, 0, 16), 521, "ripng")
sample("ripng-response", bytes([2, 1, 0, 0]) + V6NET + pack(">HBB", 7, 48, 2) + LINK + pack(">HBB", 0, 0, 255)
       + V6NET[:6] + b"\0\2" + bytes(8) + pack(">HBB", 0, 64, 16), 521, "ripng")


def tlv(kind, value):
    return bytes([kind, len(value)]) + value


def babel(*tlvs):
    body_ = b"".join(tlvs)
    return pack(">BBH", 42, 2, len(body_)) + body_


sample("babel-hello", babel(tlv(4, pack(">HHH", 0, 4711, 400)), tlv(5, pack(">BBHH", 3, 0, 256, 1200) + LINK[8:]), b"\0", tlv(1, bytes(2))), 6696, "babel")
sample("babel-update", babel(tlv(6, bytes(2) + LINK[8:]), tlv(7, bytes([3, 0]) + LINK[8:]), tlv(8, pack(">BBBBHHH", 2, 0, 48, 0, 1600, 9, 96) + V6NET[:6]),
                             tlv(8, pack(">BBBBHHH", 1, 0, 24, 0, 1600, 9, 0xFFFF) + bytes([10, 1, 2])), tlv(9, bytes([0, 0]))), 6696, "babel")


# --- IP packets (RFC 791, 8200), with IGMP (RFC 9776) and MLD (RFC 9777) ------------------------
PACKETS = {}  # name -> (packet, tshark's protocol)


def inet_sum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(proto, dst, body, ttl=1, tos=0, ident=0, frag=0, options=b"", src=bytes([10, 0, 0, 1])):
    head = pack(">BBHHHBBH", 0x45 + len(options) // 4, tos, 20 + len(options) + len(body), ident, frag, ttl, proto, 0) + src + dst + options
    return head[:10] + pack(">H", inet_sum(head)) + head[12:] + body


def ipv6(nxt, src, dst, body, hops=1, tc=0):
    return pack(">IHBB", 6 << 28 | tc << 20, len(body), nxt, hops) + src + dst + body


def with_sum(body, at, pseudo=b""):
    return body[:at] + pack(">H", inet_sum(pseudo + body)) + body[at + 2:]


def udp(sport, dport, data, src, dst):
    body = pack(">HHHH", sport, dport, 8 + len(data), 0) + data
    return with_sum(body, 6, src + dst + pack(">HH", 17, len(body)))


A, G = bytes([10, 0, 0, 1]), bytes([239, 1, 1, 1])
LL = bytes.fromhex("fe80000000000000021dc1fffe123456")
ALL, G6 = bytes.fromhex("ff020000000000000000000000000016"), bytes.fromhex("ff3e0000000000000000000000001234")
ALERT = bytes([0x94, 4, 0, 0])
WHOLE = udp(5004, 8888, bytes(range(256)) * 5, A, G)
PACKETS["ipv4-udp"] = (ipv4(17, G, udp(40000, 9999, b"hello", A, G), ttl=8, tos=0xB8), "udp")
PACKETS["ipv4-first-fragment"] = (ipv4(17, G, WHOLE[:800], ident=0x1234, frag=0x2000), "ip")
PACKETS["ipv4-later-fragment"] = (ipv4(17, G, WHOLE[800:], ident=0x1234, frag=100), "ip")
PACKETS["ipv6-udp"] = (ipv6(17, LL, G6, udp(40000, 9999, b"hello", LL, G6), hops=64, tc=0xB8), "udp")
PACKETS["ipv6-fragment"] = (ipv6(60, LL, G6, bytes([44, 0, 1, 4, 0, 0, 0, 0]) + bytes([17, 0]) + pack(">HI", 1, 0xDEADBEEF)
                                 + udp(40000, 9999, bytes(1000), LL, G6)[:64]), "ipv6")
ALL4, V3 = bytes([224, 0, 0, 1]), bytes([224, 0, 0, 22])
PACKETS["igmp-v1-query"] = (ipv4(2, ALL4, with_sum(bytes([0x11, 0, 0, 0]) + bytes(4), 2)), "igmp")
PACKETS["igmp-v2-query"] = (ipv4(2, G, with_sum(bytes([0x11, 10, 0, 0]) + G, 2), options=ALERT), "igmp")
PACKETS["igmp-v2-report"] = (ipv4(2, G, with_sum(bytes([0x16, 0, 0, 0]) + G, 2), options=ALERT), "igmp")
PACKETS["igmp-v2-leave"] = (ipv4(2, bytes([224, 0, 0, 2]), with_sum(bytes([0x17, 0, 0, 0]) + G, 2), options=ALERT), "igmp")
PACKETS["igmp-v3-query"] = (ipv4(2, ALL4, with_sum(bytes([0x11, 0x8A, 0, 0]) + bytes(4) + bytes([0x0A, 0x8F, 0, 0]), 2), options=ALERT), "igmp")
S1, S2, SSM = bytes([10, 1, 1, 1]), bytes([10, 1, 1, 2]), bytes([232, 1, 1, 1])
PACKETS["igmp-v3-source-query"] = (ipv4(2, SSM, with_sum(bytes([0x11, 10, 0, 0]) + SSM + bytes([2, 125, 0, 2]) + S1 + S2, 2), options=ALERT), "igmp")
PACKETS["igmp-v3-report"] = (ipv4(2, V3, with_sum(pack(">BBHHH", 0x22, 0, 0, 0, 3) + bytes([4, 0, 0, 0]) + G
                                                  + bytes([1, 1, 0, 2]) + SSM + S1 + S2 + b"AUX!" + bytes([3, 0, 0, 0]) + bytes([239, 9, 9, 9]), 2),
                                  tos=0xC0, options=ALERT), "igmp")
HBH = bytes([58, 0, 5, 2, 0, 0, 1, 0])


def mld(dst, body):
    body = with_sum(body, 2, LL + dst + pack(">II", len(body), 58))
    return ipv6(0, LL, dst, HBH + body)


PACKETS["mld-v1-report"] = (mld(G6, bytes([131, 0, 0, 0, 0, 0, 0, 0]) + G6), "icmpv6")
PACKETS["mld-v1-done"] = (mld(bytes.fromhex("ff020000000000000000000000000002"), bytes([132, 0, 0, 0, 0, 0, 0, 0]) + G6), "icmpv6")
PACKETS["mld-v1-query"] = (mld(bytes.fromhex("ff020000000000000000000000000001"), bytes([130, 0, 0, 0]) + pack(">HH", 10000, 0) + bytes(16)), "icmpv6")
PACKETS["mld-v2-query"] = (mld(G6, bytes([130, 0, 0, 0]) + pack(">HH", 0x8123, 0) + G6 + bytes([2, 125, 0, 1]) + LL), "icmpv6")
PACKETS["mld-v2-report"] = (mld(ALL, pack(">BBHHH", 143, 0, 0, 0, 2) + bytes([4, 0, 0, 0]) + G6 + bytes([6, 0, 0, 1]) + G6 + LL), "icmpv6")
PIM_JOIN = bytes([1, 0, 10, 0, 0, 2, 0, 2, 0, 210]) + bytes([1, 0, 0, 32]) + G + pack(">HH", 1, 0) + bytes([1, 0, 4, 32, 10, 9, 9, 9]) \
    + bytes([1, 0, 0, 32]) + SSM + pack(">HH", 0, 1) + bytes([1, 0, 4, 32, 10, 1, 1, 1])
PIMS, OSPFS = bytes([224, 0, 0, 13]), bytes([224, 0, 0, 5])
PACKETS["pim-hello"] = (ipv4(103, PIMS, with_sum(bytes([0x20, 0, 0, 0]) + pack(">HHHHHIHHI", 1, 2, 105, 19, 4, 1, 20, 4, 0xCAFE0001), 2)), "pim")
PACKETS["pim-join-prune"] = (ipv4(103, PIMS, with_sum(bytes([0x23, 0, 0, 0]) + PIM_JOIN, 2)), "pim")
PACKETS["ospf-hello"] = (ipv4(89, OSPFS, with_sum(pack(">BBHIIHHQ", 2, 1, 48, 0x01010101, 0, 0, 0, 0)
                              + pack(">IHBBIIII", 0xFFFFFF00, 10, 2, 1, 40, 0x0A000001, 0, 0x02020202), 12)), "ospf")
PACKETS["vrrp-v3"] = (ipv4(112, bytes([224, 0, 0, 18]), with_sum(bytes([0x31, 7, 200, 1]) + pack(">HH", 100, 0) + bytes([10, 0, 0, 254]), 6,
                           A + bytes([224, 0, 0, 18]) + pack(">HH", 112, 12)), ttl=255), "vrrp")
PACKETS["eigrp-hello"] = (ipv4(88, bytes([224, 0, 0, 10]), with_sum(pack(">BBHIIIHH", 2, 5, 0, 0, 0, 0, 0, 100)
                               + pack(">HHBBBBBBH", 1, 12, 1, 0, 1, 0, 0, 0, 15), 2), ttl=2), "eigrp")


# --- Sequences of payloads, as tests/fuzz/sequence.rs reads them ---------------------------------
def said(payload, ms=7):
    return bytes([len(payload), ms]) + payload


def counted(n, place=8, step=1):
    return b"".join(bytes([255, min(200, n - i), place, step]) for i in range(0, n, 200))


HEAD = bytes.fromhex("6d1ec70093a855f2") + pack(">I", 1000) + bytes.fromhex("d00df00d77310c")
SEQUENCES = {
    # A counter of four bytes at 8, with 3 lost and one twice.
    "counter-lost": b"\0" + said(HEAD) + counted(700) + counted(1, step=4) + counted(1, step=0) + counted(300),
    "counter-step-4": b"\0" + said(HEAD) + counted(600, step=4),
    "counter-carries": b"\0" + said(HEAD[:8] + pack(">I", 0xFF80) + HEAD[12:]) + counted(900),
    "counter-breaks": b"\0" + said(HEAD) + counted(200) + b"".join(said(bytes((i * k * 77 + k) & 0xFF for k in range(20))) for i in range(40)),
    "constant": b"\0" + said(HEAD) + counted(600, step=0),
    "pinned": b"\x04\x08\x03" + said(HEAD) + counted(100) + counted(2, step=9) + counted(50),
    "switched-off": b"\x01" + said(HEAD) + counted(300),
    "rtp-restarts": b"\0" + said(bytes([0x80, 96, 0xFF, 0xF0]) + bytes(8) + b"media") + counted(60, place=0)
    + said(bytes([0x80, 96, 0, 9]) + bytes(8) + b"again") + counted(60, place=0),
    "transport-stream": b"\0" + b"".join(said(bytes([0x47, 1, 0, 0x10 | i & 15]) + bytes([i]) * 184) for i in range(30) if i != 9),
    "ends-in-the-middle": b"\0" + said(HEAD)[:9],
}


def fragments(name_):
    packet = PACKETS[name_][0]
    return pack(">H", len(packet)) + packet


FRAGMENTS = {
    "ipv4-in-order": fragments("ipv4-first-fragment") + fragments("ipv4-later-fragment"),
    "ipv4-turned-round": fragments("ipv4-later-fragment") + fragments("ipv4-first-fragment"),
    "ipv4-twice": fragments("ipv4-first-fragment") * 2 + fragments("ipv4-later-fragment") * 2,
    "ipv6-part": fragments("ipv6-fragment") * 3,
    "whole-ones": fragments("ipv4-udp") + fragments("ipv6-udp"),
}


def check_packets():
    bad = 0
    for n, (packet, want) in PACKETS.items():
        with tempfile.TemporaryDirectory() as d:
            text, pcap = os.path.join(d, "t"), os.path.join(d, "p")
            with open(text, "w") as f:
                for i in range(0, len(packet), 16):
                    f.write("%06x %s\n" % (i, packet[i:i + 16].hex(" ")))
            subprocess.run(["text2pcap", "-q", "-l", "101", text, pcap], check=True, capture_output=True)
            sums = [x for o in ("ip", "udp") for x in ("-o", o + ".check_checksum:TRUE")]
            got = subprocess.run(["tshark", "-n", "-r", pcap, "-V", *sums], capture_output=True, text=True).stdout
            ok = "Protocols in frame: " in got and want in got.split("Protocols in frame: ")[1].split("]")[0].split(":") \
                and "alformed" not in got and "incorrect" not in got and "[Checksum Status: Bad]" not in got
            bad += not ok
            print("ok  " if ok else "BAD ", n, len(packet))
            if len(sys.argv) > 2 and sys.argv[2] in n:
                print(got)
    return bad


def source_port(n, port):
    return port if n[:4] in ("hsrp", "glbp") else 40000


def capture(path):
    """From 10.0.0.1 to 239.1.1.1, or to the group without which tshark does not look."""
    groups = {"hsrp-v1": [224, 0, 0, 2], "hsrp-v2": [224, 0, 0, 102], "glbp-he": [224, 0, 0, 102]}
    with open(path, "wb") as f:
        f.write(pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for i, (n, (payload, port, *_)) in enumerate(sorted(SAMPLES.items())):
            length = 28 + len(payload)
            head = pack(">BBHHHBBH", 0x45, 0, length, i, 0, 1, 17, 0) + bytes([10, 0, 0, 1] + groups.get(n[:7], [239, 1, 1, 1]))
            head = with_sum(head, 10)
            udp = pack(">HHHH", source_port(n, port), port, 8 + len(payload), 0) + payload
            f.write(pack("<IIII", 1_700_000_000, i * 1000, length, length) + head + udp)


def main():
    for n, (packet, _) in PACKETS.items():
        os.makedirs(os.path.join(HERE, "packet"), exist_ok=True)
        with open(os.path.join(HERE, "packet", n + ".bin"), "wb") as f:
            f.write(packet)
    for folder, all_ in (("sequence", SEQUENCES), ("fragments", FRAGMENTS)):
        os.makedirs(os.path.join(HERE, folder), exist_ok=True)
        for n, content in all_.items():
            with open(os.path.join(HERE, folder, n + ".bin"), "wb") as f:
                f.write(content)
    os.makedirs(OUT, exist_ok=True)
    for n, (payload, *_) in SAMPLES.items():
        with open(os.path.join(OUT, n + ".bin"), "wb") as f:
            f.write(payload)
    if sys.argv[1:2] == ["capture"]:
        capture(sys.argv[2])
    if sys.argv[1:2] == ["check"]:
        bad = check_packets()
        for n, (payload, port, want, options) in SAMPLES.items():
            with tempfile.TemporaryDirectory() as d:
                text, pcap = os.path.join(d, "t"), os.path.join(d, "p")
                with open(text, "w") as f:
                    for i in range(0, len(payload), 16):
                        f.write("%06x %s\n" % (i, payload[i:i + 16].hex(" ")))
                subprocess.run(["text2pcap", "-q", "-4", "10.0.0.1,224.0.0.2", "-u", "%d,%d" % (source_port(n, port), port), text, pcap], check=True, capture_output=True)
                got = subprocess.run(["tshark", "-n", "-r", pcap, "-T", "fields", "-e", "frame.protocols", "-e", "_ws.malformed", *options],
                                     capture_output=True, text=True).stdout.strip()
                ok = want in got.split("\t")[0].split(":") and "alformed" not in got
                bad += not ok
                print("ok  " if ok else "BAD ", n, len(payload), got)
                if len(sys.argv) > 2 and sys.argv[2] in n:
                    print(subprocess.run(["tshark", "-n", "-V", "-r", pcap, *options], capture_output=True, text=True).stdout)
        sys.exit(bad > 0)


main()
