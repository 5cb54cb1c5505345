//! Headers, metadata, stacks and unions as text.

use super::{Line, Section, SectionKind};
use crate::ir::{FieldKind, Header, HeaderId, HeaderKind, Program, SourceInfo, UnionId};

pub(super) fn sections(program: &Program) -> Vec<Section> {
    let mut sections: Vec<Section> = program.headers.iter().map(header).collect();
    let header_name = |id: &HeaderId| program.headers[id.index()].name.as_str();
    let union_name = |id: &UnionId| program.unions[id.index()].name.as_str();
    for stack in &program.stacks {
        let elements: Vec<&str> = stack.elements.iter().map(header_name).collect();
        let head = format!("header stack {}: {}", stack.name, stack.type_name);
        sections.push(group(&stack.name, head, &elements));
    }
    for union in &program.unions {
        let members: Vec<&str> = union.members.iter().map(header_name).collect();
        sections.push(group(
            &union.name,
            format!("header union {}", union.name),
            &members,
        ));
    }
    for stack in &program.union_stacks {
        let elements: Vec<&str> = stack.elements.iter().map(union_name).collect();
        sections.push(group(
            &stack.name,
            format!("union stack {}", stack.name),
            &elements,
        ));
    }
    sections
}

fn header(header: &Header) -> Section {
    let head = match header.kind {
        HeaderKind::Packet => format!(
            "header {}: {} {{ // {} bits",
            header.name,
            header.type_name,
            header.fixed_bits()
        ),
        HeaderKind::Metadata => format!("metadata {}: {} {{", header.name, header.type_name),
    };
    let mut lines = vec![Line::plain(head)];
    for field in &header.fields {
        let kind = match field.kind {
            FieldKind::Unsigned => "bit",
            FieldKind::Signed => "int",
            FieldKind::Varbit => "varbit",
        };
        let declared = format!("{kind}<{}> {};", field.width, field.name);
        lines.push(Line::plain(match header.kind {
            HeaderKind::Packet => format!("    {declared:40} // bit {}", field.offset),
            HeaderKind::Metadata => format!("    {declared}"),
        }));
    }
    lines.push(Line::plain("}"));
    Section {
        kind: SectionKind::Shape,
        name: header.name.clone(),
        source: SourceInfo::default(),
        lines,
    }
}

fn group(name: &str, head: String, elements: &[&str]) -> Section {
    Section {
        kind: SectionKind::Shape,
        name: name.to_owned(),
        source: SourceInfo::default(),
        lines: vec![Line::plain(format!("{head} {{ {} }}", elements.join(", ")))],
    }
}
