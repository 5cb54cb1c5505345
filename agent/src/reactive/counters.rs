//! What became of the frames that policies were shown, for status displays.

use std::sync::{Mutex, PoisonError};

use pointsman_ebpf::front::LocalKind;

use super::Statistics;
use crate::target::{Local, Loss};

/// Frames by what became of them, as of the last ones.
#[derive(Debug, Default)]
pub struct Counters(Mutex<Statistics>);

impl Counters {
    pub(super) fn set(&self, statistics: Statistics) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = statistics;
    }

    /// Frames of new stations that were not looked at, or of stations that were not learnt.
    pub fn losses(&self, local: Option<&dyn Local>) -> Vec<Loss> {
        let statistics = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limited = local.map_or(0, |local| local.lost(LocalKind::NewStation));
        let all = [
            (
                "station-limit",
                "frames of new stations beyond what is looked at in a second \
                 (reactive.frames_per_second); they are flooded",
                limited,
            ),
            (
                "stations-full",
                "frames of new stations of ports that have as many as they may (stations_per_port); they are flooded",
                statistics.full,
            ),
            (
                "station-flapping",
                "frames of stations that had moved a moment before; is there a loop?",
                statistics.flapping,
            ),
            (
                "host-unanswered",
                "packets for hosts of a subnet with host_routes that have not answered",
                statistics.unanswered,
            ),
            (
                "host-queue-full",
                "packets for hosts that are looked for, beyond those that wait for an answer",
                statistics.not_held,
            ),
            (
                "hosts-full",
                "sightings of hosts beyond those that may have a route (max_hosts)",
                statistics.hosts_full,
            ),
            (
                "for-gateway",
                "packets for gateways themselves, which answer to nothing but ARP and neighbour solicitations",
                statistics.for_gateway,
            ),
        ];
        let losses = all.into_iter().map(|(reason, what, packets)| Loss {
            reason,
            what,
            packets,
        });
        losses.collect()
    }
}
