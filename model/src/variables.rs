//! `vars:`: values that files repeat, by name.
//!
//! A variable is defined in any document of a set of files and known in all of them. `$name` in the place of a value is
//! its value, whatever that is: a number stays one, and a mapping or list is put there whole. `${name}` is the same, and
//! may also be a part of a text. What is put somewhere stands, for messages, where it is used. Called by
//! [`Model::read`](crate::Model::read) between the YAML and the types; keys are not looked at.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::reader::{Reader, suggestion};
use crate::yaml::{Node, Shape, Span};

/// The key of a document.
pub(crate) const KEY: &str = "vars";
/// What a name looks like, for the schema.
pub(crate) const NAME_PATTERN: &str = "[A-Za-z_][A-Za-z0-9_]*";

/// All variables of a set of files.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    by_name: BTreeMap<String, Variable>,
}

#[derive(Debug)]
struct Variable {
    shape: Shape,
    /// Which file it is in, and where its name stands.
    file: usize,
    at: Span,
    is_used: Cell<bool>,
}

impl Variables {
    /// Takes the definitions of a document of the file of that index.
    pub(crate) fn define(&mut self, reader: &mut Reader<'_>, document: &Node, file: usize) {
        let Some(node) = document.get(KEY) else {
            return;
        };
        for entry in reader.entries(node, KEY).unwrap_or_default() {
            let name = &entry.key;
            if !is_name(name) {
                let message = format!("`{name}` is not a name for a variable");
                let label = "write letters, digits and _, and no digit first";
                reader.error(entry.key_span, message, label);
            } else if self.by_name.contains_key(name) {
                let message = format!("variable `{name}` is defined twice");
                reader.error(entry.key_span, message, "the second one");
            } else if let Some(at) = first_use(&entry.value) {
                let message = format!("variable `{name}` is made of another");
                reader.error(at, message, "write the value itself");
            } else {
                let variable = Variable {
                    shape: entry.value.shape.clone(),
                    file,
                    at: entry.key_span,
                    is_used: Cell::new(false),
                };
                self.by_name.insert(name.clone(), variable);
            }
        }
    }

    /// Puts values in the place of names, everywhere but in definitions.
    pub(crate) fn expand(&self, reader: &mut Reader<'_>, document: &mut Node) {
        if let Shape::Map(entries) = &mut document.shape {
            let entries = entries.iter_mut().filter(|entry| entry.key != KEY);
            entries.for_each(|entry| self.expand_value(reader, &mut entry.value));
        }
    }

    /// Reports definitions of a file that nothing uses.
    pub(crate) fn report_unused(&self, reader: &mut Reader<'_>, file: usize) {
        let of_file = self.by_name.iter().filter(|(_, found)| found.file == file);
        for (name, variable) in of_file.filter(|(_, found)| !found.is_used.get()) {
            let message = format!("variable `{name}` is not used");
            reader.error(variable.at, message, "remove it, or correct its name");
        }
    }

    fn expand_value(&self, reader: &mut Reader<'_>, node: &mut Node) {
        match &mut node.shape {
            Shape::Null => {}
            Shape::List(items) => {
                items
                    .iter_mut()
                    .for_each(|item| self.expand_value(reader, item));
            }
            Shape::Map(entries) => {
                let values = entries.iter_mut().map(|entry| &mut entry.value);
                values.for_each(|value| self.expand_value(reader, value));
            }
            Shape::Scalar(text) => {
                if let Some(shape) = self.expanded(reader, text, node.span) {
                    node.shape = shape;
                }
            }
        }
    }

    /// What a scalar becomes; `None` if it names no variable, or one that was reported.
    fn expanded(&self, reader: &mut Reader<'_>, text: &str, at: Span) -> Option<Shape> {
        if let Some(name) = whole(text) {
            return Some(moved(&self.get(reader, name, at)?.shape, at));
        }
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, name, after)) = next_part(rest) {
            let Shape::Scalar(value) = &self.get(reader, name, at)?.shape else {
                let message = format!("variable `{name}` is no single value");
                reader.error(at, message, "cannot be a part of a text");
                reader.settle(at);
                return None;
            };
            expanded += before;
            expanded += value;
            rest = after;
        }
        let is_changed = rest.len() < text.len();
        is_changed.then(|| Shape::Scalar(expanded + rest))
    }

    fn get(&self, reader: &mut Reader<'_>, name: &str, at: Span) -> Option<&Variable> {
        let found = self.by_name.get(name);
        match found {
            Some(variable) => variable.is_used.set(true),
            None => {
                let known: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
                let help = match known.as_slice() {
                    [] => format!("define it in `{KEY}:` of one of these files"),
                    known => suggestion(name, known),
                };
                let message = format!("there is no variable `{name}`");
                reader.error_with_help(at, message, "not defined", help);
                reader.settle(at);
            }
        }
        found
    }
}

fn is_name(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| is_letter(c) && !c.is_ascii_digit()) && text.chars().all(is_letter)
}

/// The name, if the text is nothing but a variable.
fn whole(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let bare = name
        .strip_prefix('{')
        .and_then(|name| name.strip_suffix('}'));
    Some(bare.unwrap_or(name)).filter(|name| is_name(name))
}

/// The first `${name}` of a text, with what is before and after it.
fn next_part(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("${")?;
    let (name, after) = rest.split_once('}')?;
    is_name(name).then_some((before, name, after))
}

/// Where a value names a variable.
fn first_use(node: &Node) -> Option<Span> {
    match &node.shape {
        Shape::Null => None,
        Shape::Scalar(text) => {
            (whole(text).is_some() || next_part(text).is_some()).then_some(node.span)
        }
        Shape::List(items) => items.iter().find_map(first_use),
        Shape::Map(entries) => entries.iter().find_map(|entry| first_use(&entry.value)),
    }
}

/// A value as if all of it stood at one place.
fn moved(shape: &Shape, at: Span) -> Shape {
    let node = |node: &Node| Node {
        span: at,
        shape: moved(&node.shape, at),
    };
    match shape {
        Shape::Null => Shape::Null,
        Shape::Scalar(text) => Shape::Scalar(text.clone()),
        Shape::List(items) => Shape::List(items.iter().map(node).collect()),
        Shape::Map(entries) => {
            let entries = entries.iter().map(|entry| crate::yaml::Entry {
                key: entry.key.clone(),
                key_span: at,
                value: node(&entry.value),
            });
            Shape::Map(entries.collect())
        }
    }
}
