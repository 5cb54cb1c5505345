"""Frames, and sockets to send and expect them on: what the clients here share."""

import ipaddress
import socket
import struct
import time

ETH_P_ALL = 0x0003
# Not the loopback of what this end itself sends.
PACKET_OUTGOING = 4
# How an agent's own LLDP begins: it comes from no pipeline.
LLDP_TO = bytes.fromhex("0180c200000e")
LLDP_TYPE = b"\x88\xcc"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def checksum(header: bytes) -> int:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(eth_src: str, eth_dst: str, payload: bytes, eth_type: int = 0x88B5) -> bytes:
    """Of a local experiment (IEEE 802), unless the type says otherwise."""
    return mac(eth_dst) + mac(eth_src) + struct.pack("!H", eth_type) + payload


def ipv4_frame(
    eth_src: str, eth_dst: str, src: str, dst: str, ttl: int, payload: bytes, dscp: int = 0
) -> bytes:
    """UDP without a checksum, port 7 to 7."""
    udp = struct.pack("!HHHH", 7, 7, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(src) + socket.inet_aton(dst)
    start = struct.pack("!BBHHHBB", 0x45, dscp << 2, 20 + len(udp), 1, 0, ttl, 17)
    header = start + struct.pack("!H", checksum(start + b"\0\0" + addresses)) + addresses
    return mac(eth_dst) + mac(eth_src) + b"\x08\x00" + header + udp


def ipv6_frame(eth_src: str, eth_dst: str, src: str, dst: str, hops: int, payload: bytes) -> bytes:
    """Payload without an upper protocol (next header 59)."""
    addresses = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    header = struct.pack("!IHBB", 6 << 28, len(payload), 59, hops) + addresses
    return mac(eth_dst) + mac(eth_src) + b"\x86\xdd" + header + payload


def raw_socket(interface: str) -> socket.socket:
    # With a protocol from the start it would take frames of all interfaces until it is bound.
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.bind((interface, ETH_P_ALL))
    return raw


def is_lldp(received: bytes) -> bool:
    return received.startswith(LLDP_TO) and received[12:14] == LLDP_TYPE


def next_frame(raw: socket.socket, seconds: float) -> bytes | None:
    """The next frame of the pipeline that arrives; none if none does in time."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            received, address = raw.recvfrom(65536)
        except TimeoutError:
            return None
        if address[2] != PACKET_OUTGOING and not is_lldp(received):
            return received
    return None


def expect_frame(raw: socket.socket, expected: bytes, seconds: float = 3.0) -> None:
    """The next frame that arrives has exactly these bytes."""
    seen = next_frame(raw, seconds)
    if seen != expected:
        seen = "nothing" if seen is None else seen.hex()
        raise AssertionError(f"expected on {raw.getsockname()[0]}:\n  {expected.hex()}\nand saw:\n  {seen}")


def expect_nothing(raw: socket.socket, seconds: float = 0.2) -> None:
    """No frame arrives. What would have come is given this long, so a slow machine does not fail it."""
    seen = next_frame(raw, seconds)
    if seen is not None:
        raise AssertionError(f"expected nothing on {raw.getsockname()[0]}, and saw:\n  {seen.hex()}")


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
