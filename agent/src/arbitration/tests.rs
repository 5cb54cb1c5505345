//! Cases of the specification, each as events and the notices they cause.

use std::collections::BTreeSet;
use std::sync::Arc;

use expect_test::{Expect, expect};

use tonic::Code;

use super::*;

const DEVICE: u64 = 1;

const BOUNDS: Bounds = Bounds {
    streams_per_role: 3,
    roles: 2,
};

/// Runs one event after the other and compares all commands, one a line. An event is
/// `stream role election_id device config`, with `-` for an unset id and `close` for a stream that ends;
/// a config is ids with commas, `e7` exclusive and `s7` shared.
fn check(highest: Option<u128>, events: &[&str], expected: Expect) {
    let kept = highest.map(|highest| Kept {
        role: RoleName::default(),
        highest: ElectionId(highest),
        config: None,
    });
    let mut arbitration = Arbitration::new(DEVICE, BOUNDS, kept);
    let mut text = String::new();
    for event in events {
        text += &format!("> {event}\n");
        for command in arbitration.step(parse(event)) {
            text += &show(&command);
            text += "\n";
        }
    }
    expected.assert_eq(&text);
}

fn parse(event: &str) -> Event {
    let words: Vec<_> = event.split_whitespace().collect();
    let stream = StreamId(words[0].parse().expect("a stream number"));
    if words[1] == "close" {
        return Event::Closed { stream };
    }
    let device = words
        .get(3)
        .map_or(DEVICE, |d| d.parse().expect("a device"));
    Event::Update {
        stream,
        device_id: device,
        role: RoleName(words[1].trim_matches('_').to_owned()),
        role_config: Ok(config_of(words.get(4))),
        election_id: words[2].parse().ok().map(ElectionId),
    }
}

fn config_of(word: Option<&&str>) -> Option<Arc<RoleConfig>> {
    let mut config = RoleConfig {
        message: word?.as_bytes().into(),
        exclusive: BTreeSet::new(),
        shared: BTreeSet::new(),
        packet_ins: PacketIns::None,
        can_push_pipeline: false,
    };
    for id in word?.split(',') {
        let (kind, id) = id.split_at(1);
        let ids = match kind {
            "e" => &mut config.exclusive,
            _ => &mut config.shared,
        };
        ids.insert(id.parse().expect("an id"));
    }
    Some(Arc::new(config))
}

fn show_config(config: &RoleConfig) -> String {
    String::from_utf8_lossy(&config.message).into_owned()
}

fn show(command: &Command) -> String {
    match command {
        Command::Persist(kept) => match &kept.config {
            None => format!("persist {}", kept.highest.0),
            Some(config) => format!("persist {} with {}", kept.highest.0, show_config(config)),
        },
        Command::Notify { stream, notice } => {
            let config = notice.role_config.as_deref().map(show_config);
            let config = config.map_or_else(String::new, |config| format!(", config {config}"));
            let highest = notice.highest.map(|id| id.0);
            format!(
                "{} is {:?}, highest {highest:?}{config}",
                stream.0, notice.standing
            )
        }
        Command::Refuse { stream, error } => format!("{} ended: {:?}", stream.0, error.code()),
    }
}

#[test]
fn a_higher_id_takes_over_and_the_others_hear_of_it_first() {
    check(
        None,
        &["1 _ 10", "2 _ 5", "3 _ 11"],
        expect![[r#"
            > 1 _ 10
            persist 10
            1 is Primary, highest Some(10)
            > 2 _ 5
            2 is Backup, highest Some(10)
            > 3 _ 11
            persist 11
            1 is Backup, highest Some(11)
            2 is Backup, highest Some(11)
            3 is Primary, highest Some(11)
        "#]],
    );
}

#[test]
fn a_lost_primary_leaves_none_until_somebody_reaches_the_highest_id() {
    check(
        None,
        &["1 _ 10", "2 _ 5", "1 close", "2 _ 9", "2 _ 10"],
        expect![[r#"
            > 1 _ 10
            persist 10
            1 is Primary, highest Some(10)
            > 2 _ 5
            2 is Backup, highest Some(10)
            > 1 close
            2 is NoPrimary, highest Some(10)
            > 2 _ 9
            2 is NoPrimary, highest Some(10)
            > 2 _ 10
            2 is Primary, highest Some(10)
        "#]],
    );
}

#[test]
fn an_unset_id_is_a_backup_for_ever_and_zero_is_set() {
    check(
        None,
        &["1 _ -", "2 _ -", "3 _ 0"],
        expect![[r#"
            > 1 _ -
            1 is NoPrimary, highest None
            > 2 _ -
            2 is NoPrimary, highest None
            > 3 _ 0
            persist 0
            1 is Backup, highest Some(0)
            2 is Backup, highest Some(0)
            3 is Primary, highest Some(0)
        "#]],
    );
}

#[test]
fn a_primary_that_lowers_itself_leaves_none() {
    check(
        None,
        &["1 _ 10", "2 _ 5", "1 _ 4"],
        expect![[r#"
            > 1 _ 10
            persist 10
            1 is Primary, highest Some(10)
            > 2 _ 5
            2 is Backup, highest Some(10)
            > 1 _ 4
            2 is NoPrimary, highest Some(10)
            1 is NoPrimary, highest Some(10)
        "#]],
    );
}

#[test]
fn a_live_id_cannot_be_used_twice_and_a_stream_keeps_its_role() {
    check(
        None,
        &["1 _ 10", "2 _ 10", "1 other 11", "3 _ 10"],
        expect![[r#"
            > 1 _ 10
            persist 10
            1 is Primary, highest Some(10)
            > 2 _ 10
            2 ended: InvalidArgument
            > 1 other 11
            1 ended: FailedPrecondition
            > 3 _ 10
            3 is Primary, highest Some(10)
        "#]],
    );
}

#[test]
fn another_device_is_not_found_and_a_role_has_so_many_streams_at_most() {
    check(
        None,
        &[
            "1 _ 1 7", "1 _ 1", "2 _ -", "3 _ -", "4 _ 2", "2 close", "4 _ 2",
        ],
        expect![[r#"
            > 1 _ 1 7
            1 ended: NotFound
            > 1 _ 1
            persist 1
            1 is Primary, highest Some(1)
            > 2 _ -
            2 is Backup, highest Some(1)
            > 3 _ -
            3 is Backup, highest Some(1)
            > 4 _ 2
            4 ended: ResourceExhausted
            > 2 close
            > 4 _ 2
            persist 2
            1 is Backup, highest Some(2)
            3 is Backup, highest Some(2)
            4 is Primary, highest Some(2)
        "#]],
    );
}

#[test]
fn there_are_so_many_roles_at_most_and_one_that_had_no_primary_is_forgotten() {
    check(
        None,
        &[
            "1 a -", "2 b 1", "3 c 1", "1 close", "3 c 1", "4 _ 1", "2 close", "5 d 1",
        ],
        expect![[r#"
            > 1 a -
            1 is NoPrimary, highest None
            > 2 b 1
            persist 1
            2 is Primary, highest Some(1)
            > 3 c 1
            3 ended: ResourceExhausted
            > 1 close
            > 3 c 1
            persist 1
            3 is Primary, highest Some(1)
            > 4 _ 1
            persist 1
            4 is Primary, highest Some(1)
            > 2 close
            > 5 d 1
            5 ended: ResourceExhausted
        "#]],
    );
}

/// Section 5.3: "The server updates the role configuration to role.config"; section 5.4: it is "set to
/// the role configuration the server received most recently [...] from a primary".
#[test]
fn every_primary_replaces_the_configuration_and_backups_do_not() {
    check(
        None,
        &[
            "1 a 5 1 e1",
            "2 a 4 1 e2",
            "1 a 5 1 e3",
            "1 a 5 1 e3",
            "1 close",
            "2 a 6",
        ],
        expect![[r#"
            > 1 a 5 1 e1
            persist 5 with e1
            1 is Primary, highest Some(5), config e1
            > 2 a 4 1 e2
            2 is Backup, highest Some(5), config e1
            > 1 a 5 1 e3
            persist 5 with e3
            2 is Backup, highest Some(5), config e3
            1 is Primary, highest Some(5), config e3
            > 1 a 5 1 e3
            2 is Backup, highest Some(5), config e3
            1 is Primary, highest Some(5), config e3
            > 1 close
            2 is NoPrimary, highest Some(5), config e3
            > 2 a 6
            persist 6
            2 is Primary, highest Some(6)
        "#]],
    );
}

/// Section 5.3, 1.3 and 2.3.
#[test]
fn configurations_that_cannot_be_beside_each_other_end_the_stream() {
    check(
        None,
        &[
            "1 a 1 1 e1,s2",
            "2 b 1 1 e1",
            "2 b 1 1 s2,e3",
            "3 _ 1 1 e9",
            "2 b 1 1 e2",
        ],
        expect![[r#"
            > 1 a 1 1 e1,s2
            persist 1 with e1,s2
            1 is Primary, highest Some(1), config e1,s2
            > 2 b 1 1 e1
            2 ended: InvalidArgument
            > 2 b 1 1 s2,e3
            persist 1 with s2,e3
            2 is Primary, highest Some(1), config s2,e3
            > 3 _ 1 1 e9
            3 ended: InvalidArgument
            > 2 b 1 1 e2
            2 ended: InvalidArgument
        "#]],
    );
}

#[test]
fn a_bad_configuration_is_an_invalid_argument_after_the_checks_of_device_and_election_id() {
    let mut arbitration = Arbitration::new(DEVICE, BOUNDS, None);
    let bad = |stream, device_id, election_id| Event::Update {
        stream: StreamId(stream),
        device_id,
        role: RoleName("a".to_owned()),
        role_config: Err(RoleConfigError::FilterWithoutPackets),
        election_id: Some(ElectionId(election_id)),
    };
    arbitration.step(parse("1 a 5"));
    let mut code = |event| match arbitration.step(event).as_slice() {
        [Command::Refuse { error, .. }] => error.code(),
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(code(bad(2, 7, 5)), Code::NotFound);
    assert_eq!(code(bad(2, DEVICE, 5)), Code::InvalidArgument);
    assert_eq!(code(bad(2, DEVICE, 6)), Code::InvalidArgument);
    assert!(
        arbitration
            .check_write(&RoleName("a".to_owned()), Some(ElectionId(5)))
            .is_ok()
    );
}

/// Section "Write RPC": NOT_FOUND "if role does not match any of the roles for the device".
#[test]
fn a_role_that_nobody_has_named_is_not_found_but_the_default_role_is_always_there() {
    let arbitration = Arbitration::new(DEVICE, BOUNDS, None);
    let code = |role: &str| {
        let role = RoleName(role.to_owned());
        let refused = arbitration.check_write(&role, Some(ElectionId(1)));
        refused.expect_err("nobody is primary").code()
    };
    assert_eq!(code("a"), Code::NotFound);
    assert_eq!(code(""), Code::PermissionDenied);
}

#[test]
fn an_id_below_the_highest_of_an_earlier_run_does_not_win() {
    check(
        Some(20),
        &["1 _ 19", "1 _ 20"],
        expect![[r#"
            > 1 _ 19
            1 is NoPrimary, highest Some(20)
            > 1 _ 20
            1 is Primary, highest Some(20)
        "#]],
    );
}

#[test]
fn only_the_primary_may_write() {
    let mut arbitration = Arbitration::new(DEVICE, BOUNDS, None);
    let role = RoleName::default();
    let id = |id| Some(ElectionId(id));
    assert!(arbitration.check_write(&role, id(1)).is_err());
    arbitration.step(parse("1 _ 5"));
    assert!(arbitration.check_write(&role, id(5)).is_ok());
    assert!(arbitration.check_write(&role, id(6)).is_err());
    assert!(arbitration.check_write(&role, None).is_err());
    arbitration.step(parse("1 close"));
    assert!(arbitration.check_write(&role, id(5)).is_err());
}
