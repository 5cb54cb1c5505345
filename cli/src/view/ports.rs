//! Ports of devices.

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;
use serde::Serialize;

use crate::table::{Cell, Table};
use crate::words;

/// The ports of one device, or why they are not known.
#[derive(Debug, Serialize)]
pub struct PortsView {
    pub device: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    pub ports: Vec<PortView>,
}

/// One port.
#[derive(Debug, Serialize)]
pub struct PortView {
    pub number: u32,
    pub name: String,
    pub interface: String,
    pub state: &'static str,
    /// Whether the interface was taken up by its administrator.
    pub admin_up: bool,
    /// 0 if there is none.
    pub speed_mbps: u32,
    pub driver: String,
    pub mac: String,
    pub mtu: u32,
    pub xdp_mode: String,
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip)]
    style: anstyle::Style,
}

impl From<agent_pb::Port> for PortView {
    fn from(port: agent_pb::Port) -> Self {
        let (state, style) = words::oper_state(port.oper_state());
        let mac: Vec<_> = port.mac.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            number: port.number,
            name: port.name,
            interface: port.interface,
            state,
            admin_up: port.admin_up,
            speed_mbps: port.speed_mbps,
            driver: port.driver,
            mac: mac.join(":"),
            mtu: port.mtu,
            xdp_mode: port.xdp_mode,
            rx_packets: port.rx_packets,
            rx_bytes: port.rx_bytes,
            rx_errors: port.rx_errors,
            rx_dropped: port.rx_dropped,
            tx_packets: port.tx_packets,
            tx_bytes: port.tx_bytes,
            tx_errors: port.tx_errors,
            tx_dropped: port.tx_dropped,
            message: port.message,
            style,
        }
    }
}

impl PortsView {
    /// The ports of one device.
    pub fn new(device: String, ports: Vec<agent_pb::Port>) -> Self {
        let ports = ports.into_iter().map(PortView::from).collect();
        Self {
            device,
            error: String::new(),
            ports,
        }
    }
}

impl From<pb::DevicePorts> for PortsView {
    fn from(answer: pb::DevicePorts) -> Self {
        Self {
            error: answer.error,
            ..Self::new(answer.device, answer.ports)
        }
    }
}

/// Ports for people; what is wrong with one stands below it.
pub fn table(devices: &[PortsView]) -> Table {
    let mut table = Table::new([
        "DEVICE",
        "PORT",
        "NAME",
        "INTERFACE",
        "STATE",
        "SPEED",
        "DRIVER",
        "XDP",
        "MTU",
        "MAC",
        "RX-PACKETS",
        "RX-BYTES",
        "TX-PACKETS",
        "TX-BYTES",
        "ERRORS",
        "DROPPED",
    ]);
    for device in devices {
        for port in &device.ports {
            table.row([
                device.device.as_str().into(),
                Cell::number(port.number),
                port.name.as_str().into(),
                port.interface.as_str().into(),
                Cell::styled(port.state, port.style),
                speed(port.speed_mbps).into(),
                port.driver.as_str().into(),
                port.xdp_mode.as_str().into(),
                Cell::number(port.mtu),
                port.mac.as_str().into(),
                Cell::number(port.rx_packets),
                Cell::number(port.rx_bytes),
                Cell::number(port.tx_packets),
                Cell::number(port.tx_bytes),
                Cell::number(port.rx_errors + port.tx_errors),
                Cell::number(port.rx_dropped + port.tx_dropped),
            ]);
            if !port.message.is_empty() {
                table.note(&*port.message);
            }
        }
        if !device.error.is_empty() {
            table.note(format!("{}: {}", device.device, device.error));
        }
    }
    table
}

/// As switches label their ports.
fn speed(mbps: u32) -> String {
    match mbps {
        0 => String::new(),
        gigabits if gigabits % 1000 == 0 => format!("{}G", gigabits / 1000),
        megabits => format!("{megabits}M"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_port_that_cannot_be_used_says_why() {
        let port = agent_pb::Port {
            number: 49,
            name: "swp49".into(),
            interface: "eth7".into(),
            oper_state: agent_pb::OperState::Unavailable.into(),
            mac: vec![2, 0, 0, 0, 1, 0xff],
            mtu: 1500,
            message: "there is no interface eth7; plug it in or remove the port".into(),
            xdp_mode: "none".into(),
            speed_mbps: 2500,
            driver: "veth".into(),
            tx_dropped: 3,
            ..Default::default()
        };
        let unreachable = pb::DevicePorts {
            device: "leaf2".into(),
            error: "no answer".into(),
            ports: vec![],
        };
        let devices = [
            PortsView::new("leaf1".into(), vec![port]),
            unreachable.into(),
        ];
        expect![[r#"
            DEVICE  PORT  NAME   INTERFACE  STATE        SPEED  DRIVER  XDP    MTU  MAC                RX-PACKETS  RX-BYTES  TX-PACKETS  TX-BYTES  ERRORS  DROPPED
            leaf1     49  swp49  eth7       unavailable  2500M  veth    none  1500  02:00:00:00:01:ff           0         0           0         0       0        3
              there is no interface eth7; plug it in or remove the port
              leaf2: no answer
        "#]]
        .assert_eq(&table(&devices).render(false));
    }
}
