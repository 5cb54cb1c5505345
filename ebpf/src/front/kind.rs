//! The protocols that the agent speaks itself, and how their frames are told from others.
//!
//! [`LocalKind::of`] is the twin of the program for targets without one; a test holds the two
//! together.

const ETHER_TYPE_AT: usize = 12;
const VLAN_TAGS: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];
/// Tags that are looked behind.
pub(super) const MAX_TAGS: usize = 2;

/// A protocol that the agent speaks itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum LocalKind {
    /// IEEE 802.1AB, untagged.
    Lldp = 0,
    /// IPv4's address resolution.
    Arp = 1,
    /// IPv6's neighbour discovery: router and neighbour solicitations and advertisements, redirects.
    NeighborDiscovery = 2,
    /// DHCP for IPv4 and IPv6, by its UDP ports.
    Dhcp = 3,
    /// Whatever it is, it comes from a station that is not known to be there: see [`Stations`](super::Stations).
    NewStation = 4,
}

impl LocalKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [LocalKind; 5] = [
        LocalKind::Lldp,
        LocalKind::Arp,
        LocalKind::NeighborDiscovery,
        LocalKind::Dhcp,
        LocalKind::NewStation,
    ];
    /// Those that are told by what a frame says, in the order of their numbers.
    pub const PROTOCOLS: [LocalKind; 4] = [
        LocalKind::Lldp,
        LocalKind::Arp,
        LocalKind::NeighborDiscovery,
        LocalKind::Dhcp,
    ];

    /// The protocol of a frame; `None` is the pipeline's alone. IPv4 with options and IPv6 with extension
    /// headers are not looked into: nobody sends these protocols like that.
    pub fn of(frame: &[u8]) -> Option<LocalKind> {
        let mut at = ETHER_TYPE_AT;
        for tags in 0..=MAX_TAGS {
            let ether_type: [u8; 2] = frame.get(at..at + 2)?.try_into().ok()?;
            if VLAN_TAGS.contains(&ether_type) {
                at += 4;
                continue;
            }
            let packet = &frame[at + 2..];
            return match ether_type {
                [0x88, 0xcc] => (tags == 0).then_some(LocalKind::Lldp),
                [0x08, 0x06] => Some(LocalKind::Arp),
                [0x08, 0x00] => ipv4(packet),
                [0x86, 0xdd] => ipv6(packet),
                _ => None,
            };
        }
        None
    }
}

fn ipv4(packet: &[u8]) -> Option<LocalKind> {
    let is_dhcp = packet.get(..24).is_some_and(|packet| {
        packet[9] == 17 && packet[0] == 0x45 && matches!(packet[22..24], [0, 67 | 68])
    });
    is_dhcp.then_some(LocalKind::Dhcp)
}

fn ipv6(packet: &[u8]) -> Option<LocalKind> {
    let packet = packet.get(..44)?;
    match packet[6] {
        58 if (133..=137).contains(&packet[40]) => Some(LocalKind::NeighborDiscovery),
        // Ports 546 and 547.
        17 if matches!(packet[42..44], [2, 34 | 35]) => Some(LocalKind::Dhcp),
        _ => None,
    }
}

/// Whether a frame goes to one of the group addresses of LLDP (IEEE 802.1AB, 7.1), which bridges of one or
/// another sort do not forward. `frame` has at least six bytes.
pub fn is_link_local(frame: &[u8]) -> bool {
    matches!(
        frame,
        [0x01, 0x80, 0xc2, 0x00, 0x00, 0x00 | 0x03 | 0x0e, ..]
    )
}
