//! A switch of which there is a p4info alone: what objectives become is what its p4info allows. That the p4info is that
//! of the pipeline itself is seen by its ids, which go by names and places.

use std::fs;
use std::path::Path;

use pointsman_model::Model;
use pointsman_pipeliner::{Book, Pipeliner};

use super::bench::stored;
use super::support::{fabric_tna, ports};

#[test]
fn a_tofino_fabric_finds_its_manifest_by_its_p4info() {
    let found = Pipeliner::find(&fabric_tna().schema).map(|pipeliner| pipeliner.name().to_owned());
    assert_eq!(found.as_deref(), Some("fabric_tna"));
}

/// P4InfoConstants.java of fabric-tna has these.
#[test]
fn the_ids_are_those_of_the_pipeline_itself() {
    let schema = fabric_tna().schema;
    for (table, id) in [
        ("FabricIngress.acl.acl", 44_104_738),
        ("FabricIngress.next.hashed", 47_960_972),
        ("FabricEgress.egress_next.egress_vlan", 49_262_446),
    ] {
        assert_eq!(schema.table(id).map(|t| t.name.as_str()), Some(table));
    }
}

/// The example asks for routes of both IP versions, ECMP, floods, access control. A store with all checks of P4Runtime
/// takes the entries.
#[test]
fn all_of_the_example_is_realised() {
    let pipeline = fabric_tna();
    for file in ["leaf1.yaml", "leaf2.yaml", "spine1.yaml", "spine2.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples/leaf-spine")
            .join(file);
        let yaml = fs::read_to_string(&path).expect("an example");
        let model = Model::parse(file, &yaml).expect("the example is in order");
        let mut book = Book::default();
        for located in &model.objectives {
            let objective = &located.value.change.objective;
            let staged = pipeline.pipeliner.put(&book, &ports(), objective);
            let staged = staged.unwrap_or_else(|e| panic!("{file}: {}: {e}", objective.id()));
            book.commit(staged);
        }
        stored(&pipeline, &book);
    }
}
