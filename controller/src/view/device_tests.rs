//! The decisions of [`super::device`], one case each, and any mixture of them.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::device::{Batch, Command, DeviceView, Event, Freshness, step};
use super::item::Change;
use super::test_agent::TestAgent;

struct Case {
    view: DeviceView,
    agent: TestAgent,
    now: Instant,
}

impl Case {
    /// A view of an agent with two ports, before it is opened.
    fn new() -> Self {
        let mut agent = TestAgent::new("boot-1");
        agent.port(1, true);
        agent.port(2, false);
        let now = Instant::now();
        let view = DeviceView::new(now);
        Self { view, agent, now }
    }

    /// A view that is fresh.
    fn fresh() -> Self {
        let mut case = Self::new();
        assert_eq!(case.step(Event::Start), [Command::Open(None)]);
        case.open();
        assert!(case.is_fresh());
        case
    }

    fn step(&mut self, event: Event) -> Vec<Command> {
        step(&mut self.view, event, self.now)
    }

    /// The agent takes the request and sends what is missing.
    fn open(&mut self) -> Vec<Command> {
        self.step(Event::Opened);
        let batch = self.missing();
        self.step(Event::Batch(batch))
    }

    fn missing(&self) -> Batch {
        let position = self.view.inventory().position();
        self.agent.since(Some(position))
    }

    fn is_fresh(&self) -> bool {
        matches!(self.view.freshness(), Freshness::Fresh { .. })
    }

    fn lose(&mut self) -> Vec<Command> {
        self.step(Event::Lost("connection reset".into()))
    }

    fn is_equal(&self) -> bool {
        let inventory = self.view.inventory();
        let position = inventory.position();
        inventory.digest() == self.agent.digest()
            && (&*position.boot_id, position.sequence)
                == (&*self.agent.boot_id, self.agent.sequence)
    }
}

/// Everything is asked for anew, after a moment.
fn is_doubt(commands: &[Command]) -> bool {
    matches!(commands, [Command::Close, Command::Wait(_)])
}

#[test]
fn a_view_is_loading_until_a_snapshot_is_whole() {
    let mut case = Case::new();
    case.step(Event::Start);
    case.step(Event::Opened);
    let mut first = case.agent.since(None);
    let mut last = first.clone();
    first.changes.truncate(1);
    (first.more, first.digest) = (true, 0);
    last.changes.remove(0);
    last.is_snapshot = false;
    case.step(Event::Batch(first));
    assert!(!case.is_fresh());
    assert_eq!(case.view.inventory().counts().ports, 0);
    assert_eq!(case.step(Event::Batch(last)), []);
    assert!(case.is_fresh() && case.is_equal());
    let counts = case.view.inventory().counts();
    assert_eq!((counts.ports, counts.ports_up), (2, 1));
}

#[test]
fn changes_are_taken_in_their_order() {
    let mut case = Case::fresh();
    case.agent.port(2, true);
    case.agent.no_port(1);
    let batch = case.missing();
    assert_eq!(case.step(Event::Batch(batch)), []);
    assert!(case.is_equal());
    assert_eq!(case.view.inventory().counts().ports_up, 1);
}

#[test]
fn a_stream_that_breaks_makes_the_view_stale_and_goes_on_where_it_was() {
    let mut case = Case::fresh();
    let known = case.view.inventory().position().clone();
    assert!(is_doubt(&case.lose()));
    let doubt = case.view.freshness().doubt().map(str::to_owned);
    assert_eq!(doubt.as_deref(), Some("connection reset"));
    assert_eq!(
        case.view.inventory().counts().ports,
        2,
        "what was known stays"
    );
    case.agent.port(2, true);
    assert_eq!(case.step(Event::RetryDue), [Command::Open(Some(known))]);
    case.open();
    assert!(case.is_fresh() && case.is_equal());
}

#[test]
fn an_agent_that_has_restarted_replaces_what_was_known_at_once() {
    let mut case = Case::fresh();
    case.lose();
    case.agent = TestAgent::new("boot-2");
    case.agent.port(7, true);
    case.step(Event::RetryDue);
    case.open();
    assert!(case.is_fresh() && case.is_equal());
    assert!(case.view.inventory().port(1).is_none());
}

#[test]
fn a_change_that_is_missing_a_wrong_digest_and_another_boot_are_doubts() {
    let spoil: [fn(&mut Batch); 4] = [
        |batch| drop(batch.changes.remove(0)),
        |batch| batch.digest ^= 1,
        |batch| batch.position.boot_id = "boot-9".into(),
        |batch| batch.position.sequence += 1,
    ];
    for spoil in spoil {
        let mut case = Case::fresh();
        case.agent.port(2, true);
        case.agent.port(3, true);
        let mut batch = case.missing();
        spoil(&mut batch);
        let commands = case.step(Event::Batch(batch));
        assert!(is_doubt(&commands), "{commands:?}");
        assert!(!case.is_fresh());
        assert_eq!(case.step(Event::RetryDue), [Command::Open(None)]);
        case.step(Event::Opened);
        let edition = case.view.edition();
        case.step(Event::Batch(case.agent.since(None)));
        assert!(case.is_fresh() && case.is_equal());
        assert_eq!(case.view.edition(), edition + 1);
    }
}

#[test]
fn an_agent_of_a_later_version_is_believed_without_its_digest() {
    let mut case = Case::new();
    case.step(Event::Start);
    let wrong = |case: &Case| Batch {
        digest: case.agent.digest() ^ 1,
        ..case.agent.since(None)
    };
    case.step(Event::Opened);
    let batch = wrong(&case);
    assert!(is_doubt(&case.step(Event::Batch(batch))));
    case.step(Event::RetryDue);
    case.step(Event::Opened);
    let batch = wrong(&case);
    assert_eq!(case.step(Event::Batch(batch)), [], "once is enough");
    assert!(case.is_fresh() && case.view.is_unverified());
    // Numbers are still held to.
    case.agent.port(2, true);
    case.agent.port(3, true);
    let mut batch = case.missing();
    batch.digest ^= 1;
    batch.changes.remove(0);
    assert!(is_doubt(&case.step(Event::Batch(batch))));
}

#[test]
fn what_has_no_name_here_counts_as_a_change() {
    let mut case = Case::fresh();
    case.agent.port(2, true);
    let mut batch = case.missing();
    batch.changes[0].1 = Change::Unknown;
    assert_eq!(case.step(Event::Batch(batch)), []);
    assert!(case.is_fresh() && case.view.is_unverified());
    assert_eq!(
        case.view.inventory().position().sequence,
        case.agent.sequence
    );
}

#[test]
fn retries_become_slower_up_to_a_limit() {
    let mut case = Case::new();
    case.step(Event::Start);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let commands = case.lose();
        let Some(Command::Wait(delay)) = commands.last() else {
            panic!("{commands:?}")
        };
        waits.push(delay.as_millis());
    }
    assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    case.open();
    case.now += Duration::from_secs(60);
    assert_eq!(case.lose()[1], Command::Wait(Duration::from_millis(50)));
}

#[test]
fn who_watches_hears_of_a_fault_once() {
    let mut case = Case::fresh();
    case.lose();
    let generation = case.view.generation();
    case.lose();
    assert_eq!(case.view.generation(), generation);
    case.step(Event::Lost("no route".into()));
    assert_eq!(case.view.generation(), generation + 1);
}

#[derive(Debug, Clone)]
enum Happening {
    Port(u32, bool),
    NoPort(u32),
    Told,
    ToldWithout(usize),
    ToldTwice,
    Lost,
    Restarted,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0u32..6, any::<bool>()).prop_map(|(port, is_up)| Happening::Port(port, is_up)),
        2 => (0u32..6).prop_map(Happening::NoPort),
        4 => Just(Happening::Told),
        1 => (0usize..4).prop_map(Happening::ToldWithout),
        1 => Just(Happening::ToldTwice),
        1 => Just(Happening::Lost),
        1 => Just(Happening::Restarted),
    ]
}

proptest! {
    /// Whatever is lost, repeated or left out: a view that calls itself fresh right after a batch is what the agent has.
    #[test]
    fn a_fresh_view_is_what_the_agent_has(happenings in prop::collection::vec(happening(), 0..120)) {
        let mut case = Case::fresh();
        let mut is_open = true;
        let mut boots = 1;
        let mut asked = None;
        for happening in happenings.into_iter().chain([Happening::Told]) {
            let batches = match happening {
                Happening::Port(port, is_up) => { case.agent.port(port, is_up); continue }
                Happening::NoPort(port) => { case.agent.no_port(port); continue }
                Happening::Lost => { case.lose(); is_open = false; continue }
                Happening::Restarted => {
                    case.lose();
                    is_open = false;
                    boots += 1;
                    case.agent = TestAgent::new(&format!("boot-{boots}"));
                    continue
                }
                Happening::Told => vec![case.missing()],
                Happening::ToldTwice => vec![case.missing(), case.missing()],
                Happening::ToldWithout(index) => {
                    let mut batch = case.missing();
                    if index < batch.changes.len() {
                        batch.changes.remove(index);
                    }
                    vec![batch]
                }
            };
            let opens = !is_open;
            if opens {
                asked = match &case.step(Event::RetryDue)[..] {
                    [Command::Open(known)] => known.clone(),
                    other => panic!("{other:?}"),
                };
                case.step(Event::Opened);
                is_open = true;
            }
            let batches = if opens { vec![case.agent.since(asked.as_ref())] } else { batches };
            for batch in batches {
                if is_open {
                    let commands = case.step(Event::Batch(batch));
                    is_open = !is_doubt(&commands);
                    prop_assert_eq!(is_open, case.is_fresh());
                    prop_assert!(!is_open || case.is_equal());
                }
            }
        }
        if !is_open {
            let known = case.step(Event::RetryDue);
            prop_assert_eq!(known, vec![Command::Open(None)]);
            case.step(Event::Opened);
            case.step(Event::Batch(case.agent.since(None)));
        }
        prop_assert!(case.is_fresh() && case.is_equal());
    }
}
