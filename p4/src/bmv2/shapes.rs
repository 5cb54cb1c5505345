//! Header types, headers, stacks and unions, and finding them by name.

use std::collections::HashMap;

use crate::ir::{
    Field, FieldKind, FieldRef, Header, HeaderId, HeaderKind, HeaderStack, HeaderUnion, StackId,
    UnionId, UnionStack, UnionStackId,
};

use super::cursor::{Cursor, Read};
use super::error::Problem;

/// The most bits that one header may have: far beyond any packet.
const MAX_HEADER_BITS: u32 = 1 << 20;
/// The most bits of a varbit field whose type does not say.
const DEFAULT_VARBIT_BITS: u32 = 2048 * 8;

/// What a packet in flight consists of.
#[derive(Default)]
pub(super) struct Shapes {
    pub(super) headers: Vec<Header>,
    pub(super) stacks: Vec<HeaderStack>,
    pub(super) unions: Vec<HeaderUnion>,
    pub(super) union_stacks: Vec<UnionStack>,
    header_ids: HashMap<String, HeaderId>,
    stack_ids: HashMap<String, StackId>,
    union_ids: HashMap<String, UnionId>,
    union_stack_ids: HashMap<String, UnionStackId>,
    /// The names of the members of each union stack's elements.
    union_stack_members: Vec<Vec<String>>,
    /// `header.field` of older programs to the field of today's.
    aliases: HashMap<String, (String, String)>,
}

/// What `[header, field]` names.
pub(super) enum FieldName {
    Field(FieldRef),
    Valid(HeaderId),
    UnionValid(UnionId),
}

impl Shapes {
    /// Reads everything about headers.
    pub(super) fn read(root: &Cursor) -> Read<Shapes> {
        let mut types = HashMap::new();
        for item in root.get("header_types").items()? {
            insert_named(&mut types, &item, "header type", read_fields(&item)?)?;
        }
        let mut shapes = Shapes::default();
        let by_json_id = shapes.read_headers(root, &types)?;
        shapes.read_stacks(root, &by_json_id)?;
        shapes.read_unions(root, &by_json_id)?;
        for item in root.get("field_aliases").items()? {
            let target = item.at(1);
            shapes.aliases.insert(
                item.at(0).str()?.to_owned(),
                (
                    target.at(0).str()?.to_owned(),
                    target.at(1).str()?.to_owned(),
                ),
            );
        }
        Ok(shapes)
    }

    fn read_headers(
        &mut self,
        root: &Cursor,
        types: &HashMap<String, Vec<Field>>,
    ) -> Read<HashMap<u32, HeaderId>> {
        let mut by_json_id = HashMap::new();
        for (index, item) in root.get("headers").items()?.iter().enumerate() {
            let id = HeaderId(index as u32);
            let type_name = item.get("header_type").str()?;
            let fields = types
                .get(type_name)
                .ok_or_else(|| item.get("header_type").unknown("header type", type_name))?;
            let kind = if item.get("metadata").bool_or_false()? {
                HeaderKind::Metadata
            } else {
                HeaderKind::Packet
            };
            insert_named(&mut self.header_ids, item, "header", id)?;
            by_json_id.insert(item.get("id").u32()?, id);
            self.headers.push(Header {
                name: item.get("name").str()?.to_owned(),
                type_name: type_name.to_owned(),
                kind,
                fields: fields.clone(),
            });
        }
        Ok(by_json_id)
    }

    fn read_stacks(&mut self, root: &Cursor, headers: &HashMap<u32, HeaderId>) -> Read<()> {
        for (index, item) in root.get("header_stacks").items()?.iter().enumerate() {
            insert_named(
                &mut self.stack_ids,
                item,
                "header stack",
                StackId(index as u32),
            )?;
            let type_name = item.get("header_type").str()?;
            let elements = by_ids(&item.get("header_ids"), headers, "header")?;
            let uniform = elements
                .iter()
                .all(|e| self.headers[e.index()].type_name == type_name);
            if !uniform {
                return Err(item.invalid(format!("the elements are not all of type {type_name}")));
            }
            self.stacks.push(HeaderStack {
                name: item.get("name").str()?.to_owned(),
                type_name: type_name.to_owned(),
                elements,
            });
        }
        Ok(())
    }

    fn read_unions(&mut self, root: &Cursor, headers: &HashMap<u32, HeaderId>) -> Read<()> {
        let mut member_names = HashMap::new();
        for item in root.get("header_union_types").items()? {
            let members = item.get("headers").items()?;
            let names: Read<Vec<String>> = members
                .iter()
                .map(|m| m.at(0).str().map(str::to_owned))
                .collect();
            insert_named(&mut member_names, &item, "header union type", names?)?;
        }
        let mut by_json_id = HashMap::new();
        for (index, item) in root.get("header_unions").items()?.iter().enumerate() {
            let id = UnionId(index as u32);
            insert_named(&mut self.union_ids, item, "header union", id)?;
            by_json_id.insert(item.get("id").u32()?, id);
            self.unions.push(HeaderUnion {
                name: item.get("name").str()?.to_owned(),
                members: by_ids(&item.get("header_ids"), headers, "header")?,
            });
        }
        for (index, item) in root.get("header_union_stacks").items()?.iter().enumerate() {
            insert_named(
                &mut self.union_stack_ids,
                item,
                "header union stack",
                UnionStackId(index as u32),
            )?;
            let elements = by_ids(&item.get("header_union_ids"), &by_json_id, "header union")?;
            let type_of = |union: &UnionId| -> Vec<&str> {
                let members = &self.unions[union.index()].members;
                members
                    .iter()
                    .map(|m| self.headers[m.index()].type_name.as_str())
                    .collect()
            };
            if elements
                .windows(2)
                .any(|w| type_of(&w[0]) != type_of(&w[1]))
            {
                return Err(item.invalid("the elements are not all of one union type"));
            }
            let type_name = item.get("union_type");
            let names = member_names
                .get(type_name.str()?)
                .ok_or_else(|| type_name.unknown("header union type", type_name.value()))?;
            self.union_stack_members.push(names.clone());
            self.union_stacks.push(UnionStack {
                name: item.get("name").str()?.to_owned(),
                elements,
            });
        }
        Ok(())
    }

    /// The header that a string names.
    pub(super) fn header(&self, name: &Cursor) -> Read<HeaderId> {
        find(&self.header_ids, name, "header")
    }

    /// The header stack that a string names.
    pub(super) fn stack(&self, name: &Cursor) -> Read<StackId> {
        find(&self.stack_ids, name, "header stack")
    }

    /// The header union that a string names.
    pub(super) fn union(&self, name: &Cursor) -> Read<UnionId> {
        find(&self.union_ids, name, "header union")
    }

    /// The stack of header unions that a string names.
    pub(super) fn union_stack(&self, name: &Cursor) -> Read<UnionStackId> {
        find(&self.union_stack_ids, name, "header union stack")
    }

    /// The header type of a stack's elements; an empty stack has none.
    pub(super) fn element(&self, stack: StackId) -> Option<&Header> {
        let first = self.stacks[stack.index()].elements.first()?;
        Some(&self.headers[first.index()])
    }

    /// The header of one member of a union stack's elements.
    pub(super) fn union_member(&self, stack: UnionStackId, member: u32) -> Option<&Header> {
        let first = self.union_stacks[stack.index()].elements.first()?;
        let header = self.unions[first.index()].members.get(member as usize)?;
        Some(&self.headers[header.index()])
    }

    /// The header types of a union's members.
    pub(super) fn union_types(&self, union: UnionId) -> Vec<&str> {
        let members = &self.unions[union.index()].members;
        members
            .iter()
            .map(|m| self.headers[m.index()].type_name.as_str())
            .collect()
    }

    /// The header types of the members of a union stack's elements, for each element.
    pub(super) fn union_stack_types(&self, stack: UnionStackId) -> Vec<Vec<&str>> {
        let elements = &self.union_stacks[stack.index()].elements;
        elements.iter().map(|u| self.union_types(*u)).collect()
    }

    /// The position of a member of that name in a union stack's elements.
    pub(super) fn union_member_index(&self, stack: UnionStackId, name: &str) -> Option<u32> {
        let names = &self.union_stack_members[stack.index()];
        let member = names.iter().position(|n| n == name)? as u32;
        self.union_member(stack, member).map(|_| member)
    }

    /// A field by header and field name, without aliases.
    pub(super) fn field_named(&self, header: &str, field: &str) -> Option<FieldRef> {
        let id = *self.header_ids.get(header)?;
        let field = self.headers[id.index()].field_index(field)?;
        Some(FieldRef { header: id, field })
    }

    /// Finds a field of the switch's own metadata by any of the names it has had.
    pub(super) fn standard(&self, headers: &[&str], field: &str) -> Option<FieldRef> {
        headers.iter().find_map(|header| {
            self.field_named(header, field).or_else(|| {
                let (header, field) = self.aliases.get(&format!("{header}.{field}"))?;
                self.field_named(header, field)
            })
        })
    }

    /// What `[header, field]` names, `$valid$` and aliases included.
    pub(super) fn field_name(&self, pair: &Cursor) -> Read<FieldName> {
        let (header, field) = (pair.at(0).str()?, pair.at(1).str()?);
        if let Some(found) = self.field_named(header, field) {
            return Ok(FieldName::Field(found));
        }
        if field == "$valid$" {
            return match self.union_ids.get(header) {
                Some(union) => Ok(FieldName::UnionValid(*union)),
                None => self.header(&pair.at(0)).map(FieldName::Valid),
            };
        }
        if let Some((header, field)) = self.aliases.get(&format!("{header}.{field}"))
            && let Some(found) = self.field_named(header, field)
        {
            return Ok(FieldName::Field(found));
        }
        Err(pair.unknown("field", format!("{header}.{field}")))
    }

    /// A plain field.
    pub(super) fn field(&self, pair: &Cursor) -> Read<FieldRef> {
        match self.field_name(pair)? {
            FieldName::Field(field) => Ok(field),
            _ => Err(pair.unsupported("the validity of a header in this place")),
        }
    }

    /// Bits of a field.
    pub(super) fn width(&self, field: FieldRef) -> u32 {
        self.headers[field.header.index()].fields[field.field as usize].width
    }
}

/// Remembers something under its name, once.
pub(super) fn insert_named<T>(
    map: &mut HashMap<String, T>,
    item: &Cursor,
    kind: &'static str,
    value: T,
) -> Read<()> {
    let name = item.get("name").str()?;
    match map.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(item.error(Problem::Duplicate {
            kind,
            name: name.to_owned(),
        })),
    }
}

/// Looks a name up.
pub(super) fn find<T: Copy>(
    map: &HashMap<String, T>,
    name: &Cursor,
    kind: &'static str,
) -> Read<T> {
    let text = name.str()?;
    map.get(text)
        .copied()
        .ok_or_else(|| name.unknown(kind, text))
}

fn by_ids<T: Copy>(ids: &Cursor, map: &HashMap<u32, T>, kind: &'static str) -> Read<Vec<T>> {
    ids.items()?
        .iter()
        .map(|id| {
            let number = id.u32()?;
            map.get(&number)
                .copied()
                .ok_or_else(|| id.unknown(kind, number))
        })
        .collect()
}

/// `[name, width]`, `[name, width, signed]` or `[name, "*"]`.
fn read_fields(item: &Cursor) -> Read<Vec<Field>> {
    let mut fields: Vec<Field> = Vec::new();
    let mut offset = 0u32;
    let mut total = 0u32;
    for field in item.get("fields").items()? {
        let name = field.at(0).str()?.to_owned();
        if fields.iter().any(|f| f.name == name) {
            return Err(field.error(Problem::Duplicate {
                kind: "field",
                name,
            }));
        }
        let (width, kind) = if field.at(1).value().as_str() == Some("*") {
            if fields.iter().any(|f| f.kind == FieldKind::Varbit) {
                return Err(field.unsupported("a second varbit field in one header"));
            }
            let width = match (field.at(2).opt_u32().ok().flatten(), max_length(item)?) {
                (Some(bits), _) => bits,
                (None, Some(bytes)) => bytes.saturating_mul(8).saturating_sub(fixed_bits(item)?),
                (None, None) => DEFAULT_VARBIT_BITS,
            };
            (width, FieldKind::Varbit)
        } else if field.at(2).bool_or_false()? {
            (field.at(1).u32()?, FieldKind::Signed)
        } else {
            (field.at(1).u32()?, FieldKind::Unsigned)
        };
        total = total.saturating_add(width);
        if total > MAX_HEADER_BITS {
            return Err(field.invalid(format!("a header has at most {MAX_HEADER_BITS} bits")));
        }
        fields.push(Field {
            name,
            offset,
            width,
            kind,
        });
        if kind != FieldKind::Varbit {
            offset += width;
        }
    }
    Ok(fields)
}

fn max_length(item: &Cursor) -> Read<Option<u32>> {
    item.get("max_length").opt_u32()
}

fn fixed_bits(item: &Cursor) -> Read<u32> {
    let mut bits = 0u32;
    for field in item.get("fields").items()? {
        if field.at(1).value().as_str() != Some("*") {
            bits = bits.saturating_add(field.at(1).u32()?);
        }
    }
    Ok(bits)
}
