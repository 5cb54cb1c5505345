//! What changes to realised objectives write, in which order, and what they leave behind.

use std::collections::HashMap;

use expect_test::{Expect, expect};
use pointsman_model::{Kind, Name, Objective, ObjectiveId};
use pointsman_proto::pointsman::objective::v1::Reason;
use proptest::prelude::*;

use super::support::{Pipeline, leaf_spine, objectives, ports, text_of};
use pointsman_p4::entity::{Entity, Operation, Update};
use pointsman_pipeliner::{Book, Ids};

const SPINES: &str = "
    - next: spines
      type: hashed
      buckets:
        - { set: { eth_src: 00:00:00:00:01:00, eth_dst: 00:00:00:00:02:01 }, output: 49 }
        - { set: { eth_src: 00:00:00:00:01:00, eth_dst: 00:00:00:00:02:02 }, output: 50 }";
const ONE_SPINE: &str = "
    - next: spines
      type: simple
      buckets:
        - { set: { eth_src: 00:00:00:00:01:00, eth_dst: 00:00:00:00:02:01 }, output: 49 }";
const ROUTE: &str = "
    - forward: rack2
      flag: specific
      selector: { ipv4_dst: 10.0.2.0/24 }
      next: spines";
const WIDER_ROUTE: &str = "
    - forward: rack2
      flag: specific
      selector: { ipv4_dst: 10.0.2.0/23 }
      next: spines";
const ACCESS: &str = "
    - filter: access
      key: { in_port: 1 }
      conditions: { vlan_vid: untagged }
      treatment: { push_vlan: 10 }";
const FLOOD: &str = "
    - next: flood
      type: broadcast
      meta: { vlan_vid: 10 }
      buckets: [ { pop_vlan: true, output: 1 } ]";
const BUCKET: &str = "
    - next: to-h1
      type: simple
      buckets: [ { output: 1 } ]";
const MOVED_BUCKET: &str = "
    - next: to-h1
      type: simple
      buckets: [ { output: 2 } ]";
const NESTED: &str = "
    - next: flood
      type: broadcast
      buckets: [ { next: to-h1 }, { output: 7 } ]";

fn one(yaml: &str) -> Objective {
    objectives(yaml).remove(0)
}

fn id(kind: Kind, name: &str) -> ObjectiveId {
    let name = Name::new(name).expect("a name");
    ObjectiveId { kind, name }
}

/// A book with these realised.
fn book_with(pipeline: &Pipeline, objectives: &[&str]) -> Book {
    let mut book = Book::new(Ids::default());
    for yaml in objectives {
        let staged = pipeline
            .pipeliner
            .put(&book, &ports(), &one(yaml))
            .expect("it can be realised");
        book.commit(staged);
    }
    book
}

fn check_put(before: &[&str], put: &str, expected: Expect) {
    let pipeline = leaf_spine();
    let book = book_with(&pipeline, before);
    let staged = pipeline
        .pipeliner
        .put(&book, &ports(), &one(put))
        .expect("it can be realised");
    expected.assert_eq(&text_of(&pipeline.schema, &staged.updates()));
}

#[test]
fn the_same_objective_again_writes_nothing() {
    check_put(&[SPINES, ROUTE], ROUTE, expect![[""]]);
}

#[test]
fn a_replaced_route_is_there_before_the_old_one_goes() {
    check_put(
        &[SPINES, ROUTE],
        WIDER_ROUTE,
        expect![[r#"
        insert LeafSpineIngress.routing.routing_v4: ipv4_dst=0xa000200/23 -> set_next_id_routing_v4(next_id=0x1)
        delete LeafSpineIngress.routing.routing_v4: ipv4_dst=0xa000200/24 -> set_next_id_routing_v4(next_id=0x1)
    "#]],
    );
}

#[test]
fn a_next_that_changes_its_type_keeps_its_id_and_its_forwards() {
    check_put(
        &[SPINES, ROUTE],
        ONE_SPINE,
        expect![[r#"
        insert LeafSpineIngress.next.simple: next_id=0x1 -> routing_simple(port=0x31, src_mac=0x100, dst_mac=0x201)
        delete LeafSpineIngress.next.hashed: next_id=0x1 -> one of routing_hashed(port=0x31, src_mac=0x100, dst_mac=0x201)*1 | routing_hashed(port=0x32, src_mac=0x100, dst_mac=0x202)*1
    "#]],
    );
}

#[test]
fn a_next_in_the_bucket_of_another_takes_that_one_along() {
    check_put(
        &[BUCKET, NESTED],
        MOVED_BUCKET,
        expect![[r#"
        modify multicast group 1 -> port 2#1, port 7#1
        modify LeafSpineIngress.next.simple: next_id=0x1 -> output_simple(port=0x2)
    "#]],
    );
}

#[test]
fn a_shared_entry_stays_until_its_last_owner_goes() {
    let pipeline = leaf_spine();
    let mut book = book_with(&pipeline, &[ACCESS, FLOOD]);
    let staged = pipeline
        .pipeliner
        .delete(&book, &id(Kind::Filter, "access"))
        .expect("it is there");
    expect![[r#"
        delete LeafSpineIngress.filtering.ingress_port_vlan: ingress_port=0x1 vlan_id=0x0 -> permit_with_internal_vlan(vlan_id=0xa)
    "#]]
    .assert_eq(&text_of(&pipeline.schema, &staged.updates()));
    book.commit(staged);
    let staged = pipeline
        .pipeliner
        .delete(&book, &id(Kind::Next, "flood"))
        .expect("it is there");
    expect![[r#"
        delete LeafSpineEgress.egress_vlan: vlan_id=0xa egress_port=0x1 -> pop_vlan()
        delete LeafSpineIngress.next.multicast: next_id=0x1 -> set_multicast_group(group_id=0x1)
        delete multicast group 1 -> port 1#1
    "#]]
    .assert_eq(&text_of(&pipeline.schema, &staged.updates()));
    book.commit(staged);
    assert_eq!(book.all().count(), 0);
    assert_eq!(*book.ids(), Ids::default());
}

#[test]
fn a_next_in_use_is_not_deleted() {
    let pipeline = leaf_spine();
    let book = book_with(&pipeline, &[SPINES, ROUTE]);
    let refusal = pipeline
        .pipeliner
        .delete(&book, &id(Kind::Next, "spines"))
        .expect_err("in use");
    assert_eq!(refusal.reason, Reason::NextInUse);
    assert_eq!(
        refusal.message,
        "next spines is in use by forward rack2; delete those first"
    );
    assert_eq!(
        book.users(&Name::new("spines").expect("a name")),
        [id(Kind::Forward, "rack2")]
    );
}

#[test]
fn what_is_not_there_is_not_deleted() {
    let pipeline = leaf_spine();
    let refusal = pipeline
        .pipeliner
        .delete(&Book::default(), &id(Kind::Filter, "nobody"))
        .expect_err("it is not there");
    assert_eq!(refusal.reason, Reason::NoSuchObjective);
}

#[test]
fn undo_reverses_what_was_done() {
    let pipeline = leaf_spine();
    let book = book_with(&pipeline, &[SPINES]);
    let staged = pipeline
        .pipeliner
        .put(&book, &ports(), &one(ONE_SPINE))
        .expect("it can be realised");
    expect![[r#"
        insert LeafSpineIngress.next.hashed: next_id=0x1 -> one of routing_hashed(port=0x31, src_mac=0x100, dst_mac=0x201)*1 | routing_hashed(port=0x32, src_mac=0x100, dst_mac=0x202)*1
        delete LeafSpineIngress.next.simple: next_id=0x1 -> routing_simple(port=0x31, src_mac=0x100, dst_mac=0x201)
    "#]]
    .assert_eq(&text_of(&pipeline.schema, &staged.undo(2)));
    assert!(staged.undo(0).is_empty());
}

#[test]
fn ids_of_before_a_restart_give_the_same_entries() {
    let pipeline = leaf_spine();
    let before = book_with(&pipeline, &[BUCKET, SPINES, FLOOD, ROUTE]);
    let ids = serde_json::to_string(before.ids()).expect("ids are JSON");
    let mut after = Book::new(serde_json::from_str(&ids).expect("the same ids"));
    for yaml in [FLOOD, SPINES, ROUTE, BUCKET] {
        let staged = pipeline
            .pipeliner
            .put(&after, &ports(), &one(yaml))
            .expect("it can be realised");
        after.commit(staged);
    }
    let text = |book: &Book| {
        let updates: Vec<_> = book.all().cloned().map(Update::insert).collect();
        let mut lines: Vec<_> = text_of(&pipeline.schema, &updates)
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(text(&before), text(&after));
}

/// A data plane that holds what it is told to, and is strict about what is there.
#[derive(Default)]
struct Held(HashMap<String, Entity>);

impl Held {
    fn write(&mut self, pipeline: &Pipeline, updates: &[Update]) {
        for update in updates {
            let text = pipeline.schema.describe(&update.entity);
            let key = text.split(" -> ").next().expect("a first part").to_owned();
            let before = match update.operation {
                Operation::Insert | Operation::Modify => self.0.insert(key, update.entity.clone()),
                Operation::Delete => self.0.remove(&key),
            };
            assert_eq!(
                before.is_some(),
                update.operation != Operation::Insert,
                "{text}"
            );
        }
    }

    fn texts(&self, pipeline: &Pipeline) -> Vec<String> {
        sorted(
            self.0
                .values()
                .map(|entity| pipeline.schema.describe(entity)),
        )
    }
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    texts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is put and deleted, in whatever order, with refusals and writes that fail half-way:
    /// the data plane holds what the book says, and in the end nothing.
    #[test]
    fn the_data_plane_holds_what_the_book_says(
        moves in prop::collection::vec((0_usize..10, any::<bool>(), prop::option::weighted(0.2, 0_usize..6)), 0..40)
    ) {
        let pipeline = leaf_spine();
        let all = [SPINES, ONE_SPINE, ROUTE, WIDER_ROUTE, ACCESS, FLOOD, BUCKET, MOVED_BUCKET, NESTED, ROUTE];
        let mut book = Book::default();
        let mut held = Held::default();
        let mut try_it = |book: &mut Book, objective: &Objective, put: bool, fails_at: Option<usize>| {
            let staged = if put {
                pipeline.pipeliner.put(book, &ports(), objective)
            } else {
                pipeline.pipeliner.delete(book, &objective.id())
            };
            let Ok(staged) = staged else { return };
            let updates = staged.updates();
            match fails_at.filter(|at| *at < updates.len()) {
                Some(at) => {
                    held.write(&pipeline, &updates[..at]);
                    held.write(&pipeline, &staged.undo(at));
                }
                None => {
                    held.write(&pipeline, &updates);
                    book.commit(staged);
                }
            }
            let said = sorted(book.all().map(|entity| pipeline.schema.describe(entity)));
            assert_eq!(held.texts(&pipeline), said);
        };
        for (index, put, fails_at) in moves {
            try_it(&mut book, &one(all[index]), put, fails_at);
        }
        // Users before what they use.
        for yaml in [ROUTE, NESTED, SPINES, BUCKET, ACCESS, FLOOD] {
            try_it(&mut book, &one(yaml), false, None);
        }
        prop_assert_eq!(book.all().count(), 0);
        prop_assert_eq!(book.ids(), &Ids::default());
    }
}

#[test]
fn a_thousand_routes_are_planned_in_no_time() {
    let pipeline = leaf_spine();
    let mut book = book_with(&pipeline, &[SPINES]);
    let routes: String = (0..1000)
        .map(|index| {
            format!(
                "
    - forward: route-{index}
      flag: specific
      selector: {{ ipv4_dst: 10.{}.{}.0/24 }}
      next: spines",
                index / 256,
                index % 256
            )
        })
        .collect();
    let routes = objectives(&routes);
    let start = std::time::Instant::now();
    for route in &routes {
        let staged = pipeline
            .pipeliner
            .put(&book, &ports(), route)
            .expect("it can be realised");
        book.commit(staged);
    }
    let elapsed = start.elapsed();
    println!("1000 routes: {elapsed:?}");
    // Far above what a slow machine needs: this catches work that grows with the book.
    assert!(elapsed.as_secs() < 5, "{elapsed:?}");
}
