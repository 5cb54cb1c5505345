//! A p4info without its program has the same tables, keys, actions and arrays.

use std::path::{Path, PathBuf};

use pointsman_agent::switch::{Pipeline, PipelineSource};
use pointsman_p4::p4info::parse_p4info;

fn directories() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4");
    let shared = std::env::var_os("POINTSMAN_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let parents = [
        own.join("programs"),
        own.join("tests/programs"),
        shared.join("pipelines"),
        shared.join("vectors/stf"),
        shared.join("vectors/load"),
    ];
    let entries = parents.iter().flat_map(std::fs::read_dir).flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

#[test]
fn every_p4info_can_stand_without_its_program() {
    let mut read = 0;
    for directory in directories() {
        let Ok(text) = std::fs::read_to_string(directory.join("p4info.txtpb")) else {
            continue;
        };
        let source = |device_config| PipelineSource {
            p4info: parse_p4info(&text).expect("it is a p4info"),
            device_config,
            cookie: None,
            manifest: None,
            configured: false,
        };
        let json = std::fs::read(directory.join("bmv2.json")).expect("it is beside the p4info");
        let Ok(whole) = Pipeline::read(source(json)) else {
            continue;
        };
        let alone = Pipeline::read(source(Vec::new()));
        let alone = alone.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        // What the compiler left out of the program is only in the p4info.
        for table in &whole.schema.tables {
            let found = alone.schema.table(table.id).expect("it is in the p4info");
            assert_eq!(found.name, table.name);
            let keys = |t: &pointsman_agent::schema::TableSchema| {
                let fields = t.fields.iter();
                fields
                    .map(|f| (f.id, f.kind, f.translation.is_some()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                keys(found),
                keys(table),
                "{}: {}",
                directory.display(),
                table.name
            );
            assert_eq!(found.direct_counter, table.direct_counter);
            assert_eq!(found.profile.is_some(), table.profile.is_some());
        }
        for register in &whole.schema.registers {
            let found = alone.schema.register(register.id).expect("it has a width");
            assert_eq!((found.width, found.size), (register.width, register.size));
        }
        for counter in &whole.schema.counters {
            let found = alone
                .schema
                .counter(counter.id)
                .expect("it is in the p4info");
            assert_eq!(found.size, counter.size);
        }
        read += 1;
    }
    assert!(read > 0, "leaf_spine is always there");
    eprintln!("{read} p4infos");
}
