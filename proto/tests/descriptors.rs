//! Holds the P4Runtime files of this crate to the published interface: every
//! message, field, enum value and RPC must have the same name, number, type,
//! label and oneof as in `shared/interfaces/p4runtime.binpb`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
};

/// The published packages that this crate writes out.
const PACKAGES: &[&str] = &["p4.v1", "p4.config.v1", "google.rpc"];

#[test]
fn p4runtime_has_the_published_names_numbers_types_and_labels() {
    let Some(published) = published_descriptors() else {
        return;
    };
    let ours = FileDescriptorSet::decode(pointsman_proto::FILE_DESCRIPTOR_SET)
        .expect("this crate's own descriptors decode");
    let published = facts(&published);
    let ours = facts(&ours);
    assert!(published.len() > 500, "the published set is not empty");
    let missing: Vec<_> = published.difference(&ours).collect();
    let surplus: Vec<_> = ours.difference(&published).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "published but not here: {missing:#?}\nhere but not published: {surplus:#?}"
    );
}

/// The published descriptor set, or `None` with a line saying that the test skips.
fn published_descriptors() -> Option<FileDescriptorSet> {
    let shared = std::env::var_os("POINTSMAN_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let path = shared.join("interfaces/p4runtime.binpb");
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    Some(FileDescriptorSet::decode(bytes.as_slice()).expect("the published descriptors decode"))
}

/// One line for each fact of the interface, so that a difference reads as such.
fn facts(set: &FileDescriptorSet) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for file in &set.file {
        let package = file.package();
        if !PACKAGES.contains(&package) {
            continue;
        }
        facts.insert(format!("file {} is {}", file.name(), file.syntax()));
        for message in &file.message_type {
            message_facts(package, message, &mut facts);
        }
        for enumeration in &file.enum_type {
            enum_facts(package, enumeration, &mut facts);
        }
        for service in &file.service {
            service_facts(package, service, &mut facts);
        }
    }
    facts
}

fn message_facts(scope: &str, message: &DescriptorProto, facts: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", message.name());
    facts.insert(format!("message {name}"));
    for field in &message.field {
        let oneof = field
            .oneof_index
            .map(|index| message.oneof_decl[index as usize].name());
        facts.insert(field_fact(&name, field, oneof));
    }
    for range in &message.reserved_range {
        facts.insert(format!(
            "{name} reserves {}..{}",
            range.start(),
            range.end()
        ));
    }
    for reserved in &message.reserved_name {
        facts.insert(format!("{name} reserves {reserved}"));
    }
    for nested in &message.nested_type {
        message_facts(&name, nested, facts);
    }
    for enumeration in &message.enum_type {
        enum_facts(&name, enumeration, facts);
    }
}

fn field_fact(message: &str, field: &FieldDescriptorProto, oneof: Option<&str>) -> String {
    format!(
        "{message}.{} = {} {:?} {:?} {} oneof {} optional {} json {} deprecated {}",
        field.name(),
        field.number(),
        field.label(),
        field.r#type(),
        field.type_name(),
        oneof.unwrap_or("-"),
        field.proto3_optional(),
        field.json_name(),
        field
            .options
            .as_ref()
            .is_some_and(|options| options.deprecated()),
    )
}

fn enum_facts(scope: &str, enumeration: &EnumDescriptorProto, facts: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", enumeration.name());
    for value in &enumeration.value {
        facts.insert(format!("enum {name}.{} = {}", value.name(), value.number()));
    }
}

fn service_facts(package: &str, service: &ServiceDescriptorProto, facts: &mut BTreeSet<String>) {
    for method in &service.method {
        facts.insert(format!(
            "rpc {package}.{}.{} ({} stream {}) -> ({} stream {})",
            service.name(),
            method.name(),
            method.input_type(),
            method.client_streaming(),
            method.output_type(),
            method.server_streaming(),
        ));
    }
}
