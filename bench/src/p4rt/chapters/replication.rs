//! Multicast groups and clone sessions.

use super::prelude::*;
use crate::p4rt::entry::{clone_entity, clone_session, multicast, multicast_entity, replica};

chapter! { "replication":
    Must written, MULTICAST, "a multicast group can be inserted, modified, read and deleted";
    Must existing, MULTICAST, "INSERT of a group that is there is ALREADY_EXISTS";
    Must missing, MULTICAST, "MODIFY and DELETE of a group that is not there are NOT_FOUND";
    Must group_zero, MULTICAST, "multicast_group_id 0 is INVALID_ARGUMENT";
    Must duplicate_replica, MULTICAST, "a port and instance that are there twice are INVALID_ARGUMENT";
    Must same_port, MULTICAST, "one port may have several instances";
    Must instance_zero, MULTICAST, "instance 0 is allowed";
    Must instance_too_large, MULTICAST, "an instance that the target cannot have is INVALID_ARGUMENT";
    Must metadata, MULTICAST, "metadata is returned with the group";
    Must copies, MULTICAST, "a packet is copied to each replica, with its instance";
    Must changed_copies, MULTICAST, "MODIFY replaces the replicas";
    Must unknown_group_drops, MULTICAST, "a packet for a group that is not there is dropped";
    Must deleted_group_drops, MULTICAST, "a packet for a group that was deleted is dropped";
    Must read_takes_id, MULTICAST, "a Read looks at the id only";
    Must read_all, MULTICAST, "id 0 reads all groups";
    Must delete_takes_id, MULTICAST, "DELETE looks at the id only";
    May backups, MULTICAST, "backup replicas are taken and read back in order";
    May backup_same_port, MULTICAST, "a replica with the port of one of its backups is INVALID_ARGUMENT";
    May backup_duplicate, MULTICAST, "a port and instance that another replica's backup has are INVALID_ARGUMENT";
    Must clone_written, CLONE_SESSION, "a clone session can be inserted, modified, read and deleted";
    Must clone_existing, CLONE_SESSION, "INSERT of a session that is there is ALREADY_EXISTS";
    Must clone_missing, CLONE_SESSION, "MODIFY and DELETE of a session that is not there are NOT_FOUND";
    Must clone_zero, CLONE_SESSION, "session_id 0 is INVALID_ARGUMENT";
    Must clone_copies, CLONE_SESSION, "a packet that is cloned goes on, and its copy goes to the session's replica";
    Must clone_unknown, CLONE_SESSION, "a session that is not there makes no clone";
    Must clone_deleted, CLONE_SESSION, "a session that was deleted makes no clone";
    Must clone_truncates, CLONE_SESSION, "a clone is cut to packet_length_bytes";
    Must clone_whole, CLONE_SESSION, "a clone is whole where packet_length_bytes is 0";
    May clone_class_of_service, CLONE_SESSION, "a class of service is taken and read back";
    Must clone_read_takes_id, CLONE_SESSION, "a Read looks at the id only";
    Must clone_read_all, CLONE_SESSION, "id 0 reads all sessions";
    May clone_several_replicas, CLONE_SESSION, "a session may have several replicas";
    Must empty_entity, WRITE, "a packet replication entity of no kind is INVALID_ARGUMENT";
}

fn group(id: u32, replicas: &[(u32, u32)]) -> Entity {
    multicast_entity(multicast(id, replicas))
}

fn session(id: u32, replicas: &[(u32, u32)]) -> Entity {
    clone_entity(clone_session(id, replicas))
}

async fn written(t: Test) -> Outcome {
    let (mut c, port) = (t.switch().await?, t.port());
    c.insert(group(1, &[(port, 1)])).await.ok()?;
    c.read(group(1, &[])).await.is([group(1, &[(port, 1)])])?;
    c.modify(group(1, &[(port, 2)])).await.ok()?;
    c.read(group(1, &[])).await.is([group(1, &[(port, 2)])])?;
    c.delete(group(1, &[])).await.ok()?;
    c.read(group(0, &[])).await.is_nothing()
}

async fn existing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(group(1, &[(t.port(), 1)])).await.ok()?;
    c.insert(group(1, &[(t.port(), 2)]))
        .await
        .refused(Code::AlreadyExists)
}

async fn missing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(group(1, &[(t.port(), 1)]))
        .await
        .refused(Code::NotFound)?;
    c.delete(group(1, &[])).await.refused(Code::NotFound)
}

async fn group_zero(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(group(0, &[(t.port(), 1)]))
        .await
        .refused(Code::InvalidArgument)
}

async fn duplicate_replica(t: Test) -> Outcome {
    let (mut c, port) = (t.switch().await?, t.port());
    c.insert(group(1, &[(port, 1), (port, 1)]))
        .await
        .refused(Code::InvalidArgument)
}

async fn same_port(t: Test) -> Outcome {
    let (mut c, port) = (t.switch().await?, t.port());
    c.insert(group(1, &[(port, 1), (port, 2)])).await.ok()?;
    c.read(group(1, &[]))
        .await
        .is([group(1, &[(port, 1), (port, 2)])])
}

async fn instance_zero(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(group(1, &[(t.port(), 0)])).await.ok()?;
    c.read(group(1, &[])).await.is([group(1, &[(t.port(), 0)])])
}

async fn instance_too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    // egress_rid has 16 bits in this architecture.
    let large = group(1, &[(t.port(), 0x1_0000)]);
    c.insert(large).await.refused(Code::InvalidArgument)
}

async fn metadata(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let mut noted = multicast(1, &[(t.port(), 1)]);
    noted.metadata = vec![0, 1, 0xff];
    c.insert(multicast_entity(noted.clone())).await.ok()?;
    c.read(group(1, &[])).await.is([multicast_entity(noted)])
}

/// The controller's port, as packets see it.
async fn cpu_port(c: &mut Client) -> Outcome<u32> {
    let port = c.probe(Probe::to(op::ECHO)).await?.port;
    u32::try_from(port).map_err(|_| Failure::differs("the port", "a number", format!("{port}")))
}

async fn instances(c: &mut Client, group: u16, copies: usize) -> Outcome<Vec<u128>> {
    let seen = c
        .copies(Probe::to(op::MULTICAST).k16(group), copies)
        .await?;
    Ok(seen.into_iter().map(|seen| seen.instance).collect())
}

async fn copies(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let port = cpu_port(&mut c).await?;
    c.insert(group(7, &[(port, 1), (port, 0x1234)]))
        .await
        .ok()?;
    same("instances", instances(&mut c, 7, 2).await?, vec![1, 0x1234])
}

async fn changed_copies(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let port = cpu_port(&mut c).await?;
    c.insert(group(7, &[(port, 1), (port, 2)])).await.ok()?;
    c.modify(group(7, &[(port, 3)])).await.ok()?;
    same("instances", instances(&mut c, 7, 1).await?, vec![3])
}

async fn unknown_group_drops(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    instances(&mut c, 9, 0).await.map(drop)
}

async fn deleted_group_drops(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let port = cpu_port(&mut c).await?;
    c.insert(group(7, &[(port, 1)])).await.ok()?;
    c.delete(group(7, &[])).await.ok()?;
    instances(&mut c, 7, 0).await.map(drop)
}

async fn read_takes_id(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(group(1, &[(t.port(), 1)])).await.ok()?;
    c.read(group(1, &[(t.port(), 77)]))
        .await
        .is([group(1, &[(t.port(), 1)])])
}

async fn read_all(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let groups = [group(1, &[(t.port(), 1)]), group(2, &[(t.port(), 2)])];
    c.write(groups.clone().map(insert)).await.ok()?;
    c.read(group(0, &[])).await.is(groups)
}

async fn delete_takes_id(t: Test) -> Outcome {
    let (mut c, port) = (t.switch().await?, t.port());
    c.insert(group(1, &[(port, 1)])).await.ok()?;
    c.delete(group(1, &[(port, 9), (port, 9)])).await.ok()
}

/// A group of one replica with these backups.
fn with_backups(port: u32, backups: &[(u32, u32)]) -> Entity {
    let mut replica = replica(port, 1);
    let backups = backups.iter().map(|&(port, instance)| p4::BackupReplica {
        port: canonical(port.into()),
        instance,
    });
    replica.backup_replicas = backups.collect();
    let mut group = multicast(1, &[]);
    group.replicas = vec![replica];
    multicast_entity(group)
}

async fn backups(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let cpu = cpu_port(&mut c).await?;
    let backed = with_backups(t.port(), &[(cpu, 9), (cpu, 2)]);
    c.insert(backed.clone()).await.ok_if_offered()?;
    c.read(group(1, &[])).await.is([backed])
}

async fn backup_same_port(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = with_backups(t.port(), &[(t.port(), 9)]);
    c.insert(wrong)
        .await
        .offered()?
        .refused(Code::InvalidArgument)
}

async fn backup_duplicate(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let cpu = cpu_port(&mut c).await?;
    let wrong = with_backups(t.port(), &[(cpu, 9), (cpu, 9)]);
    c.insert(wrong)
        .await
        .offered()?
        .refused(Code::InvalidArgument)
}

async fn clone_written(t: Test) -> Outcome {
    let (mut c, port) = (t.switch().await?, t.port());
    c.insert(session(1, &[(port, 1)])).await.ok()?;
    c.read(session(1, &[]))
        .await
        .is([session(1, &[(port, 1)])])?;
    c.modify(session(1, &[(port, 2)])).await.ok()?;
    c.read(session(1, &[]))
        .await
        .is([session(1, &[(port, 2)])])?;
    c.delete(session(1, &[])).await.ok()?;
    c.read(session(0, &[])).await.is_nothing()
}

async fn clone_existing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(session(1, &[(t.port(), 1)])).await.ok()?;
    c.insert(session(1, &[(t.port(), 2)]))
        .await
        .refused(Code::AlreadyExists)
}

async fn clone_missing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(session(1, &[(t.port(), 1)]))
        .await
        .refused(Code::NotFound)?;
    c.delete(session(1, &[])).await.refused(Code::NotFound)
}

async fn clone_zero(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(session(0, &[(t.port(), 1)]))
        .await
        .refused(Code::InvalidArgument)
}

async fn clone_copies(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let port = cpu_port(&mut c).await?;
    c.insert(session(7, &[(port, 5)])).await.ok()?;
    let seen = c.copies(Probe::to(op::CLONE).k16(7), 2).await?;
    let kinds: Vec<_> = seen.iter().map(|seen| seen.copy != 0).collect();
    same("copies among the packets", kinds, vec![false, true])?;
    same("the copy's instance", seen[1].instance, 5)
}

async fn clone_unknown(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.copies(Probe::to(op::CLONE).k16(9), 1).await.map(drop)
}

async fn clone_deleted(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let port = cpu_port(&mut c).await?;
    c.insert(session(7, &[(port, 5)])).await.ok()?;
    c.delete(session(7, &[])).await.ok()?;
    c.copies(Probe::to(op::CLONE).k16(7), 1).await.map(drop)
}

/// The lengths of a packet of 400 bytes and its clone.
async fn lengths(c: &mut Client, port: u32, limit: i32) -> Outcome<Vec<usize>> {
    let mut cut = clone_session(7, &[(port, 5)]);
    cut.packet_length_bytes = limit;
    c.insert(clone_entity(cut)).await.ok()?;
    let seen = c
        .copies_of(Probe::to(op::CLONE).k16(7), payload(400), 2)
        .await?;
    Ok(seen.into_iter().map(|seen| seen.payload.len()).collect())
}

async fn clone_truncates(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let port = cpu_port(&mut c).await?;
    let lengths = lengths(&mut c, port, 100).await?;
    // The clone's length counts the headers that the program takes off again.
    let right = lengths[0] == 400 && lengths[1] < 101;
    holds(
        "bytes of packet and clone",
        "400, and at most 100",
        right,
        lengths,
    )
}

async fn clone_whole(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let port = cpu_port(&mut c).await?;
    same(
        "bytes of packet and clone",
        lengths(&mut c, port, 0).await?,
        vec![400, 400],
    )
}

async fn clone_class_of_service(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let mut classed = clone_session(1, &[(t.port(), 1)]);
    classed.class_of_service = 2;
    let written = c.insert(clone_entity(classed.clone())).await.offered()?;
    if written.result.is_err() {
        let refused = written.refused(Code::InvalidArgument);
        return refused.and(Err(Failure::NotOffered(
            "a class of service of 2".to_owned(),
        )));
    }
    c.read(session(1, &[])).await.is([clone_entity(classed)])
}

async fn clone_read_takes_id(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(session(1, &[(t.port(), 1)])).await.ok()?;
    c.read(session(1, &[(t.port(), 77)]))
        .await
        .is([session(1, &[(t.port(), 1)])])
}

async fn clone_read_all(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let sessions = [session(1, &[(t.port(), 1)]), session(2, &[(t.port(), 2)])];
    c.write(sessions.clone().map(insert)).await.ok()?;
    c.read(session(0, &[])).await.is(sessions)
}

async fn clone_several_replicas(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let port = cpu_port(&mut c).await?;
    c.insert(session(7, &[(port, 5), (port, 6)]))
        .await
        .ok_if_offered()?;
    let seen = c.copies(Probe::to(op::CLONE).k16(7), 3).await?;
    let instances: Vec<_> = seen.iter().map(|seen| seen.instance).collect();
    same("instances", instances, vec![0, 5, 6])
}

async fn empty_entity(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let nothing = Entity::PacketReplicationEngineEntry(Default::default());
    c.insert(nothing).await.refused(Code::InvalidArgument)
}
