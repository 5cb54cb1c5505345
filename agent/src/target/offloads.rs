//! What drivers do to frames before a pipeline sees them, switched off while the interface is a port.

use std::collections::BTreeMap;

use pointsman_ebpf::sys::{Driver, Offload};

/// What a pipeline does not get along with, and what it would do to it.
const HARMFUL: [(Offload, &str); 2] = [
    (
        Offload::RxVlan,
        "the pipeline does not see the VLAN tags of frames",
    ),
    (
        Offload::Lro,
        "frames are merged, and may be too large for other ports",
    ),
];

/// The offloads that are off because their interface is a port.
#[derive(Debug, Default)]
pub(super) struct Offloads {
    switched_off: BTreeMap<u32, (String, Vec<Offload>)>,
}

impl Offloads {
    /// Switches off what is on at an interface that becomes a port. What cannot be is logged with its consequence.
    pub fn settle(&mut self, port: u32, interface: &str) {
        let Ok(driver) = Driver::of(interface) else {
            return;
        };
        let mut switched = Vec::new();
        for (offload, consequence) in HARMFUL {
            if !driver.has(offload).unwrap_or(false) {
                continue;
            }
            let offload_name = offload.name();
            match driver.set(offload, false) {
                Ok(()) => {
                    tracing::info!(
                        port,
                        interface,
                        offload = offload_name,
                        "offload switched off"
                    );
                    switched.push(offload);
                }
                Err(error) => tracing::warn!(
                    port, interface, offload = offload_name, %error,
                    "offload stays on, so {consequence}; try `ethtool -K {interface} {offload_name} off`"
                ),
            }
        }
        if !switched.is_empty() {
            self.switched_off
                .insert(port, (interface.to_owned(), switched));
        }
    }

    /// Switches on again what was on before.
    pub fn give_back(&mut self, port: u32) {
        let Some((interface, switched)) = self.switched_off.remove(&port) else {
            return;
        };
        // The interface may be gone, and its offloads with it.
        let Ok(driver) = Driver::of(&interface) else {
            return;
        };
        for offload in switched {
            if let Err(error) = driver.set(offload, true) {
                let offload = offload.name();
                tracing::debug!(port, interface, offload, %error, "offload not switched on again");
            }
        }
    }
}
