//! Devices: where their agents are, whether they answer, how much they hold.

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;
use serde::Serialize;

use crate::table::{Cell, Table};
use crate::words;

/// One device.
#[derive(Debug, Serialize)]
pub struct DeviceView {
    pub name: String,
    pub device_id: u64,
    pub address: String,
    pub reachable: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub master: String,
    pub term: u64,
    pub objectives: Counts,
    pub agent: Option<AgentView>,
}

/// How many objectives are in which state.
#[derive(Debug, Default, Serialize)]
pub struct Counts {
    pub applied: u32,
    pub pending: u32,
    pub failed: u32,
}

/// What an agent says of itself.
#[derive(Debug, Serialize)]
pub struct AgentView {
    pub name: String,
    pub device_id: u64,
    pub version: String,
    pub boot_id: String,
    pub target: String,
    pub pipeline: String,
    pub uptime_seconds: u64,
    pub ports_up: u32,
    pub ports_total: u32,
    pub objectives: Counts,
    /// Of those applied.
    pub objectives_degraded: u32,
    pub revision: u64,
    pub master: String,
    pub slow_path_packets: u64,
    pub slow_path: Vec<SlowPathView>,
    pub losses: Vec<LossView>,
    /// Updates that its data plane took since it started.
    pub updates_written: u64,
}

/// Packets that did not get to the agent, or from it to a controller.
#[derive(Debug, Serialize)]
pub struct LossView {
    pub reason: String,
    pub what: String,
    pub packets: u64,
}

impl From<agent_pb::Loss> for LossView {
    fn from(loss: agent_pb::Loss) -> Self {
        Self {
            reason: loss.reason,
            what: loss.what,
            packets: loss.packets,
        }
    }
}

/// What takes the slow path, and how often it did.
#[derive(Debug, Serialize)]
pub struct SlowPathView {
    pub what: String,
    pub source: String,
    pub fast: String,
    pub packets: u64,
}

impl From<agent_pb::SlowPathUse> for SlowPathView {
    fn from(slow: agent_pb::SlowPathUse) -> Self {
        Self {
            what: slow.what,
            source: slow.source,
            fast: slow.fast,
            packets: slow.packets,
        }
    }
}

impl From<agent_pb::AgentStatus> for AgentView {
    fn from(status: agent_pb::AgentStatus) -> Self {
        Self {
            name: status.name,
            device_id: status.device_id,
            version: status.version,
            boot_id: status.boot_id,
            target: status.target,
            pipeline: status.pipeline,
            uptime_seconds: status.uptime_seconds,
            ports_up: status.ports_up,
            ports_total: status.ports_total,
            objectives: Counts {
                applied: status.objectives_applied,
                pending: status.objectives_pending,
                failed: status.objectives_failed,
            },
            objectives_degraded: status.objectives_degraded,
            revision: status.revision,
            master: status.master,
            slow_path_packets: status.slow_path_packets,
            slow_path: status.slow_path.into_iter().map(Into::into).collect(),
            losses: status.losses.into_iter().map(Into::into).collect(),
            updates_written: status.updates_written,
        }
    }
}

impl From<pb::Device> for DeviceView {
    fn from(device: pb::Device) -> Self {
        let spec = device.spec.unwrap_or_default();
        Self {
            name: spec.name,
            device_id: spec.device_id,
            address: spec.address,
            reachable: device.reachable,
            message: device.message,
            master: device.master,
            term: device.term,
            objectives: Counts {
                applied: device.objectives_applied,
                pending: device.objectives_pending,
                failed: device.objectives_failed,
            },
            agent: device.agent.map(AgentView::from),
        }
    }
}

impl DeviceView {
    /// Does the controller reach it, and bring it what is wanted?
    pub fn is_in_sync(&self) -> bool {
        self.reachable && self.message.is_empty()
    }
}

/// The columns that are shown only if more are wanted.
pub const WIDE: &[&str] = &["TERM", "TARGET", "VERSION", "UPTIME", "REVISION", "WRITES"];

/// Devices for people; those that do not answer with the reason below them.
pub fn table(devices: &[DeviceView]) -> Table {
    let mut table = Table::new([
        "DEVICE", "ID", "ADDRESS", "STATE", "PIPELINE", "PORTS", "APPLIED", "PENDING", "FAILED",
        "MASTER", "TERM", "TARGET", "VERSION", "UPTIME", "REVISION", "WRITES",
    ]);
    for device in devices {
        let of_agent = |what: fn(&AgentView) -> String| {
            let what = device.agent.as_ref().map(what);
            Cell::number(what.unwrap_or_default())
        };
        let (state, style) = match (device.reachable, device.is_in_sync()) {
            (true, true) => ("up", words::GOOD),
            (true, false) => ("out of sync", words::BAD),
            (false, _) => ("unreachable", words::BAD),
        };
        let pipeline = device
            .agent
            .as_ref()
            .map_or("", |agent| match agent.pipeline.as_str() {
                "" => "none",
                pipeline => pipeline,
            });
        let ports = device.agent.as_ref().map_or(String::new(), |agent| {
            format!("{}/{}", agent.ports_up, agent.ports_total)
        });
        table.row([
            device.name.as_str().into(),
            Cell::number(device.device_id),
            device.address.as_str().into(),
            Cell::styled(state, style),
            pipeline.into(),
            ports.into(),
            Cell::number(device.objectives.applied),
            Cell::number(device.objectives.pending),
            Cell::number(device.objectives.failed),
            device.master.as_str().into(),
            Cell::number(device.term),
            of_agent(|agent| agent.target.clone()),
            of_agent(|agent| agent.version.clone()),
            of_agent(|agent| format!("{} s", agent.uptime_seconds)),
            of_agent(|agent| agent.revision.to_string()),
            of_agent(|agent| agent.updates_written.to_string()),
        ]);
        if !device.message.is_empty() {
            table.note(&*device.message);
        }
    }
    table
}

/// One agent, asked directly, for people.
pub fn agent_table(agent: &AgentView) -> Table {
    let mut table = Table::new(["AGENT", ""]);
    let pipeline = if agent.pipeline.is_empty() {
        "none"
    } else {
        &agent.pipeline
    };
    let master = if agent.master.is_empty() {
        "none"
    } else {
        &agent.master
    };
    let Counts {
        applied,
        pending,
        failed,
    } = agent.objectives;
    let rows = [
        ("name", agent.name.clone()),
        ("device id", agent.device_id.to_string()),
        ("version", agent.version.clone()),
        ("target", agent.target.clone()),
        ("pipeline", pipeline.to_owned()),
        ("uptime", format!("{} s", agent.uptime_seconds)),
        (
            "ports",
            format!("{} of {} up", agent.ports_up, agent.ports_total),
        ),
        (
            "objectives",
            match agent.objectives_degraded {
                0 => format!("{applied} applied, {pending} pending, {failed} failed"),
                degraded => format!(
                    "{applied} applied ({degraded} degraded), {pending} pending, {failed} failed"
                ),
            },
        ),
        ("revision", agent.revision.to_string()),
        ("master", master.to_owned()),
        ("slow path", format!("{} packets", agent.slow_path_packets)),
        ("writes", format!("{} updates", agent.updates_written)),
    ];
    for (name, value) in rows {
        table.row([name.into(), value.into()]);
    }
    for slow in &agent.slow_path {
        let mut note = format!("{} packets: {}", slow.packets, slow.what);
        for (before, text) in [(" at ", &slow.source), ("; in the kernel: ", &slow.fast)] {
            if !text.is_empty() {
                note = note + before + text;
            }
        }
        table.note(note);
    }
    for loss in &agent.losses {
        table.note(format!(
            "{} lost ({}): {}",
            loss.packets, loss.reason, loss.what
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn device(name: &str, reachable: bool) -> pb::Device {
        let address = format!("{name}.example:9559");
        let agent = agent_pb::AgentStatus {
            pipeline: "leaf_spine".into(),
            ports_up: 3,
            ports_total: 4,
            ..Default::default()
        };
        pb::Device {
            spec: Some(pb::DeviceSpec {
                name: name.into(),
                address,
                device_id: 7,
            }),
            reachable,
            message: if reachable {
                String::new()
            } else {
                "no agent answers there".into()
            },
            master: "controller-1".into(),
            term: 3,
            agent: reachable.then_some(agent),
            objectives_applied: 12,
            objectives_pending: 1,
            objectives_failed: 0,
        }
    }

    #[test]
    fn an_unreachable_device_is_shown_with_its_reason() {
        let devices = [device("leaf1", true), device("spine1", false)];
        let devices: Vec<_> = devices.into_iter().map(DeviceView::from).collect();
        expect![[r#"
            DEVICE  ID  ADDRESS              STATE        PIPELINE    PORTS  APPLIED  PENDING  FAILED  MASTER
            leaf1    7  leaf1.example:9559   up           leaf_spine  3/4         12        1       0  controller-1
            spine1   7  spine1.example:9559  unreachable                          12        1       0  controller-1
              no agent answers there
        "#]]
        .assert_eq(&table(&devices).without(WIDE).render(false));
    }
}
