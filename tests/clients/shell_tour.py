#!/usr/bin/env python3
"""Takes p4runtime-shell, which shares no code with this project, through what it can do to a switch.

    shell_tour.py ADDRESS HOST_INTERFACE_1 HOST_INTERFACE_2 HOST_INTERFACE_3

The address is an agent of device 1; the interfaces are the other ends of its ports 1 to 3. The program
is tour/tour.p4. Exits 0 only if every scene went as its description says. Run in a network namespace
by the tests in agent/tests/independent_clients.rs.
"""

import sys
from pathlib import Path

import p4runtime_sh.shell as sh
from p4runtime_sh.p4runtime import P4RuntimeWriteException

from frames import expect_frame, expect_nothing, frame, ipv4_frame, raw_socket, wait_for_agent

TOUR = Path(__file__).parent / "tour"
H1, H2, H3 = (f"02:00:00:00:00:0{n}" for n in (1, 2, 3))
ROUTER = "02:00:00:00:00:ff"
FLOOD = "ff:ff:ff:ff:ff:ff"
CPU_PORT = 255


class Wires:
    """The hosts' ends of the ports."""

    def __init__(self, interfaces: list[str]):
        self.h1, self.h2, self.h3 = (raw_socket(interface) for interface in interfaces)


def host(mac: str, action: str, **params: str) -> sh.TableEntry:
    entry = sh.TableEntry("TourIngress.hosts")(action=f"TourIngress.{action}")
    entry.match["hdr.ethernet.dst"] = mac
    for name, value in params.items():
        entry.action[name] = value
    return entry


def acl(eth_type: str, action: str, priority: int, **params: str) -> sh.TableEntry:
    entry = sh.TableEntry("TourIngress.acl")(action=f"TourIngress.{action}", priority=priority)
    entry.match["hdr.ethernet.type"] = f"{eth_type}&&&0xffff"
    for name, value in params.items():
        entry.action[name] = value
    return entry


def read(entity) -> list:
    return list(entity.read())


def tables(wires: Wires) -> None:
    """Entries are inserted, read, modified and deleted, and a wrong one is refused."""
    entry = host(H2, "forward", port="2")
    entry.insert()
    (seen,) = read(sh.TableEntry("TourIngress.hosts"))
    assert seen.match["hdr.ethernet.dst"].exact.value == bytes.fromhex(H2.replace(":", "")), seen
    bridged = frame(H1, H2, b"bridged".ljust(60))
    wires.h1.send(bridged)
    expect_frame(wires.h2, bridged)
    entry.action["port"] = "3"
    entry.modify()
    wires.h1.send(bridged)
    expect_frame(wires.h3, bridged)
    try:
        entry.insert()
    except P4RuntimeWriteException as error:
        assert "ALREADY_EXISTS" in str(error), error
    else:
        raise AssertionError("an entry was inserted twice")
    entry.delete()
    wires.h1.send(bridged)
    expect_nothing(wires.h3)
    assert read(sh.TableEntry("TourIngress.hosts")) == []


def groups(wires: Wires) -> None:
    """A route leads to a member, to a group of members, and to one-shot actions."""
    host(ROUTER, "to_router").insert()
    for number, mac in ((2, H2), (3, H3)):
        member = sh.ActionProfileMember("TourIngress.next_hops")(
            member_id=number, action="TourIngress.next_hop"
        )
        member.action["port"] = str(number)
        member.action["dst"] = mac
        member.insert()
    group = sh.ActionProfileGroup("TourIngress.next_hops")(group_id=1)
    group.add(3, weight=2)
    group.insert()
    route = sh.TableEntry("TourIngress.routes")
    route.match["hdr.ipv4.dst"] = "10.0.2.0/24"
    route.group_id = 1
    route.insert()
    wires.h1.send(ipv4_frame(H1, ROUTER, "10.0.1.1", "10.0.2.2", 64, b"by a group"))
    expect_frame(wires.h3, ipv4_frame(H1, H3, "10.0.1.1", "10.0.2.2", 63, b"by a group"))
    group.clear()
    group.add(2, weight=1, watch_port=b"\x02")
    group.modify()
    (seen,) = read(sh.ActionProfileGroup("TourIngress.next_hops"))
    assert [member.member_id for member in seen.members] == [2], seen
    wires.h1.send(ipv4_frame(H1, ROUTER, "10.0.1.1", "10.0.2.2", 64, b"by a changed group"))
    expect_frame(wires.h2, ipv4_frame(H1, H2, "10.0.1.1", "10.0.2.2", 63, b"by a changed group"))
    assert len(read(sh.ActionProfileMember("TourIngress.next_hops"))) == 2
    route.delete()
    group.delete()
    for number in (2, 3):
        sh.ActionProfileMember("TourIngress.next_hops")(member_id=number).delete()

    one_shot = sh.TableEntry("TourIngress.routes")
    one_shot.match["hdr.ipv4.dst"] = "10.0.3.0/24"
    hop = sh.Action("TourIngress.next_hop")
    hop["port"] = "3"
    hop["dst"] = H3
    one_shot.oneshot.add(hop, weight=1)
    one_shot.insert()
    wires.h1.send(ipv4_frame(H1, ROUTER, "10.0.1.1", "10.0.3.3", 64, b"in one shot"))
    expect_frame(wires.h3, ipv4_frame(H1, H3, "10.0.1.1", "10.0.3.3", 63, b"in one shot"))
    one_shot.delete()
    host(ROUTER, "to_router").delete()


def counters_and_meters(wires: Wires) -> None:
    """Counters count what passes, and a meter stops what is too much."""
    host(H2, "forward", port="2").insert()
    cell = sh.CounterEntry("TourIngress.port_counter")(index=1)
    cell.packet_count = 0
    cell.byte_count = 0
    cell.modify()
    bridged = frame(H1, H2, b"counted".ljust(60))
    wires.h1.send(bridged)
    expect_frame(wires.h2, bridged)
    (seen,) = read(sh.CounterEntry("TourIngress.port_counter")(index=1))
    assert (seen.packet_count, seen.byte_count) == (1, len(bridged)), seen
    direct = sh.DirectCounterEntry("TourIngress.host_counter")
    direct.table_entry.match["hdr.ethernet.dst"] = H2
    (seen,) = read(direct)
    assert seen.packet_count == 1, seen

    meter = sh.MeterEntry("TourIngress.port_meter")(index=1)
    meter.cir, meter.cburst, meter.pir, meter.pburst = 1, 1, 1, 1
    meter.modify()
    (seen,) = read(sh.MeterEntry("TourIngress.port_meter")(index=1))
    assert (seen.cir, seen.pburst) == (1, 1), seen
    wires.h1.send(bridged)
    expect_frame(wires.h2, bridged)
    wires.h1.send(bridged)
    expect_nothing(wires.h2)
    meter = sh.MeterEntry("TourIngress.port_meter")(index=1)
    meter.clear_config()
    meter.modify()
    wires.h1.send(bridged)
    expect_frame(wires.h2, bridged)
    host(H2, "forward", port="2").delete()


def replication(wires: Wires) -> None:
    """A multicast group floods, and a clone session copies."""
    group = sh.MulticastGroupEntry(7)
    for port in (1, 2, 3):
        group.add(port, 1)
    group.insert()
    (seen,) = read(sh.MulticastGroupEntry(7))
    assert len(seen.replicas) == 3, seen
    host(FLOOD, "flood", group="7").insert()
    flooded = frame(H1, FLOOD, b"flooded".ljust(60))
    wires.h1.send(flooded)
    expect_frame(wires.h2, flooded)
    expect_frame(wires.h3, flooded)
    expect_nothing(wires.h1)

    session = sh.CloneSessionEntry(4)
    session.add(3, 1)
    session.insert()
    acl("0x88b8", "copy", 3, session="4").insert()
    host(H2, "forward", port="2").insert()
    copied = frame(H1, H2, b"copied".ljust(60), 0x88B8)
    wires.h1.send(copied)
    expect_frame(wires.h2, copied)
    expect_frame(wires.h3, copied)
    assert len(read(sh.CloneSessionEntry(4))) == 1
    acl("0x88b8", "copy", 3, session="4").delete()
    session.delete()
    host(H2, "forward", port="2").delete()
    host(FLOOD, "flood", group="7").delete()
    group.delete()


def packet_io(wires: Wires) -> None:
    """Packets go out by a port, and come in with their metadata."""
    out = sh.PacketOut()
    out.payload = frame(H1, H2, b"out".ljust(60))
    out.metadata["egress_port"] = "2"
    out.metadata["through_pipeline"] = "0"
    out.send()
    expect_frame(wires.h2, out.payload)

    acl("0x88b7", "acl_punt", 2, reason="6").insert()
    punted = frame(H1, H2, b"in".ljust(60), 0x88B7)
    wires.h1.send(punted)
    seen = []
    sh.PacketIn().sniff(seen.append, timeout=2)
    assert [message.packet.payload for message in seen] == [punted], seen
    metadata = [field.value for field in seen[0].packet.metadata]
    assert metadata == [b"\x01", b"\x06"], seen
    acl("0x88b7", "acl_punt", 2, reason="6").delete()


def digest_entries(_wires: Wires) -> None:
    """A digest is configured, read and removed."""
    entry = sh.DigestEntry("learned_t")
    entry.max_list_size = 5
    entry.max_timeout_ns = 1_000_000
    entry.ack_timeout_ns = 1_000_000_000
    entry.insert()
    (seen,) = read(sh.DigestEntry("learned_t"))
    assert seen.max_list_size == 5, seen
    entry.delete()


def main() -> None:
    address, *interfaces = sys.argv[1:]
    wait_for_agent(address)
    wires = Wires(interfaces)
    config = sh.FwdPipeConfig(str(TOUR / "p4info.txtpb"), str(TOUR / "bmv2.json"))
    sh.setup(device_id=1, grpc_addr=address, election_id=(0, 1), config=config, verbose=False)
    try:
        print(f"P4Runtime {sh.APIVersion()}")
        for scene in (tables, groups, counters_and_meters, replication, packet_io, digest_entries):
            scene(wires)
            print(scene.__doc__.splitlines()[0])
    finally:
        sh.teardown()


main()
