//! Cases of the specification, each as events and the notices they cause.

use expect_test::{Expect, expect};

use super::*;

const DEVICE: u64 = 1;

/// Runs one event after the other and compares all commands, one a line. An event is
/// `stream role election_id`, with `-` for an unset id and `close` for a stream that ends.
fn check(highest: Option<u128>, events: &[&str], expected: Expect) {
    let kept = highest.map(|id| (RoleName::default(), ElectionId(id)));
    let mut arbitration = Arbitration::new(DEVICE, 3, kept);
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
        role_config: None,
        election_id: words[2].parse().ok().map(ElectionId),
    }
}

fn show(command: &Command) -> String {
    match command {
        Command::Persist { highest, .. } => format!("persist {}", highest.0),
        Command::Notify { stream, notice } => format!(
            "{} is {:?}, highest {:?}",
            stream.0,
            notice.standing,
            notice.highest.map(|id| id.0)
        ),
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
fn another_device_and_too_many_streams_are_refused() {
    check(
        None,
        &["1 _ 1 7", "1 _ 1", "2 a 1", "3 b 1", "4 c 1"],
        expect![[r#"
            > 1 _ 1 7
            1 ended: NotFound
            > 1 _ 1
            persist 1
            1 is Primary, highest Some(1)
            > 2 a 1
            persist 1
            2 is Primary, highest Some(1)
            > 3 b 1
            persist 1
            3 is Primary, highest Some(1)
            > 4 c 1
            4 ended: ResourceExhausted
        "#]],
    );
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
    let mut arbitration = Arbitration::new(DEVICE, 3, None);
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
