//! What can be permitted, and which request needs what.

use std::fmt;

use serde::Deserialize;

/// Something that a client may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// All of the others.
    All,
    /// P4Runtime's Write.
    Write,
    /// P4Runtime's Read.
    Read,
    /// SetForwardingPipelineConfig.
    SetPipeline,
    /// GetForwardingPipelineConfig.
    GetPipeline,
    /// A stream with an election id, which may become the primary of its role.
    Primary,
    /// A stream without one, which is a backup for ever.
    Backup,
    /// Packets to the switch, on a stream.
    PacketOut,
    /// P4Runtime's Capabilities.
    Capabilities,
    /// The agent's service: status, ports, inventory, tables, objectives, and whether objectives would fit.
    Status,
    /// The agent's service: adding and removing ports.
    Ports,
    /// The agent's service: being the controller whose objectives the switch has, and having their entries put right.
    Objectives,
    /// gRPC's health service.
    Health,
    /// gRPC's reflection service.
    Reflection,
}

impl Permission {
    /// What it takes to be let through to a method, by its path. What is done on a stream
    /// is checked as it comes; to have one, either of two permissions is enough. `None` if
    /// there is no such method.
    pub fn of_method(path: &str) -> Option<&'static [Permission]> {
        use Permission as P;
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        Some(match (service, method) {
            ("p4.v1.P4Runtime", "Write") => &[P::Write],
            ("p4.v1.P4Runtime", "Read") => &[P::Read],
            ("p4.v1.P4Runtime", "SetForwardingPipelineConfig") => &[P::SetPipeline],
            ("p4.v1.P4Runtime", "GetForwardingPipelineConfig") => &[P::GetPipeline],
            ("p4.v1.P4Runtime", "StreamChannel") => &[P::Primary, P::Backup],
            ("p4.v1.P4Runtime", "Capabilities") => &[P::Capabilities],
            ("pointsman.agent.v1.Agent", "AddPort" | "RemovePort") => &[P::Ports],
            ("pointsman.agent.v1.Agent", "SyncObjectives" | "Repair") => &[P::Objectives],
            (
                "pointsman.agent.v1.Agent",
                "GetStatus" | "ListPorts" | "WatchInventory" | "ListTables" | "ListObjectives"
                | "CheckObjectives" | "GetDrift" | "Trace",
            ) => &[P::Status],
            ("grpc.health.v1.Health", _) => &[P::Health],
            ("grpc.reflection.v1.ServerReflection", _) => &[P::Reflection],
            _ => return None,
        })
    }

    /// As it stands in a policy.
    pub fn name(self) -> &'static str {
        match self {
            Permission::All => "all",
            Permission::Write => "write",
            Permission::Read => "read",
            Permission::SetPipeline => "set_pipeline",
            Permission::GetPipeline => "get_pipeline",
            Permission::Primary => "primary",
            Permission::Backup => "backup",
            Permission::PacketOut => "packet_out",
            Permission::Capabilities => "capabilities",
            Permission::Status => "status",
            Permission::Ports => "ports",
            Permission::Objectives => "objectives",
            Permission::Health => "health",
            Permission::Reflection => "reflection",
        }
    }
}

/// What a client does with it, after "may not".
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Permission::All => "do everything",
            Permission::Write => "write",
            Permission::Read => "read",
            Permission::SetPipeline => "set the pipeline",
            Permission::GetPipeline => "get the pipeline",
            Permission::Primary => "be primary",
            Permission::Backup => "be a backup",
            Permission::PacketOut => "send packets",
            Permission::Capabilities => "ask for capabilities",
            Permission::Status => "see status, ports, tables and objectives",
            Permission::Ports => "add and remove ports",
            Permission::Objectives => "synchronise objectives",
            Permission::Health => "ask for the health of services",
            Permission::Reflection => "ask for the interface",
        })
    }
}

#[cfg(test)]
mod tests {
    use pointsman_proto::FILE_DESCRIPTOR_SET;
    use prost::Message;

    use super::*;

    #[test]
    fn every_method_of_our_services_needs_a_permission() {
        let files = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET);
        let files = files.expect("they are our own").file;
        let mut seen = 0;
        for file in &files {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                // No agent serves these.
                let of_controllers = ["pointsman.controller.", "pointsman.peer."];
                if of_controllers.iter().any(|other| name.starts_with(other)) {
                    continue;
                }
                for method in &service.method {
                    let path = format!("/{name}/{}", method.name());
                    assert!(Permission::of_method(&path).is_some(), "{path}");
                    seen += 1;
                }
            }
        }
        assert!(seen >= 14, "{seen} methods");
        assert_eq!(Permission::of_method("/p4.v1.P4Runtime/Reset"), None);
    }
}
