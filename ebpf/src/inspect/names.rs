//! Names for what instructions say in numbers: places in the PHV and in the tables, maps, helpers.

use pointsman_p4::ir::{FieldKind, FieldRef, HeaderId, Program, StackId};

use crate::asm::{Access, Operand};
use crate::compile::Maps;
use crate::compile::layout::{Control, Layout, SCRATCH, Slot};
use crate::plan::Plan;
use crate::sys::MapFd;
use crate::tables::arena::Region;

/// The register that holds the address of the PHV.
const PHV_REGISTER: u8 = 7;

/// A place in the PHV.
#[derive(Debug)]
struct Place {
    start: i32,
    end: i32,
    name: String,
}

/// All names of a compiled program.
#[derive(Debug)]
pub(super) struct Names<'a> {
    plan: &'a Plan,
    maps: &'a Maps,
    /// Ascending.
    phv: Vec<Place>,
    /// Offsets in the tables, ascending.
    tables: Vec<(u32, String)>,
}

impl<'a> Names<'a> {
    pub(super) fn new(
        program: &Program,
        plan: &'a Plan,
        layout: &Layout,
        maps: &'a Maps,
    ) -> Names<'a> {
        Names {
            plan,
            maps,
            phv: phv_places(program, layout),
            tables: table_places(program, plan),
        }
    }

    /// What an access reads or writes, if it is in the PHV.
    pub(super) fn accessed(&self, access: Access) -> Option<String> {
        if access.base != PHV_REGISTER {
            return None;
        }
        let start = i32::from(access.offset);
        let end = start + access.size.bytes() as i32;
        let first = self.phv.partition_point(|place| place.end <= start);
        let places = self.phv[first..].iter().take_while(|p| p.start < end);
        let names: Vec<&str> = places.map(|place| place.name.as_str()).collect();
        match names.as_slice() {
            [] if start < SCRATCH => Control::name(start).map(str::to_owned),
            [] => None,
            [one] => Some((*one).to_owned()),
            [one, two] => Some(format!("{one}, {two}")),
            [one, .., last] => Some(format!("{one} to {last}")),
        }
    }

    /// What stands for an operand; `offset` is the second half of the instruction.
    pub(super) fn operand(&self, operand: Operand, offset: u32) -> String {
        match operand {
            Operand::None => String::new(),
            Operand::Jump(distance) => format!("{distance:+}"),
            Operand::Helper(number) => match helper(number) {
                Some(name) => name.to_owned(),
                None => format!("helper {number}"),
            },
            // The only one that programs call, by a number that is another one on each kernel.
            Operand::KernelFunction(_) => "bpf_cast_to_kern_ctx".to_owned(),
            Operand::Map(fd) => self.map(fd),
            Operand::MapValue(fd) => format!("&{}[{offset:#x}]", self.map(fd)),
        }
    }

    /// What is at an operand that is a place in a map.
    pub(super) fn pointed_at(&self, operand: Operand, offset: u32) -> Option<String> {
        let Operand::MapValue(fd) = operand else {
            return None;
        };
        if MapFd(fd) == self.maps.cells {
            return region_at(&self.plan.cell_regions, offset);
        }
        if MapFd(fd) != self.maps.tables {
            return None;
        }
        let after = self.tables.partition_point(|(start, _)| *start <= offset);
        if let Some((start, name)) = self.tables[..after].last()
            && *start == offset
        {
            return Some(name.clone());
        }
        region_at(&self.plan.regions, offset)
    }

    fn map(&self, fd: i32) -> String {
        match self.maps.name(MapFd(fd)) {
            Some(name) => format!("map {name}"),
            None => format!("map {fd}"),
        }
    }
}

/// Whose an offset is.
fn region_at(regions: &[Region], offset: u32) -> Option<String> {
    let after = regions.partition_point(|region| region.offset <= offset);
    regions[..after].last().map(|region| region.name.clone())
}

/// Control words have no length here: every one is accessed at its beginning.
fn phv_places(program: &Program, layout: &Layout) -> Vec<Place> {
    let mut places = Vec::new();
    let mut add = |start: i32, bytes: u32, name: String| {
        places.push(Place {
            start,
            end: start + bytes as i32,
            name,
        });
    };
    for (index, header) in program.headers.iter().enumerate() {
        let id = HeaderId(index as u32);
        if layout.has(id) {
            add(layout.valid(id), 1, format!("{}.isValid()", header.name));
        }
        for (position, field) in header.fields.iter().enumerate() {
            let slot = layout.slot(FieldRef {
                header: id,
                field: position as u32,
            });
            let name = format!("{}.{}", header.name, field.name);
            match slot {
                _ if field.kind == FieldKind::Varbit => {}
                Slot::Unread => {}
                Slot::Wire { offset, bit, width } => add(offset, (bit + width).div_ceil(8), name),
                Slot::Host { offset, size, .. } => add(offset, size.bytes(), name),
            }
        }
        if let (Some(place), Some(field)) = (layout.varbit(id), header.varbit()) {
            let name = format!("{}.{}", header.name, field.name);
            add(place.offset, 8, format!("bytes in {name}"));
            add(place.data(), place.max_bytes, name);
        }
    }
    for (index, stack) in program.stacks.iter().enumerate() {
        let at = layout.next(StackId(index as u32));
        add(at, 1, format!("{}.nextIndex", stack.name));
    }
    places.sort_by_key(|place| (place.start, place.end));
    places
}

fn table_places(program: &Program, plan: &Plan) -> Vec<(u32, String)> {
    let mut places = vec![
        (plan.bit_numbers, "positions of bits".to_owned()),
        (plan.crc16, "tables of crc16".to_owned()),
        (plan.crc32, "tables of crc32".to_owned()),
    ];
    for (table, plan) in program.tables.iter().zip(&plan.tables) {
        let name = &table.name;
        places.push((plan.records.offset, format!("records of {name}")));
        places.push((plan.default_at, format!("default action of {name}")));
        places.push((plan.populated_at, format!("whether {name} has entries")));
        if let Some(counter) = plan.counter {
            places.push((counter.offset, format!("direct counter of {name}")));
        }
        if let Some(meter) = plan.meter {
            places.push((meter.offset, format!("direct meter of {name}")));
        }
    }
    for (profile, plan) in program.action_profiles.iter().zip(&plan.profiles) {
        let name = &profile.name;
        places.push((plan.records.offset, format!("records of {name}")));
        places.push((plan.members, format!("members of {name}")));
        places.push((plan.groups, format!("groups of {name}")));
        places.push((plan.blocks, format!("members of groups of {name}")));
    }
    places.sort_by_key(|(offset, _)| *offset);
    places
}

/// The kernel's names of the helpers that programs call (`enum bpf_func_id`).
fn helper(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "map_lookup_elem",
        5 => "ktime_get_ns",
        7 => "get_prandom_u32",
        8 => "get_smp_processor_id",
        12 => "tail_call",
        28 => "csum_diff",
        44 => "xdp_adjust_head",
        51 => "redirect_map",
        65 => "xdp_adjust_tail",
        131 => "ringbuf_reserve",
        132 => "ringbuf_submit",
        133 => "ringbuf_discard",
        160 => "ktime_get_coarse_ns",
        181 => "loop",
        188 => "xdp_get_buff_len",
        189 => "xdp_load_bytes",
        190 => "xdp_store_bytes",
        _ => return None,
    })
}
