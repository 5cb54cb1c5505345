//! Whether the interfaces of ports are there and can be ports.

use pnet_datalink::NetworkInterface;
use pointsman_ebpf::switch::ports::MAX_INTERFACE;
use pointsman_ebpf::sys::{AttachMode, Driver, xdp_program};

use super::Finding;
use crate::config::{Config, TargetKind};
use crate::ports::PortRequest;

/// All that are asked for.
pub(super) fn all(config: &Config) -> Vec<Finding> {
    if config.ports.is_empty() {
        let advice = "name interfaces with --port, or add ports while the agent runs";
        return vec![Finding::warning("ports", "none are configured", advice)];
    }
    let interfaces = pnet_datalink::interfaces();
    let mut findings = Vec::new();
    for request in &config.ports {
        match request {
            PortRequest::One(port) => {
                let subject = format!("port {port}");
                let interface = interfaces.iter().find(|i| i.name == port.interface);
                findings.push(match interface {
                    Some(interface) => examine(config, subject, interface),
                    None => Finding::warning(
                        subject,
                        format!("interface {} does not exist", port.interface),
                        "the port comes up when it does; `ip link` shows those of this network namespace",
                    ),
                });
            }
            PortRequest::Every(pattern) => {
                let fitting: Vec<_> = interfaces
                    .iter()
                    .filter(|i| pattern.matches(&i.name))
                    .collect();
                if fitting.is_empty() {
                    let found = "no interface has such a name";
                    findings.push(Finding::warning(format!("ports {pattern}"), found, ""));
                }
                let examined = fitting.into_iter();
                findings.extend(examined.map(|i| examine(config, format!("port {}", i.name), i)));
            }
        }
    }
    findings
}

fn examine(config: &Config, subject: String, interface: &NetworkInterface) -> Finding {
    let name = &interface.name;
    if interface.is_loopback() {
        return Finding::failure(
            subject,
            "it is the loopback interface",
            "choose another one",
        );
    }
    if interface.index > MAX_INTERFACE {
        return Finding::failure(
            subject,
            format!("interface {name} has index {}", interface.index),
            format!(
                "indices up to {MAX_INTERFACE} can be ports: use a network namespace with fewer interfaces"
            ),
        );
    }
    let mut found = Driver::of(name)
        .and_then(|driver| driver.name())
        .unwrap_or_else(|_| "unknown driver".to_owned());
    if config.target == TargetKind::Xdp
        && let Some((_, mode)) = xdp_program(interface.index)
    {
        found += match mode {
            AttachMode::Native => ", runs an XDP program in the driver",
            AttachMode::Generic => ", runs an XDP program generically",
        };
        return Finding::warning(
            subject,
            found,
            format!(
                "that is fine if an agent of this device id has left it; else `ip link set dev {name} xdp off` removes it"
            ),
        );
    }
    let addresses = interface.ips.iter().filter(|ip| ip.is_ipv4()).count();
    if !interface.is_up() {
        let advice = format!("ip link set dev {name} up");
        return Finding::warning(subject, found + ", administratively down", advice);
    }
    if !interface.is_running() {
        let advice = "is the cable in, and the peer up?";
        return Finding::warning(subject, found + ", no link", advice);
    }
    if addresses > 0 {
        return Finding::warning(
            subject,
            found + ", up, and the host has an IPv4 address there",
            "the host will not be reached by it: a port's frames go to the pipeline",
        );
    }
    Finding::fine(subject, found + ", up")
}
