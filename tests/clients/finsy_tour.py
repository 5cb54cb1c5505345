#!/usr/bin/env python3
"""Takes finsy, a P4Runtime client that shares no code with this project, through all of P4Runtime.

    finsy_tour.py ADDRESS_1 ADDRESS_2 ADDRESS_3 HOST_INTERFACE_1 HOST_INTERFACE_2 HOST_INTERFACE_3

The addresses are agents of devices 1 to 3, none with a pipeline; the interfaces are the other ends of
ports 1 to 3 of device 1. The program is tour/tour.p4. Exits 0 only if every scene went as its
description says. Run in a network namespace by the tests in agent/tests/independent_clients.rs.
"""

import asyncio
import contextlib
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import finsy as fy
from finsy.p4entity import P4BackupReplica, P4Replica, P4ValueSetMember
from finsy.proto import stratum

from frames import (
    expect_frame,
    expect_nothing,
    frame,
    ipv4_frame,
    next_frame,
    raw_socket,
    wait_for_agent,
)

TOUR = Path(__file__).parent / "tour"
CPU_PORT = 255
H1, H2, H3, NOBODY = (f"02:00:00:00:00:0{n}" for n in (1, 2, 3, 9))
ROUTER = "02:00:00:00:00:ff"
FLOOD = "ff:ff:ff:ff:ff:ff"

OPTIONS = fy.SwitchOptions(p4info=TOUR / "p4info.txtpb", p4blob=TOUR / "bmv2.json")


class Wires:
    """The hosts' ends of the ports of device 1."""

    def __init__(self, interfaces: list[str]):
        self.h1, self.h2, self.h3 = (raw_socket(interface) for interface in interfaces)

    def drain(self) -> None:
        """Forgets what a scene that failed has left."""
        for raw in (self.h1, self.h2, self.h3):
            while next_frame(raw, 0.001):
                pass


def host(mac: str, port: int) -> fy.P4TableEntry:
    return fy.P4TableEntry("hosts", match=fy.Match(dst=mac), action=fy.Action("forward", port=port))


def known(mac: str, port: int, **more) -> fy.P4TableEntry:
    match = fy.Match(src=mac, ingress_port=port)
    return fy.P4TableEntry("sources", match=match, action=fy.Action("known"), **more)


def acl(action: fy.Action, priority: int, match: dict, **more) -> fy.P4TableEntry:
    return fy.P4TableEntry("acl", match=fy.Match(match), action=action, priority=priority, **more)


async def read(switch: fy.Switch, filter) -> list:
    return [entity async for entity in switch.read(filter)]


def wire_form(switch: fy.Switch, entities: list) -> list[str]:
    """What entities are as messages, in an order of their own."""
    return sorted(str(entity.encode(switch.p4info)) for entity in entities)


async def expect_entities(switch: fy.Switch, filter, expected: list) -> None:
    found = wire_form(switch, await read(switch, filter))
    wanted = wire_form(switch, expected)
    assert found == wanted, f"read with {filter}:\n{found}\nand expected:\n{wanted}"


async def expect_code(code: fy.GRPCStatusCode, call: Awaitable) -> None:
    """The call fails; with this code alone or for its only update."""
    try:
        await call
    except fy.P4ClientError as error:
        codes = {detail.canonical_code for detail in error.details.values()} or {error.code}
        assert codes == {code}, f"expected {code}, and got {error}"
    else:
        raise AssertionError(f"expected {code}, and it succeeded")


async def within(seconds: float, awaitable: Awaitable, what: str):
    try:
        return await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        raise AssertionError(f"no {what} within {seconds} s") from None


@contextlib.asynccontextmanager
async def listening(stream: AsyncIterator) -> AsyncIterator[AsyncIterator]:
    """A stream of messages that is open before what causes them."""
    queue: asyncio.Queue = asyncio.Queue()

    async def pump() -> None:
        async for message in stream:
            queue.put_nowait(message)

    task = asyncio.create_task(pump())
    await asyncio.sleep(0)
    try:
        yield queue.get
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await stream.aclose()


async def controller_of_several(addresses: list[str]) -> None:
    """One controller drives three switches at once; the third has p4info alone."""
    ready: dict[str, asyncio.Event] = {}

    async def on_ready(switch: fy.Switch) -> None:
        await switch.delete_all()
        await switch.insert([host(H1, 1), host(H2, 2)])
        ready[switch.name].set()

    controller = fy.Controller()
    for number, address in enumerate(addresses, 1):
        options = OPTIONS(device_id=number, ready_handler=on_ready)
        if number == 3:
            options = options(p4blob=b"")
        switch = fy.Switch(f"sw{number}", address, options)
        ready[switch.name] = asyncio.Event()
        controller.add(switch)
    async with controller:
        for name, event in ready.items():
            await within(20, event.wait(), f"ready {name}")
        for switch in controller:
            assert switch.is_primary and str(switch.p4runtime_version) == "1.5.0"
            await expect_entities(switch, fy.P4TableEntry("hosts"), [host(H1, 1), host(H2, 2)])


async def arbitration(address: str) -> None:
    """Of two clients one is primary; when it goes, the other has to ask, and is."""
    first = fy.Switch("first", address, OPTIONS)
    second = fy.Switch("second", address, OPTIONS)
    became_primary = asyncio.Event()
    second.ee.add_listener(fy.SwitchEvent.BECOME_PRIMARY, lambda _switch: became_primary.set())
    async with first:
        assert first.is_primary
        async with second:
            assert not second.is_primary
            await expect_code(fy.GRPCStatusCode.PERMISSION_DENIED, second.insert([host(H3, 3)]))
            await first.__aexit__(None, None, None)
            await within(5, became_primary.wait(), "second primary")
            await second.insert([host(H3, 3)])
            await second.delete([host(H3, 3)])
            await first.__aenter__()
            assert not first.is_primary


async def table_entries(switch: fy.Switch, _wires: Wires) -> None:
    """Entries of every match kind are read back as written, by every filter, and deleted."""
    permit, deny = fy.Action("permit"), fy.Action("deny")
    low = acl(permit, 1, {"protocol": "1...17"}, metadata=b"low")
    high = acl(deny, 2, {"ingress_port": 1, "dst": "02:00:00:00:00:00/&ff:ff:ff:00:00:00", "type": 0x0806})
    routes = [
        fy.P4TableEntry(
            "routes",
            match=fy.Match(dst="10.0.2.0/24"),
            action=fy.IndirectAction([2 * fy.Action("next_hop", port=2, dst=H2), 1 * fy.Action("drop")]),
        )
    ]
    await switch.insert([low, high, *routes, host(H1, 1)])
    await expect_entities(switch, fy.P4TableEntry("acl"), [low, high])
    await expect_entities(switch, fy.P4TableEntry("acl", metadata=b"low"), [low])
    await expect_entities(switch, fy.P4TableEntry("acl", priority=2), [high])
    await expect_entities(switch, fy.P4TableEntry("routes"), routes)
    await expect_entities(switch, fy.P4TableEntry(), [low, high, host(H1, 1), *routes])
    default = fy.P4TableEntry("hosts", is_default_action=True)
    await switch.modify([fy.P4TableEntry("hosts", is_default_action=True, action=fy.Action("flood", group=1))])
    (seen,) = await read(switch, default)
    assert seen.action == fy.Action("flood", group=1), seen
    await switch.modify([default])
    (seen,) = await read(switch, default)
    assert seen.action == fy.Action("unknown"), seen

    await expect_code(fy.GRPCStatusCode.ALREADY_EXISTS, switch.insert([low]))
    await expect_code(fy.GRPCStatusCode.NOT_FOUND, switch.delete([host(H3, 3)]))
    await expect_code(
        fy.GRPCStatusCode.PERMISSION_DENIED,
        switch.modify([fy.P4TableEntry("acl", is_default_action=True, action=deny)]),
    )
    await switch.write([~host(H1, 3), -acl(permit, 1, {"protocol": "1...17"})])
    await expect_entities(switch, fy.P4TableEntry("hosts"), [host(H1, 3)])
    await expect_entities(switch, fy.P4TableEntry("acl"), [high])


async def forwarding(switch: fy.Switch, wires: Wires) -> None:
    """Packets follow entries, groups and multicast; counters, registers and colours tell of them."""
    members = [
        fy.P4ActionProfileMember("next_hops", member_id=1, action=fy.Action("next_hop", port=2, dst=H2)),
        fy.P4ActionProfileMember("next_hops", member_id=2, action=fy.Action("next_hop", port=3, dst=H3)),
    ]
    only_second = fy.P4ActionProfileGroup(
        "next_hops", group_id=1, max_size=4, members=[fy.P4Member(2, weight=3)]
    )
    route = fy.P4TableEntry(
        "routes", match=fy.Match(dst="10.0.0.0/8"), action=fy.IndirectAction(group_id=1)
    )
    label = [
        fy.P4ActionProfileMember("labels", member_id=7, action=fy.Action("set_dscp", dscp=46)),
        fy.P4TableEntry("label", match=fy.Match(ingress_port=1), action=fy.IndirectAction(member_id=7)),
    ]
    to_router = fy.P4TableEntry("hosts", match=fy.Match(dst=ROUTER), action=fy.Action("to_router"))
    flood = fy.P4TableEntry("hosts", match=fy.Match(dst=FLOOD), action=fy.Action("flood", group=5))
    group = fy.P4MulticastGroupEntry(
        5, replicas=[P4Replica(port, instance=1) for port in (1, 2, 3)], metadata=b"everybody"
    )
    await switch.insert([members, only_second, route, label, to_router, group, flood, host(H1, 1), host(H2, 2)])
    await expect_entities(switch, fy.P4ActionProfileMember("next_hops"), members)
    await expect_entities(switch, fy.P4ActionProfileGroup("next_hops"), [only_second])
    await expect_entities(switch, fy.P4MulticastGroupEntry(), [group])

    bridged = frame(H1, H2, b"bridged".ljust(60))
    wires.h1.send(bridged)
    expect_frame(wires.h2, bridged)
    wires.h1.send(ipv4_frame(H1, ROUTER, "10.0.1.1", "10.0.2.2", 64, b"routed by a member of a group"))
    expect_frame(
        wires.h3, ipv4_frame(H1, H3, "10.0.1.1", "10.0.2.2", 63, b"routed by a member of a group", dscp=46)
    )
    both = fy.P4ActionProfileGroup(
        "next_hops", group_id=1, max_size=4, members=[fy.P4Member(1, weight=(1, 2)), fy.P4Member(2, weight=(1, 3))]
    )
    await switch.modify([both])
    await expect_entities(switch, fy.P4ActionProfileGroup("next_hops", group_id=1), [both])
    everybody = frame(H1, FLOOD, b"to everybody".ljust(60))
    wires.h1.send(everybody)
    expect_frame(wires.h2, everybody)
    expect_frame(wires.h3, everybody)
    expect_nothing(wires.h1)

    (counted,) = await read(switch, fy.P4CounterEntry("port_counter", index=1))
    assert counted.packet_count == 3 and counted.byte_count > 180, counted
    (direct,) = await read(switch, fy.P4DirectCounterEntry("host_counter", table_entry=host(H2, 2)))
    assert direct.packet_count == 1, direct
    (length,) = await read(switch, fy.P4RegisterEntry("last_length", index=1))
    assert length.data == len(everybody), length
    await switch.modify(
        [
            fy.P4CounterEntry("port_counter", index=1, data=fy.P4CounterData()),
            fy.P4RegisterEntry("last_length", index=1, data=77),
        ]
    )
    (counted,) = await read(switch, fy.P4CounterEntry("port_counter", index=1))
    (length,) = await read(switch, fy.P4RegisterEntry("last_length", index=1))
    assert (counted.packet_count, length.data) == (0, 77), (counted, length)

    # An experimental type that the parser is told to take for IPv4.
    odd = ipv4_frame(H1, ROUTER, "10.0.1.1", "10.0.2.2", 64, b"odd").replace(b"\x08\x00", b"\x88\xb6", 1)
    wires.h1.send(odd)
    expect_nothing(wires.h2)
    await switch.modify([only_second])
    types = fy.P4ValueSetEntry("ipv4_types", members=[P4ValueSetMember(0x88B6)])
    await switch.modify([types])
    await expect_entities(switch, fy.P4ValueSetEntry("ipv4_types", members=[]), [types])
    wires.h1.send(odd)
    routed = ipv4_frame(H1, H3, "10.0.1.1", "10.0.2.2", 63, b"odd", dscp=46)
    expect_frame(wires.h3, routed.replace(b"\x08\x00", b"\x88\xb6", 1))
    await switch.modify([fy.P4ValueSetEntry("ipv4_types", members=[])])


async def meters(switch: fy.Switch, wires: Wires) -> None:
    """A meter lets through what its bucket holds, and counts by colour."""
    # A bucket of one frame that is as good as never filled again.
    one_frame = fy.P4MeterConfig(cir=1, cburst=100, pir=1, pburst=100)
    entry = acl(fy.Action("permit"), 5, {"dst": f"{H2}/&{FLOOD}"}, meter_config=one_frame)
    key = fy.P4TableEntry("acl", match=entry.match, priority=entry.priority)
    await switch.insert([host(H2, 2), entry])
    metered = fy.P4DirectMeterEntry(table_entry=key, config=one_frame)
    await expect_entities(switch, fy.P4DirectMeterEntry(table_entry=key), [metered])
    bridged = frame(H1, H2, b"metered".ljust(60))
    wires.h1.send(bridged)
    expect_frame(wires.h2, bridged)
    wires.h1.send(bridged)
    expect_nothing(wires.h2)
    none = fy.P4CounterData()
    zero = fy.P4MeterCounterData(green=none, yellow=none, red=none)
    (seen,) = await read(switch, fy.P4DirectMeterEntry(table_entry=key, counter_data=zero))
    colors = (seen.counter_data.green, seen.counter_data.yellow, seen.counter_data.red)
    assert [color.packet_count for color in colors] == [1, 0, 1], seen
    await switch.modify([fy.P4DirectMeterEntry(table_entry=key)])
    wires.h1.send(bridged)
    expect_frame(wires.h2, bridged)

    one_packet = fy.P4MeterConfig(cir=1, cburst=1, pir=1, pburst=1)
    await switch.modify([fy.P4MeterEntry("port_meter", index=1, config=one_packet)])
    (seen,) = await read(switch, fy.P4MeterEntry("port_meter", index=1))
    assert seen.config == one_packet, seen
    wires.h1.send(bridged)
    expect_frame(wires.h2, bridged)
    wires.h1.send(bridged)
    expect_nothing(wires.h2)
    await switch.modify([fy.P4MeterEntry("port_meter", index=1)])
    wires.h1.send(bridged)
    expect_frame(wires.h2, bridged)


async def packets(switch: fy.Switch, wires: Wires) -> None:
    """Packets come in from an entry and from a clone session, and go out to a port or the pipeline."""
    punt = acl(fy.Action("acl_punt", reason=9), 7, {"type": 0x88B7})
    session = fy.P4CloneSessionEntry(
        3, class_of_service=2, packet_length_bytes=40, replicas=[P4Replica(CPU_PORT, instance=1)]
    )
    copy = acl(fy.Action("copy", session=3), 8, {"type": 0x88B8})
    await switch.insert([punt, session, copy, host(H2, 2)])
    await expect_entities(switch, fy.P4CloneSessionEntry(), [session])

    out = frame(NOBODY, H2, b"to a port".ljust(60))
    async with listening(switch.read_packets()) as next_packet:
        await switch.write([fy.P4PacketOut(out, egress_port=3, through_pipeline=0, padding=0)])
        expect_frame(wires.h3, out)
        await switch.write([fy.P4PacketOut(out, egress_port=0, through_pipeline=1, padding=0)])
        expect_frame(wires.h2, out)

        punted = frame(H1, H2, b"punted".ljust(60), 0x88B7)
        wires.h1.send(punted)
        packet = await within(3, next_packet(), "packet-in")
        assert packet.payload == punted, packet
        assert (packet["ingress_port"], packet["reason"]) == (1, 9), packet
        expect_nothing(wires.h2)

        copied = frame(H1, H2, b"copied".ljust(60), 0x88B8)
        wires.h1.send(copied)
        expect_frame(wires.h2, copied)
        packet = await within(3, next_packet(), "clone")
        assert packet["ingress_port"] == 1 and copied.startswith(packet.payload), packet
        assert len(packet.payload) <= 40, packet


async def digests(switch: fy.Switch, wires: Wires) -> None:
    """A source is learned once, is not told again before it is acknowledged, and not once it is known."""
    entry = fy.P4DigestEntry("learned_t", max_list_size=10, max_timeout_ns=20_000_000, ack_timeout_ns=10**12)
    await switch.insert([entry, host(H2, 2)])
    await expect_entities(switch, fy.P4DigestEntry("learned_t"), [entry])
    async with listening(switch.read_digests("learned_t")) as next_list:
        bridged = frame(NOBODY, H2, b"learned".ljust(60))
        for _ in range(3):
            wires.h1.send(bridged)
            expect_frame(wires.h2, bridged)
        learned = await within(3, next_list(), "digest")
        expected = [{"src": 0x020000000009, "port": 1}]
        assert list(learned) == expected, learned
        wires.h1.send(bridged)
        expect_frame(wires.h2, bridged)
        # It goes back where it came from.
        wires.h2.send(frame(NOBODY, H2, b"moved".ljust(60)))
        expect_frame(wires.h2, frame(NOBODY, H2, b"moved".ljust(60)))
        moved = await within(3, next_list(), "digest of the move")
        assert list(moved) == [{"src": 0x020000000009, "port": 2}], moved
        await switch.write([learned.ack(), moved.ack()])
        # Acknowledged but not entered: told again.
        again = None
        for _ in range(50):
            wires.h1.send(bridged)
            expect_frame(wires.h2, bridged)
            with contextlib.suppress(TimeoutError):
                again = await asyncio.wait_for(next_list(), 0.1)
                break
        assert again is not None and list(again) == expected, again
        await switch.write([again.ack(), +known(NOBODY, 1)])


async def idle_timeouts(switch: fy.Switch, wires: Wires) -> None:
    """An entry that nothing hits is told of; one that is hit says when."""
    idle = known(H1, 1, idle_timeout_ns=300_000_000)
    await switch.insert([idle, known(H3, 3), host(H2, 2)])
    await expect_entities(switch, fy.P4TableEntry("sources", match=idle.match), [idle])
    async with listening(switch.read_idle_timeouts()) as next_notification:
        notification = await within(5, next_notification(), "idle timeout")
        (entry,) = notification
        assert entry.match == {"src": 0x020000000001, "ingress_port": 1}, entry
        wires.h1.send(frame(H1, H2, b"hit".ljust(60)))
        expect_frame(wires.h2, frame(H1, H2, b"hit".ljust(60)))
        (entry,) = await read(switch, fy.P4TableEntry("sources", match=idle.match, time_since_last_hit=0))
        assert 0 <= entry.time_since_last_hit < 250_000_000, entry
        notification = await within(5, next_notification(), "second idle timeout")
        assert len(notification) == 1, notification
    (entry,) = await read(switch, fy.P4TableEntry("sources", match=known(H3, 3).match, time_since_last_hit=0))
    assert entry.time_since_last_hit >= 300_000_000, entry


async def replicas_with_backups(switch: fy.Switch, _wires: Wires) -> None:
    """Replicas keep their backups, in order."""
    replica = P4Replica(2, instance=1, backup_replicas=[P4BackupReplica(3, instance=2), P4BackupReplica(1)])
    group = fy.P4MulticastGroupEntry(9, replicas=[replica])
    await switch.insert([group])
    await expect_entities(switch, fy.P4MulticastGroupEntry(9), [group])


async def ten_thousand_entries(switch: fy.Switch, _wires: Wires) -> None:
    """Ten thousand entries go in one Write, are read back, and are deleted again."""
    entries = [host(f"06:00:00:00:{n >> 8:02x}:{n & 255:02x}", n % 500 + 1) for n in range(10_000)]
    await switch.insert(entries)
    await expect_entities(switch, fy.P4TableEntry("hosts"), entries)
    await expect_code_of_last(switch, entries[:99] + [host("06:ff:00:00:00:00", 1)])
    await switch.delete_many([fy.P4TableEntry("hosts")])
    await expect_entities(switch, fy.P4TableEntry("hosts"), [])


async def expect_code_of_last(switch: fy.Switch, entries: list) -> None:
    """A hundred updates of which only the last can be done: each has its own code."""
    try:
        await switch.insert(entries)
    except fy.P4ClientError as error:
        failed = sorted(error.details)
        assert failed == list(range(len(entries) - 1)), failed
        codes = {detail.canonical_code for detail in error.details.values()}
        assert codes == {fy.GRPCStatusCode.ALREADY_EXISTS}, codes
    else:
        raise AssertionError("99 entries were inserted twice")


async def roles(switch: fy.Switch, wires: Wires) -> None:
    """A role writes what its config gives it and nothing else, and gets the packets it asks for."""
    # The second field of packet_in is the reason.
    hosts = switch.p4info.tables["hosts"].id
    config = stratum.P4RoleConfig(shared_p4_ids=[hosts], receives_packet_ins=True)
    config.packet_in_filter.metadata_id = 2
    config.packet_in_filter.value = b"\x05"
    await switch.insert([acl(fy.Action("acl_punt", reason=n), n, {"type": 0x8900 + n}) for n in (4, 5)])
    options = fy.SwitchOptions(role_name="bridge", role_config=config)
    async with fy.Switch("bridge", switch.address, options) as bridge:
        assert bridge.is_primary and switch.is_primary
        await bridge.insert([host(H2, 2)])
        await expect_code(
            fy.GRPCStatusCode.PERMISSION_DENIED,
            bridge.insert([acl(fy.Action("deny"), 9, {"type": 1})]),
        )
        async with listening(bridge.read_packets()) as next_packet:
            for n in (4, 5):
                wires.h1.send(frame(H1, H2, b"punted".ljust(60), 0x8900 + n))
            packet = await within(3, next_packet(), "packet-in of the role")
            assert packet["reason"] == 5, packet


async def play(title: str, scene: Awaitable) -> bool:
    try:
        await scene
    except Exception:
        print(f"FAILED: {title}")
        traceback.print_exc(file=sys.stdout)
        return False
    print(f"ok: {title}")
    return True


async def on_a_fresh_pipeline(scene, address: str, wires: Wires) -> None:
    wires.drain()
    async with fy.Switch("sw1", address, OPTIONS(p4force=True)) as switch:
        await scene(switch, wires)


async def main() -> None:
    *addresses, interface1, interface2, interface3 = sys.argv[1:]
    for address in addresses:
        wait_for_agent(address)
    wires = Wires([interface1, interface2, interface3])
    passed = [
        await play(controller_of_several.__doc__, controller_of_several(addresses)),
        await play(arbitration.__doc__, arbitration(addresses[0])),
    ]
    for scene in (
        table_entries,
        forwarding,
        meters,
        packets,
        digests,
        idle_timeouts,
        replicas_with_backups,
        ten_thousand_entries,
        roles,
    ):
        passed.append(await play(scene.__doc__, on_a_fresh_pipeline(scene, addresses[0], wires)))
    sys.exit(not all(passed))


asyncio.run(main())
