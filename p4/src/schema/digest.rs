//! Digests: which of what packets learn is which part of a controller's data.
//!
//! The program flattens the type of a digest into elements; p4info has the type. Both are walked
//! together, when the pipeline is set and for each message.

use std::sync::Arc;

use crate::dataplane::Bits;
use crate::ir::LearnListId;
use pointsman_proto::p4::config::v1 as p4info;
use pointsman_proto::p4::config::v1::p4_data_type_spec::TypeSpec;
use pointsman_proto::p4::config::v1::p4_new_type_spec::Representation;
use thiserror::Error;

use super::Translation;

/// A digest.
#[derive(Debug, Clone)]
pub struct DigestSchema {
    /// Its p4info id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What the program calls it.
    pub list: LearnListId,
    /// What is in a message.
    pub data: DataSchema,
}

/// The type of data that controllers see, over the elements that the program has for it.
#[derive(Debug, Clone)]
pub enum DataSchema {
    /// One element, as a byte string.
    Bits {
        /// Bits.
        width: u32,
        /// Controllers see something else.
        translation: Option<Arc<Translation>>,
    },
    /// One element that is 0 or 1.
    Bool,
    /// One element that is one of these, by number.
    Enum(Vec<String>),
    /// One element that is one of these errors, by number.
    Error(Vec<String>),
    /// One element of an enum with numbers of its own.
    SerializableEnum {
        /// Bits.
        width: u32,
    },
    /// Its members, in order.
    Struct(Vec<DataSchema>),
    /// Its parts, in order.
    Tuple(Vec<DataSchema>),
    /// The fields of a header, in order: the width of each, and what controllers see instead.
    Header(Vec<(u32, Option<Arc<Translation>>)>),
}

/// Data as controllers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Data {
    Bits(Vec<u8>),
    Bool(bool),
    Enum(String),
    Error(String),
    EnumValue(Vec<u8>),
    Struct(Vec<Data>),
    Tuple(Vec<Data>),
    Header(Vec<Vec<u8>>),
}

impl DataSchema {
    /// Makes data of elements; `bytes` is how controllers see a value of so many bits. Elements that
    /// are missing are 0.
    pub fn data(
        &self,
        elements: &mut impl Iterator<Item = Bits>,
        bytes: &impl Fn(&Bits, u32, Option<&Translation>) -> Vec<u8>,
    ) -> Data {
        match self {
            DataSchema::Struct(members) => {
                Data::Struct(members.iter().map(|m| m.data(elements, bytes)).collect())
            }
            DataSchema::Tuple(parts) => {
                Data::Tuple(parts.iter().map(|p| p.data(elements, bytes)).collect())
            }
            DataSchema::Header(fields) => {
                let fields = fields.iter().map(|(width, translation)| {
                    let value = elements.next().unwrap_or_default();
                    bytes(&value, *width, translation.as_deref())
                });
                Data::Header(fields.collect())
            }
            one => {
                let value = elements.next().unwrap_or_default();
                match one {
                    DataSchema::Bool => Data::Bool(!value.is_zero()),
                    DataSchema::Enum(members) => Data::Enum(member(members, &value)),
                    DataSchema::Error(errors) => Data::Error(member(errors, &value)),
                    DataSchema::SerializableEnum { width } => {
                        Data::EnumValue(bytes(&value, *width, None))
                    }
                    DataSchema::Bits { width, translation } => {
                        Data::Bits(bytes(&value, *width, translation.as_deref()))
                    }
                    DataSchema::Struct(_) | DataSchema::Tuple(_) | DataSchema::Header(_) => {
                        unreachable!("these have no element of their own")
                    }
                }
            }
        }
    }
}

/// The name of a number.
fn member(names: &[String], number: &Bits) -> String {
    let index = number.to_u64().and_then(|n| usize::try_from(n).ok());
    let name = index.and_then(|index| names.get(index));
    name.cloned().unwrap_or_else(|| number.to_string())
}

/// Why the data of a digest cannot be described.
#[derive(Debug, Error)]
pub(super) enum DataError {
    /// A reference within p4info leads nowhere.
    #[error("p4info does not define its type {0}")]
    NoType(String),
    /// Both are not of one compilation.
    #[error("p4info and the program have different numbers of elements for it")]
    Elements,
    /// A type without a form that the program's elements would tell.
    #[error("header stacks and unions in digests are not supported; use structs of fields")]
    Unsupported,
}

/// Walks a type along the elements that a program has for it.
pub(super) struct DataBuilder<'a, T> {
    pub(super) types: Option<&'a p4info::P4TypeInfo>,
    /// Bits of each element.
    pub(super) widths: std::vec::IntoIter<u32>,
    /// How a type of that name and width is translated.
    pub(super) translation: T,
}

impl<T> DataBuilder<'_, T>
where
    T: FnMut(&p4info::P4NamedType, u32) -> Option<Arc<Translation>>,
{
    /// The schema of all elements.
    pub(super) fn whole(
        mut self,
        spec: Option<&p4info::P4DataTypeSpec>,
    ) -> Result<DataSchema, DataError> {
        let data = self.data(spec)?;
        match self.widths.next() {
            None => Ok(data),
            Some(_) => Err(DataError::Elements),
        }
    }

    fn data(&mut self, spec: Option<&p4info::P4DataTypeSpec>) -> Result<DataSchema, DataError> {
        let spec = spec.and_then(|spec| spec.type_spec.as_ref());
        match spec.ok_or_else(|| DataError::NoType(String::new()))? {
            TypeSpec::Bitstring(_) => Ok(DataSchema::Bits {
                width: self.width()?,
                translation: None,
            }),
            TypeSpec::Bool(_) => {
                self.width()?;
                Ok(DataSchema::Bool)
            }
            TypeSpec::NewType(name) => {
                let width = self.widths.as_slice().first().copied().unwrap_or_default();
                match (self.translation)(name, width) {
                    Some(translation) => Ok(DataSchema::Bits {
                        width: self.width()?,
                        translation: Some(translation),
                    }),
                    None => {
                        let types = self.types.map(|types| &types.new_types);
                        let new_type = types.and_then(|types| types.get(&name.name));
                        match new_type.and_then(|t| t.representation.as_ref()) {
                            Some(Representation::OriginalType(original)) => {
                                self.data(Some(original))
                            }
                            _ => Err(no_type(name)),
                        }
                    }
                }
            }
            TypeSpec::Struct(name) => {
                let types = self.types.map(|types| &types.structs);
                let found = types.and_then(|types| types.get(&name.name));
                let found = found.ok_or_else(|| no_type(name))?;
                let members = found.members.iter();
                let members = members.map(|member| self.data(member.type_spec.as_ref()));
                Ok(DataSchema::Struct(members.collect::<Result<_, _>>()?))
            }
            TypeSpec::Tuple(tuple) => {
                let parts = tuple.members.iter();
                let parts = parts.map(|part| self.data(Some(part)));
                Ok(DataSchema::Tuple(parts.collect::<Result<_, _>>()?))
            }
            TypeSpec::Header(name) => {
                let types = self.types.map(|types| &types.headers);
                let found = types.and_then(|types| types.get(&name.name));
                let found = found.ok_or_else(|| no_type(name))?;
                let fields = found.members.iter().map(|_| Ok((self.width()?, None)));
                Ok(DataSchema::Header(fields.collect::<Result<_, _>>()?))
            }
            TypeSpec::Enum(name) => {
                let types = self.types.map(|types| &types.enums);
                let found = types.and_then(|types| types.get(&name.name));
                let found = found.ok_or_else(|| no_type(name))?;
                let members = found.members.iter().map(|m| m.name.clone()).collect();
                self.width()?;
                Ok(DataSchema::Enum(members))
            }
            TypeSpec::SerializableEnum(_) => Ok(DataSchema::SerializableEnum {
                width: self.width()?,
            }),
            TypeSpec::Error(_) => {
                let errors = self.types.and_then(|types| types.error.as_ref());
                self.width()?;
                Ok(DataSchema::Error(
                    errors.map_or_else(Vec::new, |errors| errors.members.clone()),
                ))
            }
            TypeSpec::HeaderUnion(_) | TypeSpec::HeaderStack(_) | TypeSpec::HeaderUnionStack(_) => {
                Err(DataError::Unsupported)
            }
        }
    }

    /// The width of the next element.
    fn width(&mut self) -> Result<u32, DataError> {
        let next = self.widths.next();
        next.ok_or(DataError::Elements)
    }
}

fn no_type(name: &p4info::P4NamedType) -> DataError {
    DataError::NoType(name.name.clone())
}
