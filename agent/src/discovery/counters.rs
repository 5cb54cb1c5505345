//! What became of the frames of the agent's own protocols, for status displays.

use std::sync::{Mutex, PoisonError};

use pointsman_ebpf::front::LocalKind;

use crate::target::{Local, Loss};
use crate::{hosts, lldp};

/// Frames by what became of them, as of the last one.
#[derive(Debug, Default)]
pub struct Counters {
    counts: Mutex<(lldp::Statistics, hosts::Statistics)>,
}

impl Counters {
    pub(super) fn set(&self, lldp: lldp::Statistics, hosts: Option<hosts::Statistics>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts = (lldp, hosts.unwrap_or_default());
    }

    /// Frames that were not looked at, not believed, or had no place.
    pub fn losses(&self, local: Option<&dyn Local>) -> Vec<Loss> {
        let (lldp, hosts) = *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let limited = |kind| local.map_or(0, |local| local.lost(kind));
        let all = [
            (
                "lldp-limit",
                "LLDP frames beyond what is looked at in a second",
                limited(LocalKind::Lldp),
            ),
            (
                "arp-limit",
                "copies of ARP beyond what is looked at in a second",
                limited(LocalKind::Arp),
            ),
            (
                "nd-limit",
                "copies of neighbour discovery beyond what is looked at in a second",
                limited(LocalKind::NeighborDiscovery),
            ),
            (
                "dhcp-limit",
                "copies of DHCP beyond what is looked at in a second",
                limited(LocalKind::Dhcp),
            ),
            (
                "lldp-malformed",
                "frames that are not LLDP although they say so",
                lldp.malformed,
            ),
            (
                "lldp-forged",
                "LLDP with a wrong signature, or in the name of a neighbour that signs; is the \
                 cluster key the same everywhere?",
                lldp.forged,
            ),
            (
                "lldp-replayed",
                "LLDP of the cluster that was seen before, or of an earlier start",
                lldp.replayed,
            ),
            (
                "lldp-reflected",
                "our own LLDP, back at the port that it left by: the wire ends in a loop",
                lldp.reflected,
            ),
            (
                "lldp-too-many",
                "LLDP of more neighbours than a port may have",
                lldp.too_many,
            ),
            (
                "hosts-malformed",
                "copies of ARP, neighbour discovery or DHCP that are cut off, or contradict themselves",
                hosts.malformed,
            ),
            (
                "hosts-spoofed",
                "copies whose Ethernet source is another than the sender that they name, or none that can be",
                hosts.spoofed,
            ),
            (
                "hosts-full",
                "copies from new hosts at ports that have as many as they may (hosts_per_port)",
                hosts.full,
            ),
            (
                "hosts-unasked",
                "DHCP grants that no client has asked for",
                hosts.unasked,
            ),
        ];
        let all = all.into_iter();
        all.map(|(reason, what, packets)| Loss {
            reason,
            what,
            packets,
        })
        .collect()
    }
}
