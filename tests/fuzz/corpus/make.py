#!/usr/bin/env python3
"""Builds the sample payloads beside this file, one file each: ID-WHAT.bin, where ID is the protocol.

The bytes come from the standards, written here a second time and in another language, so that the
parsers are not tested against themselves. `make.py check` wraps them in UDP with text2pcap and has
tshark name and dissect each one; `make.py check WORD` prints the dissection of those named so.
"""
import os, struct, subprocess, sys, tempfile
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

#MORE


def main():
    os.makedirs(OUT, exist_ok=True)
    for n, (payload, *_) in SAMPLES.items():
        with open(os.path.join(OUT, n + ".bin"), "wb") as f:
            f.write(payload)
    if sys.argv[1:2] == ["check"]:
        bad = 0
        for n, (payload, port, want, options) in SAMPLES.items():
            with tempfile.TemporaryDirectory() as d:
                text, pcap = os.path.join(d, "t"), os.path.join(d, "p")
                with open(text, "w") as f:
                    for i in range(0, len(payload), 16):
                        f.write("%06x %s\n" % (i, payload[i:i + 16].hex(" ")))
                subprocess.run(["text2pcap", "-q", "-u", "40000,%d" % port, text, pcap], check=True, capture_output=True)
                got = subprocess.run(["tshark", "-n", "-r", pcap, "-T", "fields", "-e", "frame.protocols", "-e", "_ws.malformed", *options],
                                     capture_output=True, text=True).stdout.strip()
                ok = want in got.split("\t")[0].split(":") and "alformed" not in got
                bad += not ok
                print("ok  " if ok else "BAD ", n, len(payload), got)
                if len(sys.argv) > 2 and sys.argv[2] in n:
                    print(subprocess.run(["tshark", "-n", "-V", "-r", pcap, *options], capture_output=True, text=True).stdout)
        sys.exit(bad > 0)


main()
