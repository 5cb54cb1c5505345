//! The kernel's description of its own types (BTF): numbers of functions, places of members.
//!
//! ```text
//! header   u16 magic | u8 version | u8 flags | u32 header bytes
//!          u32 offset, bytes of the types | u32 offset, bytes of the strings
//! type     u32 name | u32 kind and count | u32 size or type | what the kind has, `count` times
//! ```
//!
//! Safe code: a damaged description is one that lacks what is looked for.

use std::path::Path;

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC: u32 = 12;
const TYPE_BYTES: usize = 12;
const MEMBER_BYTES: usize = 12;

/// The types of the running kernel.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    strings: usize,
    /// Where each type is, from type 1 on.
    types: Vec<usize>,
}

/// The beginning of a type.
#[derive(Debug, Clone, Copy)]
struct Type {
    name: usize,
    kind: u32,
    count: usize,
    /// Whether offsets of members are 24 bits, and 8 bits of width above them.
    has_widths: bool,
    /// Where what its kind has begins.
    rest: usize,
}

impl Btf {
    /// Reads `/sys/kernel/btf/vmlinux`; `None` where the kernel has none.
    pub fn of_the_kernel() -> Option<Btf> {
        Btf::parse(std::fs::read(Path::new("/sys/kernel/btf/vmlinux")).ok()?)
    }

    fn parse(bytes: Vec<u8>) -> Option<Btf> {
        let magic = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
        if magic != MAGIC {
            return None;
        }
        let word = |at: usize| u32_at(&bytes, at).map(|word| word as usize);
        let header = word(4)?;
        let (start, length) = (header + word(8)?, word(12)?);
        let strings = header + word(16)?;
        let mut btf = Btf {
            bytes,
            strings,
            types: Vec::new(),
        };
        let mut at = start;
        while at < start + length {
            let found = btf.read(at)?;
            btf.types.push(at);
            at = found.rest + found.count * bytes_of_each(found.kind) + bytes_of_one(found.kind);
        }
        Some(btf)
    }

    /// The number of a function.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.find(KIND_FUNC, name).map(|(id, _)| id)
    }

    /// Bytes from the start of a struct to one of its members, also in a struct without a name in it.
    pub fn member(&self, of: &str, name: &str) -> Option<u32> {
        let (_, found) = self.find(KIND_STRUCT, of)?;
        self.member_bits(found, name).map(|bits| bits / 8)
    }

    /// The value of an enumerator.
    pub fn enumerator(&self, of: &str, name: &str) -> Option<u32> {
        let (_, found) = self.find(KIND_ENUM, of)?;
        (0..found.count).find_map(|index| {
            let at = found.rest + 8 * index;
            let is_it = self.is_name(u32_at(&self.bytes, at)? as usize, name);
            is_it.then(|| u32_at(&self.bytes, at + 4)).flatten()
        })
    }

    fn member_bits(&self, of: Type, name: &str) -> Option<u32> {
        (0..of.count).find_map(|index| {
            let at = of.rest + MEMBER_BYTES * index;
            let [member, inner, offset] = [0, 4, 8].map(|o| u32_at(&self.bytes, at + o));
            let (member, offset) = (member? as usize, offset?);
            let bits = match of.has_widths {
                true => offset & 0xff_ffff,
                false => offset,
            };
            if self.is_name(member, name) {
                return Some(bits);
            }
            if !self.is_name(member, "") {
                return None;
            }
            let inner = self.read(*self.types.get((inner? as usize).checked_sub(1)?)?)?;
            let is_nested = matches!(inner.kind, KIND_STRUCT | KIND_UNION);
            is_nested.then(|| Some(bits + self.member_bits(inner, name)?))?
        })
    }

    fn find(&self, kind: u32, name: &str) -> Option<(u32, Type)> {
        self.types.iter().enumerate().find_map(|(index, at)| {
            let found = self.read(*at)?;
            let is_it = found.kind == kind && self.is_name(found.name, name);
            is_it.then_some((index as u32 + 1, found))
        })
    }

    fn read(&self, at: usize) -> Option<Type> {
        let info = u32_at(&self.bytes, at + 4)?;
        Some(Type {
            name: u32_at(&self.bytes, at)? as usize,
            kind: info >> 24 & 0x1f,
            count: (info & 0xffff) as usize,
            has_widths: info >> 31 == 1,
            rest: at + TYPE_BYTES,
        })
    }

    fn is_name(&self, offset: usize, name: &str) -> bool {
        let start = self.strings + offset;
        let found = self.bytes.get(start..start + name.len() + 1);
        found.is_some_and(|found| found.split_last() == Some((&0, name.as_bytes())))
    }
}

/// Bytes of a type beside what it has `count` times.
fn bytes_of_one(kind: u32) -> usize {
    match kind {
        // Integers, variables, declaration tags; arrays.
        1 | 14 | 17 => 4,
        3 => 12,
        _ => 0,
    }
}

fn bytes_of_each(kind: u32) -> usize {
    match kind {
        // Structs, unions, sections, 64-bit enumerations; enumerations, prototypes.
        KIND_STRUCT | KIND_UNION | 15 | 19 => MEMBER_BYTES,
        KIND_ENUM | 13 => 8,
        _ => 0,
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_descriptions_have_nothing_in_them() {
        assert!(Btf::parse(Vec::new()).is_none());
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        bytes.extend([24u32, 0, 400, 0, 0].iter().flat_map(|w| w.to_ne_bytes()));
        assert!(Btf::parse(bytes).is_none());
    }

    #[test]
    fn members_of_nameless_structs_are_found_where_they_are() {
        // struct a { struct { u32 b; u32 c; }; } and the names "", "a", "b", "c".
        let types: [u32; 18] = [
            1,
            4 << 24 | 1,
            8,
            /* a */ 0,
            2,
            0, //
            0,
            4 << 24 | 2,
            8,
            /* nameless */ 3,
            0,
            0,
            5,
            0,
            32, //
            1,
            12 << 24,
            0, // a function named a
        ];
        let header: [u32; 5] = [24, 0, 4 * types.len() as u32, 4 * types.len() as u32, 7];
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        bytes.extend(header.iter().chain(&types).flat_map(|w| w.to_ne_bytes()));
        bytes.extend(b"\0a\0b\0c\0");
        let btf = Btf::parse(bytes).expect("it is well-formed");
        assert_eq!(btf.member("a", "c"), Some(4));
        assert_eq!(btf.member("a", "d"), None);
        assert_eq!(btf.function("a"), Some(3));
    }
}
