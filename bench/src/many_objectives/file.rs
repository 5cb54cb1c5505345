//! The file that is applied: one switch with a few nexts and very many routes.

use std::fmt::Write;

use super::bed::{AGENT, DEVICE_ID, PORTS};

/// How many nexts the routes share.
pub(super) const NEXTS: usize = 16;
/// The routes are /28s of 10.0.0.0/8 and on.
const FIRST: u32 = 10 << 24;
const STEP: u32 = 1 << 4;

/// The device and its objectives. The route of index `changed` goes to another next than it would.
pub(super) fn text(routes: usize, changed: Option<usize>) -> String {
    let mut text = format!(
        "devices:\n  - {{ name: leaf1, address: {AGENT}, device_id: {DEVICE_ID} }}\n---\ndevice: leaf1\nobjectives:\n"
    );
    for next in 0..NEXTS {
        let port = next % PORTS + 1;
        line(
            &mut text,
            format_args!(
                "  - {{ next: n{next}, type: simple, buckets: [ {{ set: {{ eth_src: 02:00:00:00:01:00, eth_dst: 02:00:00:00:02:{next:02x} }}, output: {port} }} ] }}"
            ),
        );
    }
    for route in 0..routes {
        let next = (route + usize::from(changed == Some(route))) % NEXTS;
        let route = u32::try_from(route).expect("as many as there are addresses");
        let prefix = std::net::Ipv4Addr::from(FIRST + route * STEP);
        line(
            &mut text,
            format_args!(
                "  - {{ forward: r{route}, flag: specific, selector: {{ ipv4_dst: {prefix}/28 }}, next: n{next} }}"
            ),
        );
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}
