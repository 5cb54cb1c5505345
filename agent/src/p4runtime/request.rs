//! Checks that every request goes through before anything else.

use pointsman_proto::p4::v1 as p4;
use tonic::Status;

use super::status;
use crate::agent::{Agent, Permit};
use crate::arbitration::{ElectionId, RoleName};

/// Is the request for this switch?
pub fn check_device(agent: &Agent, device_id: u64) -> Result<(), Status> {
    match agent.identity.device_id {
        ours if ours == device_id => Ok(()),
        ours => Err(status::unknown_device(device_id, ours)),
    }
}

/// Does the request come from the primary of its role? It stays primary while the permit is out.
pub fn permit<'a>(
    agent: &'a Agent,
    role: &str,
    id: Option<&p4::Uint128>,
) -> Result<Permit<'a>, Status> {
    let role = RoleName(role.to_owned());
    let permit = agent.mastership.admit(&role, id.map(election_id));
    permit.map_err(|error| status::arbitration(&error))
}

/// Roles are named since P4Runtime 1.4. One that has only a number is not the default role.
pub fn check_role(role: &str, role_id: u64) -> Result<(), Status> {
    match (role, role_id) {
        ("", id) if id != 0 => Err(Status::invalid_argument(format!(
            "role_id {id}: roles are named since P4Runtime 1.4; set role to the role's name"
        ))),
        _ => Ok(()),
    }
}

/// An election id as a number.
pub fn election_id(id: &p4::Uint128) -> ElectionId {
    ElectionId::new(id.high, id.low)
}
