#!/usr/bin/env python3
"""Drives an agent with finsy, a P4Runtime client that shares no code with this project.

    route.py AGENT_ADDRESS PROGRAM_DIRECTORY HOST_INTERFACE_1 HOST_INTERFACE_2

It becomes primary of device 1, sets the pipeline, makes port 1 a router port, adds routes that leave
by port 2 and reads them back. Then it sends packets along them into port 1 (by the interface at
its other end) and waits for what comes out of port 2. A packet-out leaves by port 2, too; and
without its route a packet goes nowhere. Exits 0 only if all of it happened. Run in a network
namespace by the tests in agent/tests/independent_clients.rs.
"""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import finsy as fy

from frames import expect_frame, ipv4_frame, ipv6_frame, raw_socket, wait_for_agent

ROUTER_MAC = "02:00:00:00:01:01"
HOST1_MAC = "02:00:00:00:00:01"
HOST2_MAC = "02:00:00:00:00:02"


@dataclass
class Program:
    """How one pipeline is told to route what is for ROUTER_MAC on port 1 out of port 2, to HOST2_MAC."""

    # The last one is the IPv4 route.
    entries: list
    # What is routed: a function that makes a frame, source and destination.
    routed: list
    # The fields of its controller header for a packet that leaves by port 2.
    packet_out: dict


IPV4 = (ipv4_frame, "10.0.1.1", "10.0.2.2")
IPV6 = (ipv6_frame, "2001:db8:1::1", "2001:db8:2::2")

PROGRAMS = {
    "leaf_spine": Program(
        entries=[
            fy.P4TableEntry(
                "ingress_port_vlan",
                match=fy.Match(ingress_port=1, vlan_id=0),
                action=fy.Action("permit_with_internal_vlan", vlan_id=10),
            ),
            fy.P4TableEntry(
                "router_mac",
                match=fy.Match(ingress_port=1, eth_dst=ROUTER_MAC),
                action=fy.Action("route"),
            ),
            fy.P4TableEntry(
                "simple",
                match=fy.Match(next_id=1),
                action=fy.Action("routing_simple", port=2, src_mac=ROUTER_MAC, dst_mac=HOST2_MAC),
            ),
            fy.P4TableEntry(
                "routing_v6",
                match=fy.Match(ipv6_dst="2001:db8:2::/48"),
                action=fy.Action("set_next_id_routing_v6", next_id=1),
            ),
            fy.P4TableEntry(
                "routing_v4",
                match=fy.Match(ipv4_dst="10.0.2.0/24"),
                action=fy.Action("set_next_id_routing_v4", next_id=1),
            ),
        ],
        routed=[IPV6, IPV4],
        packet_out=dict(egress_port=2, through_pipeline=0, padding=0),
    ),
    # ONOS's fabric; it has no IPv6 routes.
    "onos-fabric": Program(
        entries=[
            fy.P4TableEntry(
                "ingress_port_vlan",
                match=fy.Match(ig_port=1, vlan_is_valid=0),
                action=fy.Action("permit_with_internal_vlan", vlan_id=10, port_type=1),
                priority=1,
            ),
            fy.P4TableEntry(
                "fwd_classifier",
                match=fy.Match(ig_port=1, eth_dst=ROUTER_MAC, ip_eth_type=0x0800),
                action=fy.Action("set_forwarding_type", fwd_type=2),
                priority=1,
            ),
            # A group of one, given in one shot.
            fy.P4TableEntry(
                "hashed",
                match=fy.Match(next_id=1),
                action=fy.IndirectAction(
                    [1 * fy.Action("routing_hashed", port_num=2, smac=ROUTER_MAC, dmac=HOST2_MAC)]
                ),
            ),
            fy.P4TableEntry(
                "egress_vlan",
                match=fy.Match(vlan_id=10, eg_port=2),
                action=fy.Action("pop_vlan"),
            ),
            fy.P4TableEntry(
                "routing_v4",
                match=fy.Match(ipv4_dst="10.0.2.0/24"),
                action=fy.Action("set_next_id_routing_v4", next_id=1),
            ),
        ],
        routed=[IPV4],
        packet_out=dict(egress_port=2, do_forwarding=0, _pad=0),
    ),
}


async def main() -> None:
    address, directory, interface1, interface2 = sys.argv[1:]
    program = PROGRAMS[Path(directory).name]
    options = fy.SwitchOptions(
        p4info=Path(directory) / "p4info.txtpb",
        p4blob=Path(directory) / "bmv2.json",
        device_id=1,
    )
    wait_for_agent(address)
    host1, host2 = raw_socket(interface1), raw_socket(interface2)

    async with fy.Switch("sw1", address, options) as switch:
        await switch.insert(program.entries)

        routes = [entry async for entry in switch.read(fy.P4TableEntry("routing_v4"))]
        assert len(routes) == 1, f"one IPv4 route was written and {len(routes)} are read: {routes}"

        for frame, src, dst in program.routed:
            host1.send(frame(HOST1_MAC, ROUTER_MAC, src, dst, 64, b"routed by an entry of finsy"))
            expect_frame(host2, frame(ROUTER_MAC, HOST2_MAC, src, dst, 63, b"routed by an entry of finsy"))

        out = ipv4_frame(HOST1_MAC, HOST2_MAC, "10.0.1.1", "10.0.2.2", 5, b"a packet-out of finsy")
        await switch.write(fy.P4PacketOut(out, **program.packet_out))
        expect_frame(host2, out)

        # Without the route there is no forwarding: it was the entry that did it.
        await switch.delete([program.entries[-1]])
        frame, src, dst = IPV4
        host1.send(frame(HOST1_MAC, ROUTER_MAC, src, dst, 64, b"no route"))
        await switch.insert([program.entries[-1]])
        host1.send(frame(HOST1_MAC, ROUTER_MAC, src, dst, 64, b"the route again"))
        expect_frame(host2, frame(ROUTER_MAC, HOST2_MAC, src, dst, 63, b"the route again"))

    print("finsy set the pipeline, wrote and read entries, and packets followed them")


asyncio.run(main())
