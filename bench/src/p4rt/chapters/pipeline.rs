//! SetForwardingPipelineConfig: verified, saved, committed, reconciled.

use pointsman_proto::p4::config::v1 as info;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;

use super::prelude::*;

chapter! { "pipeline":
    Must unknown_device, SET_PIPELINE, "a device that the server does not have is NOT_FOUND";
    Must not_primary, SET_PIPELINE, "a client that is not primary is PERMISSION_DENIED";
    Must unspecified_action, SET_PIPELINE, "an action that is not set is INVALID_ARGUMENT";
    Must verify, SET_PIPELINE, "VERIFY accepts what can be realised and changes nothing";
    Must verify_without_config, SET_PIPELINE, "VERIFY without a config is INVALID_ARGUMENT";
    Must verify_nonsense, SET_PIPELINE, "VERIFY of a config that cannot be realised is INVALID_ARGUMENT";
    Must commit_clears, SET_PIPELINE, "VERIFY_AND_COMMIT clears the forwarding state";
    Must commit_without_config, SET_PIPELINE, "VERIFY_AND_COMMIT without a config is INVALID_ARGUMENT";
    Must commit_nonsense, SET_PIPELINE, "VERIFY_AND_COMMIT of nonsense is INVALID_ARGUMENT and keeps what was there";
    Must save_keeps_data_plane, SET_PIPELINE, "VERIFY_AND_SAVE does not touch the forwarding state";
    Must save_is_written, SET_PIPELINE, "after VERIFY_AND_SAVE Writes and Reads are of the saved config";
    Must commit_replays, SET_PIPELINE, "COMMIT realises the saved config and replays what was written since";
    Must commit_nothing_saved, SET_PIPELINE, "COMMIT without a saved config is NOT_FOUND";
    Must commit_with_config, SET_PIPELINE, "COMMIT with a config is INVALID_ARGUMENT";
    Must save_without_config, SET_PIPELINE, "VERIFY_AND_SAVE without a config is INVALID_ARGUMENT";
    May reconcile_keeps, SET_PIPELINE, "RECONCILE_AND_COMMIT keeps the forwarding state";
    May reconcile_refuses, SET_PIPELINE, "RECONCILE_AND_COMMIT that cannot keep it is INVALID_ARGUMENT";
    May reconcile_without_config, SET_PIPELINE, "RECONCILE_AND_COMMIT without a config is INVALID_ARGUMENT";
    Should platform_too_small, PKG_INFO, "platform properties that cannot be met refuse the p4info";
    Must platform_met, PKG_INFO, "platform properties that are met do not";
    Must wrong_prefix, ID_ALLOCATION, "an id whose prefix is not its kind's is refused";
    Must duplicate_id, ID_ALLOCATION, "ids are unique within a p4info";
    Must zero_id, DEFAULT_VALUES, "0 is not an object's id in a p4info";
}

fn exact() -> Entry {
    entry("exact_table").exact("k8", 1).exact("k16", 2).mark(5)
}

const PACKET: Probe = Probe {
    op: op::EXACT,
    k8: 1,
    k16: 2,
    k32: 0,
    k128: 0,
    k9: 0,
};

async fn unknown_device(t: Test) -> Outcome {
    let mut c = t.primary().await?;
    c.device_id += 1_000_003;
    let set = c
        .set(Action::VerifyAndCommit, Some(ENTITIES.config()))
        .await;
    refused("setting the pipeline", set, &[Code::NotFound])
}

async fn not_primary(t: Test) -> Outcome {
    let mut c = t.primary().await?;
    c.election_id = Some(t.next_id());
    let set = c
        .set(Action::VerifyAndCommit, Some(ENTITIES.config()))
        .await;
    refused("setting the pipeline", set, &[Code::PermissionDenied])
}

async fn unspecified_action(t: Test) -> Outcome {
    let mut c = t.primary().await?;
    let set = c.set(Action::Unspecified, Some(ENTITIES.config())).await;
    refused("action UNSPECIFIED", set, &[Code::InvalidArgument])
}

async fn verify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact()).await.ok()?;
    let set = c.set(Action::Verify, Some(TRANSLATION.config())).await;
    accepted("VERIFY", set)?;
    c.hits(PACKET, 5).await?;
    c.read(entry("exact_table")).await.is([exact()])
}

/// An action that needs a config, without one.
async fn without_config(t: Test, action: Action) -> Outcome {
    let mut c = t.switch().await?;
    refused(
        "no config",
        c.set(action, None).await,
        &[Code::InvalidArgument],
    )
}

async fn verify_without_config(t: Test) -> Outcome {
    without_config(t, Action::Verify).await
}

async fn commit_without_config(t: Test) -> Outcome {
    without_config(t, Action::VerifyAndCommit).await
}

async fn save_without_config(t: Test) -> Outcome {
    without_config(t, Action::VerifyAndSave).await
}

fn nonsense() -> Option<p4::ForwardingPipelineConfig> {
    Some(p4::ForwardingPipelineConfig {
        p4_device_config: b"{ this is no program".to_vec(),
        ..ENTITIES.config()
    })
}

async fn verify_nonsense(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let set = c.set(Action::Verify, nonsense()).await;
    refused("VERIFY of nonsense", set, &[Code::InvalidArgument])
}

async fn commit_nonsense(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact()).await.ok()?;
    let set = c.set(Action::VerifyAndCommit, nonsense()).await;
    refused(
        "VERIFY_AND_COMMIT of nonsense",
        set,
        &[Code::InvalidArgument],
    )?;
    c.hits(PACKET, 5).await
}

async fn commit_clears(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact()).await.ok()?;
    let set = c
        .set(Action::VerifyAndCommit, Some(ENTITIES.config()))
        .await;
    accepted("VERIFY_AND_COMMIT", set)?;
    c.read(entry("exact_table")).await.is_nothing()?;
    c.misses(PACKET, 0).await
}

async fn save_keeps_data_plane(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact()).await.ok()?;
    let set = c.set(Action::VerifyAndSave, Some(ENTITIES.config())).await;
    accepted("VERIFY_AND_SAVE", set)?;
    c.hits(PACKET, 5).await
}

async fn save_is_written(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact()).await.ok()?;
    let set = c
        .set(Action::VerifyAndSave, Some(CONSTRAINTS.config()))
        .await;
    accepted("VERIFY_AND_SAVE", set)?;
    let new = Entry::of(&CONSTRAINTS, "nexthop_table")
        .exact("nexthop", 1)
        .mark(1);
    c.insert(new.clone()).await.ok()?;
    c.read(Entry::of(&CONSTRAINTS, "nexthop_table"))
        .await
        .is([new])?;
    // The packets still meet the old program.
    c.hits(PACKET, 5).await
}

async fn commit_replays(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let set = c.set(Action::VerifyAndSave, Some(ENTITIES.config())).await;
    accepted("VERIFY_AND_SAVE", set)?;
    c.insert(exact()).await.ok()?;
    c.misses(PACKET, 0).await?;
    accepted("COMMIT", c.set(Action::Commit, None).await)?;
    c.hits(PACKET, 5).await?;
    c.read(entry("exact_table")).await.is([exact()])
}

async fn commit_nothing_saved(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    refused(
        "COMMIT",
        c.set(Action::Commit, None).await,
        &[Code::NotFound],
    )
}

async fn commit_with_config(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let set = c.set(Action::VerifyAndSave, Some(ENTITIES.config())).await;
    accepted("VERIFY_AND_SAVE", set)?;
    let set = c.set(Action::Commit, Some(ENTITIES.config())).await;
    refused("COMMIT with a config", set, &[Code::InvalidArgument])
}

/// RECONCILE_AND_COMMIT, which a server need not offer.
async fn reconcile(
    c: &mut Client,
    config: Option<p4::ForwardingPipelineConfig>,
) -> Outcome<Result<(), tonic::Status>> {
    match c.set(Action::ReconcileAndCommit, config).await {
        Err(status) if status.code() == Code::Unimplemented => {
            Err(Failure::NotOffered("RECONCILE_AND_COMMIT".to_owned()))
        }
        result => Ok(result),
    }
}

async fn reconcile_keeps(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact()).await.ok()?;
    let set = reconcile(&mut c, Some(ENTITIES.config())).await?;
    accepted("RECONCILE_AND_COMMIT", set)?;
    c.hits(PACKET, 5).await?;
    c.read(entry("exact_table")).await.is([exact()])
}

async fn reconcile_refuses(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact()).await.ok()?;
    let set = reconcile(&mut c, Some(CONSTRAINTS.config())).await?;
    refused(
        "a pipeline without that table",
        set,
        &[Code::InvalidArgument],
    )?;
    c.hits(PACKET, 5).await
}

async fn reconcile_without_config(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let set = reconcile(&mut c, None).await?;
    refused("no config", set, &[Code::InvalidArgument])
}

/// The main program with another p4info.
fn changed(change: impl FnOnce(&mut info::P4Info)) -> Option<p4::ForwardingPipelineConfig> {
    let mut config = ENTITIES.config();
    change(config.p4info.as_mut().expect("it has one"));
    Some(config)
}

/// The main program asking for a number of multicast groups.
fn platform(groups: i32) -> Option<p4::ForwardingPipelineConfig> {
    changed(|p4info| {
        let properties = info::PlatformProperties {
            multicast_group_table_size: groups,
            ..Default::default()
        };
        let package = p4info.pkg_info.get_or_insert_default();
        package.platform_properties = Some(properties);
    })
}

async fn platform_too_small(t: Test) -> Outcome {
    let mut c = t.primary().await?;
    let set = c.set(Action::Verify, platform(i32::MAX)).await;
    refused(
        "two billion multicast groups",
        set,
        &[Code::InvalidArgument],
    )
}

async fn platform_met(t: Test) -> Outcome {
    let mut c = t.primary().await?;
    accepted(
        "one multicast group",
        c.set(Action::Verify, platform(1)).await,
    )
}

async fn wrong_prefix(t: Test) -> Outcome {
    let mut c = t.primary().await?;
    let config = changed(|p4info| {
        let preamble = p4info.digests[0].preamble.as_mut().expect("it has one");
        preamble.id = preamble.id & 0x00ff_ffff | 0x0200_0000;
    });
    let set = c.set(Action::Verify, config).await;
    refused("a digest with a table's id", set, &[Code::InvalidArgument])
}

async fn duplicate_id(t: Test) -> Outcome {
    let mut c = t.primary().await?;
    let config = changed(|p4info| {
        let first = p4info.tables[0].preamble.as_ref().expect("it has one").id;
        p4info.tables[1].preamble.as_mut().expect("it has one").id = first;
    });
    let set = c.set(Action::Verify, config).await;
    refused("two tables with one id", set, &[Code::InvalidArgument])
}

async fn zero_id(t: Test) -> Outcome {
    let mut c = t.primary().await?;
    let config = changed(|p4info| {
        p4info.digests[0].preamble.as_mut().expect("it has one").id = 0;
    });
    let set = c.set(Action::Verify, config).await;
    refused("a digest with id 0", set, &[Code::InvalidArgument])
}
