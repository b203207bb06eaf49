#!/usr/bin/env python3
"""Keeps of each flow (sender, destination, ports) of a capture the first packets: thin.py IN OUT [N]."""
import struct, sys

source, target = sys.argv[1:3]
keep = int(sys.argv[3]) if len(sys.argv) > 3 else 16
b = open(source, "rb").read()
out, at, seen = [b[:24]], 24, {}
while at + 16 <= len(b):
    n = struct.unpack_from("<I", b, at + 8)[0]
    frame = b[at + 16 : at + 16 + n]
    ip = frame[14:]
    if ip[0] >> 4 == 4:
        udp = (ip[0] & 15) * 4
        flow = ip[12:20] + ip[udp : udp + 4]
    else:
        flow = ip[8:40] + ip[40:44]
    seen[flow] = seen.get(flow, 0) + 1
    if seen[flow] <= keep:
        out.append(b[at : at + 16 + n])
    at += 16 + n
open(target, "wb").write(b"".join(out))
print(f"{target}: {len(out) - 1} packets of {len(seen)} flows")
