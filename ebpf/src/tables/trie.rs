//! Longest prefix match: a multibit trie, 16 bits at the root and 8 at each level below.
//!
//! ```text
//! root     65,536 cells, indexed by the first two bytes of the key
//! node     256 cells, indexed by the next byte
//! cell     u32: 0 nothing | slot of a record | CHILD + number of a node
//! ```
//!
//! Each cell holds the longest prefix that covers it, so a lookup never goes back up. A cell
//! changes with one release store; a node is filled before the cell that leads to it changes, and
//! is used again only after a grace period. While a short prefix is written, some addresses see it
//! before others; each packet sees either the old or the new entry.

mod prefixes;

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use smallvec::SmallVec;

use crate::asm::{Alu, Assembler, Cond, Reg, Size};
use crate::sys::SharedMemory;

use super::arena::Arena;
use super::grace::Grace;
use super::reader::{Outcome, Reader};
use super::records::RecordPlan;
use super::slots::{SlotError, Slots};
use prefixes::Prefixes;

const CHILD: u32 = 1 << 31;
const ROOT_BITS: u32 = 16;
const ROOT_CELLS: usize = 1 << ROOT_BITS;
const NODE_CELLS: usize = 256;
/// 256 MiB of nodes. A million IPv4 routes as they are in the Internet take 60,000.
pub const MAX_NODES: u32 = 1 << 18;

/// As many IPv4 prefixes as this may all be apart from each other, with nodes of their own.
const SHARED_FROM: u32 = 1 << 15;

/// What holds of every node that a cell leads to.
const SHADOWED: &str = "a linked node has a shadow";

/// Where a trie is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriePlan {
    root: u32,
    nodes: u32,
    node_count: u32,
    levels: u32,
}

impl TriePlan {
    /// Whether a key of this many bits fits: its bytes must follow each other.
    pub fn holds(key_bits: u32) -> bool {
        key_bits <= 64 || key_bits.is_multiple_of(64)
    }

    /// Reserves room. A prefix needs at most one node for each level below the root, and
    /// prefixes share them: three each is ample, and two where there are only two levels. Of more
    /// than `SHARED_FROM` IPv4 prefixes many are neighbours: half a node each is ample then, and
    /// [`MAX_NODES`] for what is known of the Internet's tables. There are at most `max_nodes`.
    pub fn new(arena: &mut Arena, entries: u32, key_bits: u32, max_nodes: u32) -> TriePlan {
        let levels = key_bits.div_ceil(8).saturating_sub(2);
        let entries = entries.max(64);
        // There are no more nodes right below the root than cells in it.
        let below_root = entries.min(ROOT_CELLS as u32);
        let apart = entries
            .saturating_mul(levels.min(3).saturating_sub(1))
            .saturating_add(below_root);
        let neighbours = match levels {
            2 => (entries / 2).max(SHARED_FROM * 2),
            _ => u32::MAX,
        };
        let node_count = apart
            .min(neighbours)
            .clamp(256, max_nodes)
            .next_power_of_two();
        let root = arena.reserve(ROOT_CELLS as u64 * 4);
        let nodes = arena.reserve(u64::from(node_count) * NODE_CELLS as u64 * 4);
        TriePlan {
            root,
            nodes,
            node_count,
            levels,
        }
    }

    /// Emits the lookup.
    pub fn emit(&self, asm: &mut Assembler, reader: &Reader, records: &RecordPlan, to: Outcome) {
        let found = asm.label();
        reader.load_first_u16(asm, Reg::R1);
        asm.alu_imm(Alu::Lsh, Reg::R1, 2);
        asm.map_value(Reg::R2, reader.arena, self.root);
        asm.alu(Alu::Add, Reg::R2, Reg::R1);
        asm.load(Size::W, Reg::R4, Reg::R2, 0);
        for level in 0..self.levels {
            asm.mov(Reg::R5, Reg::R4);
            asm.alu_imm(Alu::Rsh, Reg::R5, 31);
            asm.jump_if_imm(Cond::Eq, Reg::R5, 0, found);
            asm.alu32_imm(Alu::And, Reg::R4, (self.node_count - 1) as i32);
            asm.alu_imm(Alu::Lsh, Reg::R4, 8);
            reader.load_byte(asm, Reg::R1, 2 + level as usize);
            asm.alu(Alu::Or, Reg::R4, Reg::R1);
            asm.alu_imm(Alu::Lsh, Reg::R4, 2);
            asm.map_value(Reg::R2, reader.arena, self.nodes);
            asm.alu(Alu::Add, Reg::R2, Reg::R4);
            asm.load(Size::W, Reg::R4, Reg::R2, 0);
        }
        asm.place(found);
        asm.jump_if_imm(Cond::Eq, Reg::R4, 0, to.miss);
        reader.record_address(asm, records, Reg::R4);
        asm.jump(to.hit);
    }
}

/// The bytes of a key, left-aligned, bits beyond the prefix 0.
pub type PrefixBytes = SmallVec<[u8; 16]>;

/// A prefix: how many bits, and which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// Bits that count.
    pub len: u32,
    /// The bits, at least two bytes.
    pub bytes: PrefixBytes,
}

/// What the writer knows of the cells of a node, beside what they hold.
#[derive(Debug)]
struct Shadow {
    /// Length of the prefix in each cell plus one; 0 if there is none.
    lengths: Vec<u8>,
    /// Cells that hold a child or a prefix that begins in this node.
    own: u32,
}

impl Shadow {
    fn new(cells: usize, length: u8) -> Shadow {
        Shadow {
            lengths: vec![length; cells],
            own: 0,
        }
    }
}

/// The writer.
#[derive(Debug)]
pub struct Trie {
    plan: TriePlan,
    memory: Arc<SharedMemory>,
    prefixes: Prefixes,
    root: Shadow,
    /// By number; `None` are free.
    nodes: Vec<Option<Shadow>>,
    free: Slots,
}

/// The root or a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Node(u32),
}

impl Trie {
    /// An empty trie; the memory is zero.
    pub fn new(plan: TriePlan, memory: Arc<SharedMemory>) -> Trie {
        Trie {
            plan,
            memory,
            prefixes: Prefixes::new(plan.levels as usize + 2),
            root: Shadow::new(ROOT_CELLS, 0),
            nodes: Vec::new(),
            free: Slots::new(0..plan.node_count),
        }
    }

    /// The record of exactly this prefix.
    pub fn get(&self, prefix: &Prefix) -> Option<u32> {
        self.prefixes.get(prefix)
    }

    /// The record of the longest prefix of a whole key.
    pub fn lookup(&self, key: &[u8]) -> Option<u32> {
        let root = usize::from(key[0]) << 8 | usize::from(key[1]);
        let mut cell = self.memory.u32(self.cell(Place::Root, root)).load(Relaxed);
        for byte in &key[2..] {
            if cell & CHILD == 0 {
                break;
            }
            let at = self.cell(Place::Node(cell & !CHILD), usize::from(*byte));
            cell = self.memory.u32(at).load(Relaxed);
        }
        (cell != 0).then_some(cell)
    }

    /// Nodes that there can be.
    pub fn node_count(&self) -> u32 {
        self.plan.node_count
    }

    /// Publishes a record under a prefix that is not there.
    pub fn insert(&mut self, grace: &Grace, prefix: &Prefix, slot: u32) -> Result<(), SlotError> {
        let place = self.descend(grace, prefix)?;
        let (from, to, depth) = self.span(place, prefix);
        for index in from..to {
            self.cover(place, index, prefix.len as u8 + 1, slot, depth);
        }
        self.prefixes.insert(prefix, slot);
        Ok(())
    }

    /// Replaces the record of a prefix that is there; returns the old slot.
    pub fn replace(&mut self, prefix: &Prefix, slot: u32) -> Option<u32> {
        let old = self.prefixes.insert(prefix, slot);
        let path = self.path(prefix);
        let (place, _) = path[path.len() - 1];
        let (from, to, depth) = self.span(place, prefix);
        for index in from..to {
            self.cover(place, index, prefix.len as u8 + 1, slot, depth);
        }
        old
    }

    /// Unpublishes a prefix; returns its record's slot, to be retired.
    pub fn remove(&mut self, prefix: &Prefix) -> Option<u32> {
        let slot = self.prefixes.remove(prefix)?;
        let (parent_length, parent_slot) = self.covering(prefix);
        let path = self.path(prefix);
        let (place, _) = path[path.len() - 1];
        let (from, to, depth) = self.span(place, prefix);
        for index in from..to {
            self.uncover(
                place,
                index,
                prefix.len as u8 + 1,
                parent_length,
                parent_slot,
                depth,
            );
        }
        self.collapse(&path);
        Some(slot)
    }

    /// The places on the way to where a stored prefix ends, each with the index of the next.
    fn path(&self, prefix: &Prefix) -> Vec<(Place, usize)> {
        let mut path = vec![(Place::Root, root_index(prefix))];
        for level in 0..levels_below_root(prefix.len) {
            let (place, index) = path[path.len() - 1];
            let cell = self.memory.u32(self.cell(place, index)).load(Relaxed);
            debug_assert!(cell & CHILD != 0, "a stored prefix has its nodes");
            path.push((
                Place::Node(cell & !CHILD),
                usize::from(prefix.bytes[2 + level]),
            ));
        }
        path
    }

    /// Walks to the place where the prefix ends, adding nodes on the way.
    fn descend(&mut self, grace: &Grace, prefix: &Prefix) -> Result<Place, SlotError> {
        let (mut place, mut index) = (Place::Root, root_index(prefix));
        for level in 0..levels_below_root(prefix.len) {
            let at = self.cell(place, index);
            let cell = self.memory.u32(at).load(Relaxed);
            let node = if cell & CHILD != 0 {
                cell & !CHILD
            } else {
                let node = self.free.take(grace)?;
                let length = self.shadow(place).lengths[index];
                for child in 0..NODE_CELLS {
                    self.memory
                        .u32(self.cell(Place::Node(node), child))
                        .store(cell, Relaxed);
                }
                self.adopt(node, Shadow::new(NODE_CELLS, length));
                if u32::from(length) <= depth_of(level) {
                    // The cell was inherited so far; now it is this place's own.
                    self.shadow_mut(place).own += 1;
                }
                self.memory.u32(at).store(CHILD | node, Release);
                node
            };
            (place, index) = (Place::Node(node), usize::from(prefix.bytes[2 + level]));
        }
        Ok(place)
    }

    /// The cells of `place` that the prefix covers, and how many bits lead to the place.
    fn span(&self, place: Place, prefix: &Prefix) -> (usize, usize, u32) {
        let (index, bits, depth) = match place {
            Place::Root => (root_index(prefix), ROOT_BITS, 0),
            Place::Node(_) => {
                let level = levels_below_root(prefix.len);
                let depth = ROOT_BITS + 8 * (level as u32 - 1);
                (usize::from(prefix.bytes[1 + level]), 8, depth)
            }
        };
        let count = 1usize << (bits - (prefix.len - depth));
        (index, index + count, depth)
    }

    /// Writes a prefix into a cell and all below it, unless a longer one is there.
    fn cover(&mut self, place: Place, index: usize, length: u8, slot: u32, depth: u32) {
        let at = self.cell(place, index);
        let cell = self.memory.u32(at).load(Relaxed);
        if cell & CHILD != 0 {
            for child in 0..NODE_CELLS {
                let below = below(place, depth);
                self.cover(Place::Node(cell & !CHILD), child, length, slot, below);
            }
            // The length that the child would give back when it collapses.
            let shadow = self.shadow_mut(place);
            shadow.lengths[index] = shadow.lengths[index].max(length);
            return;
        }
        let shadow = self.shadow_mut(place);
        let old = shadow.lengths[index];
        if old > length {
            return;
        }
        shadow.lengths[index] = length;
        if u32::from(old) <= depth_length(depth) && u32::from(length) > depth_length(depth) {
            shadow.own += 1;
        }
        self.memory.u32(at).store(slot, Release);
    }

    /// Takes a prefix out of a cell and all below it, giving back the one that covers it.
    fn uncover(
        &mut self,
        place: Place,
        index: usize,
        length: u8,
        parent_length: u8,
        parent_slot: u32,
        depth: u32,
    ) {
        let at = self.cell(place, index);
        let cell = self.memory.u32(at).load(Relaxed);
        let shadow = self.shadow_mut(place);
        let is_own = shadow.lengths[index] == length;
        if is_own {
            shadow.lengths[index] = parent_length;
        }
        if cell & CHILD != 0 {
            for child in 0..NODE_CELLS {
                let node = Place::Node(cell & !CHILD);
                self.uncover(
                    node,
                    child,
                    length,
                    parent_length,
                    parent_slot,
                    below(place, depth),
                );
            }
            return;
        }
        if is_own {
            if u32::from(length) > depth_length(depth)
                && u32::from(parent_length) <= depth_length(depth)
            {
                self.shadow_mut(place).own -= 1;
            }
            self.memory.u32(at).store(parent_slot, Release);
        }
    }

    /// Frees the nodes at the end of a path in which nothing begins any more.
    fn collapse(&mut self, path: &[(Place, usize)]) {
        for pair in path.windows(2).rev() {
            let [(parent, index), (Place::Node(node), _)] = pair else {
                return;
            };
            if self.shadow(Place::Node(*node)).own > 0 {
                return;
            }
            let inherited = self
                .memory
                .u32(self.cell(Place::Node(*node), 0))
                .load(Relaxed);
            let depth = match parent {
                Place::Root => 0,
                Place::Node(_) => self.depth_in(path, *parent),
            };
            let at = self.cell(*parent, *index);
            self.memory.u32(at).store(inherited, Release);
            self.nodes[*node as usize] = None;
            self.free.retire(*node);
            let shadow = self.shadow_mut(*parent);
            if u32::from(shadow.lengths[*index]) <= depth_length(depth) {
                shadow.own -= 1;
            }
        }
    }

    fn depth_in(&self, path: &[(Place, usize)], place: Place) -> u32 {
        let level = path.iter().position(|(p, _)| *p == place).unwrap_or(0) as u32;
        ROOT_BITS + 8 * (level.max(1) - 1)
    }

    /// The longest stored prefix that covers this one, as a cell's length and slot.
    fn covering(&self, prefix: &Prefix) -> (u8, u32) {
        let covering = self.prefixes.covering(prefix);
        covering.map_or((0, 0), |(len, slot)| (len as u8 + 1, slot))
    }

    fn cell(&self, place: Place, index: usize) -> usize {
        match place {
            Place::Root => self.plan.root as usize + 4 * index,
            Place::Node(node) => {
                self.plan.nodes as usize + 4 * (node as usize * NODE_CELLS + index)
            }
        }
    }

    /// Keeps what is known of a node that comes into use; low numbers come first.
    fn adopt(&mut self, node: u32, shadow: Shadow) {
        let index = node as usize;
        if self.nodes.len() <= index {
            self.nodes.resize_with(index + 1, || None);
        }
        self.nodes[index] = Some(shadow);
    }

    fn shadow(&self, place: Place) -> &Shadow {
        match place {
            Place::Root => &self.root,
            Place::Node(node) => self.nodes[node as usize].as_ref().expect(SHADOWED),
        }
    }

    fn shadow_mut(&mut self, place: Place) -> &mut Shadow {
        match place {
            Place::Root => &mut self.root,
            Place::Node(node) => self.nodes[node as usize].as_mut().expect(SHADOWED),
        }
    }
}

impl Prefix {
    /// The first `len` bits of this one.
    fn cut(&self, len: u32) -> Prefix {
        let mut bytes = self.bytes.clone();
        for (index, byte) in bytes.iter_mut().enumerate() {
            let keep = len.saturating_sub(8 * index as u32).min(8);
            *byte &= !(0xffu16 >> keep) as u8;
        }
        Prefix { len, bytes }
    }
}

fn root_index(prefix: &Prefix) -> usize {
    usize::from(prefix.bytes[0]) << 8 | usize::from(prefix.bytes[1])
}

/// How many nodes lie on the way to where a prefix of this length ends.
fn levels_below_root(len: u32) -> usize {
    len.saturating_sub(ROOT_BITS).div_ceil(8) as usize
}

/// Bits that lead to the place at this step of a descent.
fn depth_of(level: usize) -> u32 {
    depth_length(if level == 0 {
        0
    } else {
        ROOT_BITS + 8 * (level as u32 - 1)
    })
}

/// A cell's length is that of a prefix that begins above a place if it is at most this.
fn depth_length(depth: u32) -> u32 {
    // Nothing begins above the root, not even the prefix of length 0.
    if depth == 0 { 0 } else { depth + 1 }
}

fn below(place: Place, depth: u32) -> u32 {
    if place == Place::Root {
        ROOT_BITS
    } else {
        depth + 8
    }
}
