//! A JSON value that knows where it stands, so that every error can say so.

use std::rc::Rc;

use num_bigint::{BigInt, BigUint};
use num_traits::Num;
use serde_json::Value;

use crate::ir::SourceInfo;

use super::error::{Place, Problem, ReadError};

/// The result of reading a part of the program.
pub(super) type Read<T> = Result<T, ReadError>;

/// Longest number accepted, in hexadecimal digits: far beyond any field.
const MAX_DIGITS: usize = 1 << 16;

/// A value and the way that led to it. Clones are cheap.
#[derive(Clone)]
pub(super) struct Cursor<'a>(Rc<Inner<'a>>);

struct Inner<'a> {
    value: &'a Value,
    parent: Option<Cursor<'a>>,
    step: Step,
}

enum Step {
    Root,
    Key(&'static str),
    Index(usize),
}

const NULL: &Value = &Value::Null;

impl<'a> Cursor<'a> {
    /// The whole document.
    pub(super) fn root(value: &'a Value) -> Cursor<'a> {
        Cursor(Rc::new(Inner {
            value,
            parent: None,
            step: Step::Root,
        }))
    }

    fn child(&self, value: &'a Value, step: Step) -> Cursor<'a> {
        Cursor(Rc::new(Inner {
            value,
            parent: Some(self.clone()),
            step,
        }))
    }

    /// The JSON value itself.
    pub(super) fn value(&self) -> &'a Value {
        self.0.value
    }

    /// The member of that name; null if there is none.
    pub(super) fn get(&self, key: &'static str) -> Cursor<'a> {
        self.child(self.value().get(key).unwrap_or(NULL), Step::Key(key))
    }

    /// The element at that position; null if there is none.
    pub(super) fn at(&self, index: usize) -> Cursor<'a> {
        self.child(self.value().get(index).unwrap_or(NULL), Step::Index(index))
    }

    /// Whether the value is null or absent.
    pub(super) fn is_null(&self) -> bool {
        self.value().is_null()
    }

    /// The elements of a list; an absent list is empty.
    pub(super) fn items(&self) -> Read<Vec<Cursor<'a>>> {
        match self.value() {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(i, v)| self.child(v, Step::Index(i)))
                .collect()),
            _ => Err(self.wrong("a list")),
        }
    }

    /// A string.
    pub(super) fn str(&self) -> Read<&'a str> {
        self.value().as_str().ok_or_else(|| self.wrong("a string"))
    }

    /// A string, or nothing for null.
    pub(super) fn opt_str(&self) -> Read<Option<&'a str>> {
        if self.is_null() {
            Ok(None)
        } else {
            self.str().map(Some)
        }
    }

    /// A truth value; false if absent.
    pub(super) fn bool_or_false(&self) -> Read<bool> {
        match self.value() {
            Value::Null => Ok(false),
            Value::Bool(b) => Ok(*b),
            // p4c writes the sign of a field of type bool as a number.
            Value::Number(n) => n
                .as_u64()
                .map(|n| n != 0)
                .ok_or_else(|| self.wrong("true or false")),
            _ => Err(self.wrong("true or false")),
        }
    }

    /// A number that fits 32 bits, written as a number or as a hexadecimal string.
    pub(super) fn u32(&self) -> Read<u32> {
        self.opt_u32()?
            .ok_or_else(|| self.wrong("a number of at most 32 bits"))
    }

    /// As [`Cursor::u32`], or nothing for null.
    pub(super) fn opt_u32(&self) -> Read<Option<u32>> {
        match self.value() {
            Value::Null => Ok(None),
            Value::Number(n) => n
                .as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .map(Some)
                .ok_or_else(|| self.wrong("a number of at most 32 bits")),
            _ => u32::try_from(self.int()?)
                .map(Some)
                .map_err(|_| self.wrong("a number of at most 32 bits")),
        }
    }

    /// A number of any size: a JSON integer, or a string such as `"0x1f"` or `"-0x2"`.
    pub(super) fn int(&self) -> Read<BigInt> {
        let wrong = || self.wrong("a hexadecimal number");
        match self.value() {
            Value::Number(n) => n.as_i64().map(BigInt::from).ok_or_else(wrong),
            Value::String(s) if s.len() <= MAX_DIGITS => {
                let (negative, digits) = match s.strip_prefix('-') {
                    Some(rest) => (true, rest),
                    None => (false, s.as_str()),
                };
                // Old compilers leave the prefix out.
                let digits = digits.strip_prefix("0x").unwrap_or(digits);
                let magnitude = BigUint::from_str_radix(digits, 16).map_err(|_| wrong())?;
                let magnitude = BigInt::from(magnitude);
                Ok(if negative { -magnitude } else { magnitude })
            }
            _ => Err(wrong()),
        }
    }

    /// A non-negative number of any size.
    pub(super) fn uint(&self) -> Read<BigUint> {
        BigUint::try_from(self.int()?).map_err(|_| self.wrong("a number that is not negative"))
    }

    /// As [`Cursor::uint`], or nothing for null.
    pub(super) fn opt_uint(&self) -> Read<Option<BigUint>> {
        if self.is_null() {
            Ok(None)
        } else {
            self.uint().map(Some)
        }
    }

    /// The P4 source of this very value; unknown if it has none.
    pub(super) fn source(&self) -> SourceInfo {
        let info = &self.value()["source_info"];
        let number = |key: &str| info[key].as_u64().and_then(|n| u32::try_from(n).ok());
        let text = |key: &str| info[key].as_str().unwrap_or_default().to_owned();
        SourceInfo {
            file: text("filename"),
            line: number("line").unwrap_or(0),
            // p4c counts columns from 0, editors from 1.
            column: number("column").map_or(0, |column| column.saturating_add(1)),
            fragment: text("source_fragment"),
        }
    }

    /// An error about this value.
    pub(super) fn error(&self, problem: Problem) -> ReadError {
        ReadError::Program {
            problem,
            place: Box::new(self.place()),
        }
    }

    /// An error: a value of the wrong type.
    pub(super) fn wrong(&self, expected: &'static str) -> ReadError {
        let text = self.value().to_string();
        let found = match self.value() {
            Value::Null => "nothing".to_owned(),
            _ if text.chars().count() <= 60 => text,
            _ => text.chars().take(60).chain("...".chars()).collect(),
        };
        self.error(Problem::WrongType { expected, found })
    }

    /// An error: a reference to nothing.
    pub(super) fn unknown(&self, kind: &'static str, name: impl ToString) -> ReadError {
        self.error(Problem::Unknown {
            kind,
            name: name.to_string(),
        })
    }

    /// An error: a construct that is not supported.
    pub(super) fn unsupported(&self, construct: impl Into<String>) -> ReadError {
        self.error(Problem::Unsupported {
            construct: construct.into(),
        })
    }

    /// An error: a contradiction.
    pub(super) fn invalid(&self, message: impl Into<String>) -> ReadError {
        self.error(Problem::Invalid(message.into()))
    }

    fn place(&self) -> Place {
        let mut way: Vec<&Cursor<'a>> = vec![self];
        while let Some(parent) = way.last().and_then(|c| c.0.parent.as_ref()) {
            way.push(parent);
        }
        let mut path = String::new();
        for cursor in way.iter().rev() {
            match cursor.0.step {
                Step::Root => {}
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => {
                    path.push('.');
                    path.push_str(key);
                }
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        let named = way.iter().find_map(|c| c.value()["name"].as_str());
        let source = way
            .iter()
            .find(|c| c.value()["source_info"].is_object())
            .map(|c| c.source());
        Place {
            path,
            name: named.unwrap_or_default().to_owned(),
            source: source.unwrap_or_default(),
        }
    }
}
