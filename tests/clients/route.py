#!/usr/bin/env python3
"""Drives an agent with finsy, a P4Runtime client that shares no code with this project.

    route.py AGENT_ADDRESS PROGRAM_DIRECTORY HOST_INTERFACE_1 HOST_INTERFACE_2

It becomes primary of device 1, sets the pipeline, makes port 1 and port 2 router ports, adds an
IPv4 and an IPv6 route that leave by port 2, reads them back, and then sends a packet for each
into port 1 (by the interface at its other end) and waits for what comes out of port 2. Last, a
packet-out leaves by port 2. Exits 0 only if all of it happened. Run by the test
`an_independent_client_programs_a_route` of the agent, in a network namespace.
"""

import asyncio
import ipaddress
import socket
import struct
import sys
import time
from pathlib import Path

import finsy as fy

ROUTER_MAC = "02:00:00:00:01:01"
HOST1_MAC = "02:00:00:00:00:01"
HOST2_MAC = "02:00:00:00:00:02"
ETH_P_ALL = 0x0003
# Not the loopback of what this end itself sends.
PACKET_OUTGOING = 4


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def checksum(header: bytes) -> int:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4_frame(eth_src: str, eth_dst: str, src: str, dst: str, ttl: int, payload: bytes) -> bytes:
    """UDP without a checksum, port 7 to 7."""
    udp = struct.pack("!HHHH", 7, 7, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(src) + socket.inet_aton(dst)
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(udp), 1, 0, ttl, 17)
    header = start + struct.pack("!H", checksum(start + b"\0\0" + addresses)) + addresses
    return mac(eth_dst) + mac(eth_src) + b"\x08\x00" + header + udp


def ipv6_frame(eth_src: str, eth_dst: str, src: str, dst: str, hops: int, payload: bytes) -> bytes:
    """Payload without an upper protocol (next header 59)."""
    addresses = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    header = struct.pack("!IHBB", 6 << 28, len(payload), 59, hops) + addresses
    return mac(eth_dst) + mac(eth_src) + b"\x86\xdd" + header + payload


def raw_socket(interface: str) -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.bind((interface, 0))
    return raw


def expect_frame(raw: socket.socket, frame: bytes, seconds: float = 3.0) -> None:
    """Waits for exactly these bytes."""
    deadline = time.monotonic() + seconds
    others = []
    while (left := deadline - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            data, address = raw.recvfrom(65536)
        except TimeoutError:
            break
        if address[2] == PACKET_OUTGOING:
            continue
        if data == frame:
            return
        others.append(data.hex())
    seen = "\n  ".join(others) or "nothing"
    raise SystemExit(f"expected on {raw.getsockname()[0]}:\n  {frame.hex()}\nand saw:\n  {seen}")


def wait_for_agent(address: str, seconds: float = 10.0) -> None:
    host, port = address.rsplit(":", 1)
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"no agent at {address}: {error}") from error
            time.sleep(0.05)


ENTRIES = [
    fy.P4TableEntry(
        "ingress_port_vlan",
        match=fy.Match(ingress_port=1, vlan_id=0),
        action=fy.Action("permit_with_internal_vlan", vlan_id=10),
    ),
    fy.P4TableEntry("router_mac", match=fy.Match(ingress_port=1, eth_dst=ROUTER_MAC), action=fy.Action("route")),
    fy.P4TableEntry(
        "simple",
        match=fy.Match(next_id=1),
        action=fy.Action("routing_simple", port=2, src_mac=ROUTER_MAC, dst_mac=HOST2_MAC),
    ),
    fy.P4TableEntry(
        "routing_v4",
        match=fy.Match(ipv4_dst="10.0.2.0/24"),
        action=fy.Action("set_next_id_routing_v4", next_id=1),
    ),
    fy.P4TableEntry(
        "routing_v6",
        match=fy.Match(ipv6_dst="2001:db8:2::/48"),
        action=fy.Action("set_next_id_routing_v6", next_id=1),
    ),
]


async def main() -> None:
    address, program, interface1, interface2 = sys.argv[1:]
    options = fy.SwitchOptions(
        p4info=Path(program) / "p4info.txtpb",
        p4blob=Path(program) / "bmv2.json",
        device_id=1,
    )
    wait_for_agent(address)
    host1, host2 = raw_socket(interface1), raw_socket(interface2)

    async with fy.Switch("sw1", address, options) as switch:
        await switch.insert(ENTRIES)

        routes = [entry async for entry in switch.read(fy.P4TableEntry("routing_v4"))]
        assert len(routes) == 1, f"one IPv4 route was written and {len(routes)} are read: {routes}"

        for frame, ttl_in, ttl_out, src, dst in [
            (ipv4_frame, 64, 63, "10.0.1.1", "10.0.2.2"),
            (ipv6_frame, 64, 63, "2001:db8:1::1", "2001:db8:2::2"),
        ]:
            host1.send(frame(HOST1_MAC, ROUTER_MAC, src, dst, ttl_in, b"routed by an entry of finsy"))
            expect_frame(host2, frame(ROUTER_MAC, HOST2_MAC, src, dst, ttl_out, b"routed by an entry of finsy"))

        out = ipv4_frame(HOST1_MAC, HOST2_MAC, "10.0.1.1", "10.0.2.2", 5, b"a packet-out of finsy")
        await switch.write(fy.P4PacketOut(out, egress_port=2, through_pipeline=0, padding=0))
        expect_frame(host2, out)

        # Without the route there is no forwarding: it was the entry that did it.
        await switch.delete([ENTRIES[3]])
        host1.send(ipv4_frame(HOST1_MAC, ROUTER_MAC, "10.0.1.1", "10.0.2.2", 64, b"no route"))
        host1.send(ipv6_frame(HOST1_MAC, ROUTER_MAC, "2001:db8:1::1", "2001:db8:2::2", 64, b"last"))
        expect_frame(host2, ipv6_frame(ROUTER_MAC, HOST2_MAC, "2001:db8:1::1", "2001:db8:2::2", 63, b"last"))

    print("finsy set the pipeline, wrote and read entries, and packets followed them")


asyncio.run(main())
