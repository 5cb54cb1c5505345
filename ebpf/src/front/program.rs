//! The instructions that look at a frame before the pipeline. See [`super`] for what they are for.
//!
//! Values of frames are compared as this machine loads them, so constants have their bytes swapped.

use crate::asm::{Alu, Assembler, Cond, Label, Note, Reg, Size};
use crate::switch::ports::{INTERFACES_OFFSET, MAX_INTERFACE, MAX_PORTS, Ports};

use super::frames::{FRAME_CLASSES, FRAME_HEADER_BYTES, STATION_BYTES};
use super::kind::MAX_TAGS;
use super::{CELLS, FULL, Front, LIMITS, LocalKind, WANTED};
use crate::windows::{self, CELL_BYTES};

const CTX_DATA: i32 = 0;
const CTX_DATA_END: i32 = 4;
const CTX_INGRESS_IFINDEX: i32 = 12;
const XDP_DROP: u64 = 1;

const HELPER_RINGBUF_RESERVE: u32 = 131;
const HELPER_RINGBUF_SUBMIT: u32 = 132;
const HELPER_RINGBUF_DISCARD: u32 = 133;
const HELPER_XDP_LOAD_BYTES: u32 = 189;

const TAKE: i32 = 2;
/// Where a value lies on the stack while helpers run.
const WANTED_AT: i32 = -8;

/// Puts the program before the next instruction. It begins with the context in R1 and goes on with the
/// context in R6, for all frames that the pipeline is to see.
pub(crate) fn emit(asm: &mut Assembler, front: &Front, ports: &Ports) {
    asm.note(Note::stage("front"));
    let kinds = LocalKind::PROTOCOLS.map(|_| asm.label());
    let pipeline = asm.label();
    asm.mov(Reg::R6, Reg::R1);
    new_station(asm, front, ports);
    asm.load(Size::W, Reg::R2, Reg::R6, CTX_DATA);
    asm.load(Size::W, Reg::R3, Reg::R6, CTX_DATA_END);
    for tags in 0..=MAX_TAGS {
        classify(asm, tags, &kinds, pipeline);
    }
    let found = asm.label();
    for (kind, label) in LocalKind::PROTOCOLS.into_iter().zip(kinds) {
        asm.place(label);
        asm.mov_imm(Reg::R8, kind as u64);
        asm.jump(found);
    }
    asm.place(found);
    let mut taker = Taker {
        asm,
        front,
        goes_on: pipeline,
    };
    taker.hand_up(ports);
    asm.place(pipeline);
}

/// Hands up a frame of a station that is not known where it came in, and goes on with every frame.
fn new_station(asm: &mut Assembler, front: &Front, ports: &Ports) {
    let goes_on = asm.label();
    asm.load(Size::W, Reg::R2, Reg::R6, CTX_DATA);
    asm.load(Size::W, Reg::R3, Reg::R6, CTX_DATA_END);
    asm.mov_imm(Reg::R8, LocalKind::NewStation as u64);
    let mut taker = Taker {
        asm,
        front,
        goes_on,
    };
    taker.wanted();
    taker.port(ports);
    front.stations.look_up(taker.asm, goes_on);
    taker.submit_within_limit(STATION_BYTES);
    asm.place(goes_on);
}

/// Goes to the label of the frame's kind, which has that many tags (and falls through if it has more), or
/// to `pipeline`. The frame is from R2 to R3.
fn classify(asm: &mut Assembler, tags: usize, kinds: &[Label; 4], pipeline: Label) {
    let ether_type = 12 + 4 * tags as i32;
    let packet = ether_type + 2;
    let [lldp, arp, neighbor, dhcp] = *kinds;
    let (ipv4, ipv6, tagged) = (asm.label(), asm.label(), asm.label());
    let has = |asm: &mut Assembler, bytes: i32| {
        asm.mov(Reg::R4, Reg::R2);
        asm.alu_imm(Alu::Add, Reg::R4, bytes);
        asm.jump_if(Cond::Gt, Reg::R4, Reg::R3, pipeline);
    };
    has(asm, packet);
    asm.load(Size::H, Reg::R0, Reg::R2, ether_type);
    asm.jump_if_imm(Cond::Eq, Reg::R0, swapped(0x0800), ipv4);
    asm.jump_if_imm(Cond::Eq, Reg::R0, swapped(0x86dd), ipv6);
    asm.jump_if_imm(Cond::Eq, Reg::R0, swapped(0x8100), tagged);
    asm.jump_if_imm(Cond::Eq, Reg::R0, swapped(0x88a8), tagged);
    asm.jump_if_imm(Cond::Eq, Reg::R0, swapped(0x0806), arp);
    if tags == 0 {
        asm.jump_if_imm(Cond::Eq, Reg::R0, swapped(0x88cc), lldp);
    }
    asm.jump(pipeline);

    asm.place(ipv4);
    has(asm, packet + 24);
    asm.load(Size::B, Reg::R0, Reg::R2, packet + 9);
    asm.jump_if_imm(Cond::Ne, Reg::R0, 17, pipeline);
    asm.load(Size::B, Reg::R0, Reg::R2, packet);
    asm.jump_if_imm(Cond::Ne, Reg::R0, 0x45, pipeline);
    asm.load(Size::H, Reg::R0, Reg::R2, packet + 22);
    asm.jump_if_imm(Cond::Eq, Reg::R0, swapped(67), dhcp);
    asm.jump_if_imm(Cond::Eq, Reg::R0, swapped(68), dhcp);
    asm.jump(pipeline);

    asm.place(ipv6);
    let udp = asm.label();
    has(asm, packet + 44);
    asm.load(Size::B, Reg::R0, Reg::R2, packet + 6);
    asm.jump_if_imm(Cond::Eq, Reg::R0, 17, udp);
    asm.jump_if_imm(Cond::Ne, Reg::R0, 58, pipeline);
    asm.load(Size::B, Reg::R0, Reg::R2, packet + 40);
    asm.jump_if_imm(Cond::Lt, Reg::R0, 133, pipeline);
    asm.jump_if_imm(Cond::Le, Reg::R0, 137, neighbor);
    asm.jump(pipeline);
    asm.place(udp);
    asm.load(Size::H, Reg::R0, Reg::R2, packet + 42);
    asm.jump_if_imm(Cond::Eq, Reg::R0, swapped(546), dhcp);
    asm.jump_if_imm(Cond::Eq, Reg::R0, swapped(547), dhcp);
    asm.jump(pipeline);

    asm.place(tagged);
    if tags == MAX_TAGS {
        asm.jump(pipeline);
    }
}

fn swapped(value: u16) -> i32 {
    i32::from(value.swap_bytes())
}

/// What is done with a frame of a kind that the agent speaks.
struct Taker<'a> {
    asm: &'a mut Assembler,
    front: &'a Front,
    /// Where frames go that are not taken.
    goes_on: Label,
}

impl Taker<'_> {
    /// Hands the frame up, if it is asked for. R8 is its kind, and R2 where it begins. Goes on if the pipeline is to
    /// see it, too; else the program ends.
    fn hand_up(&mut self, ports: &Ports) {
        self.wanted();
        self.port(ports);
        self.submit_within_limit(FRAME_CLASSES[FRAME_CLASSES.len() - 1]);
        self.asm.load(Size::W, Reg::R0, Reg::R10, WANTED_AT);
        self.asm.jump_if_imm(Cond::Ne, Reg::R0, TAKE, self.goes_on);
        self.asm.mov_imm(Reg::R0, XDP_DROP);
        self.asm.exit();
    }

    /// Leaves what becomes of the kind on the stack.
    fn wanted(&mut self) {
        let asm = &mut *self.asm;
        let is_asked_for = asm.label();
        self.front_word(Reg::R1, WANTED, 2);
        let asm = &mut *self.asm;
        asm.load(Size::W, Reg::R0, Reg::R1, 0);
        asm.jump_if_imm(Cond::Eq, Reg::R0, 0, self.goes_on);
        asm.store(Size::W, Reg::R10, WANTED_AT, Reg::R0);
        asm.jump_if_imm(Cond::Ne, Reg::R8, LocalKind::Lldp as i32, is_asked_for);
        asm.jump_if_imm(Cond::Ne, Reg::R0, TAKE, is_asked_for);
        // What is taken goes to an address that no bridge forwards: see `is_link_local`.
        asm.load(Size::W, Reg::R0, Reg::R2, 0);
        asm.jump_if_imm(Cond::Ne, Reg::R0, 0x00c2_8001, self.goes_on);
        asm.load(Size::H, Reg::R0, Reg::R2, 4);
        asm.jump_if_imm(Cond::Eq, Reg::R0, 0x0e00, is_asked_for);
        asm.jump_if_imm(Cond::Eq, Reg::R0, 0x0300, is_asked_for);
        asm.jump_if_imm(Cond::Ne, Reg::R0, 0x0000, self.goes_on);
        asm.place(is_asked_for);
    }

    /// R9 becomes the port, R7 the length of the frame.
    fn port(&mut self, ports: &Ports) {
        let asm = &mut *self.asm;
        asm.mov(Reg::R7, Reg::R3);
        asm.alu(Alu::Sub, Reg::R7, Reg::R2);
        asm.load(Size::W, Reg::R1, Reg::R6, CTX_INGRESS_IFINDEX);
        asm.jump_if_imm(Cond::Gt, Reg::R1, MAX_INTERFACE as i32, self.goes_on);
        asm.alu_imm(Alu::Lsh, Reg::R1, 1);
        asm.map_value(Reg::R2, ports.map().insn_fd(), INTERFACES_OFFSET);
        asm.alu(Alu::Add, Reg::R2, Reg::R1);
        asm.load(Size::H, Reg::R9, Reg::R2, 0);
        asm.jump_if_imm(Cond::Eq, Reg::R9, 0, self.goes_on);
        asm.alu_imm(Alu::Sub, Reg::R9, 1);
        asm.jump_if_imm(Cond::Ge, Reg::R9, MAX_PORTS as i32, self.goes_on);
    }

    /// Counts the frame in its window, or beyond it.
    fn within_limit(&mut self, beyond: Label) {
        windows::now(self.asm);
        self.front_word(Reg::R1, LIMITS, 2);
        let asm = &mut *self.asm;
        asm.load(Size::W, Reg::R4, Reg::R1, 0);
        asm.mov(Reg::R2, Reg::R8);
        asm.alu_imm(Alu::Mul, Reg::R2, MAX_PORTS as i32);
        asm.alu(Alu::Add, Reg::R2, Reg::R9);
        asm.alu_imm(Alu::Mul, Reg::R2, CELL_BYTES as i32);
        asm.map_value(Reg::R1, self.front.memory_fd(), CELLS);
        asm.alu(Alu::Add, Reg::R1, Reg::R2);
        windows::count(asm, beyond);
    }

    /// Puts the first bytes of the frame on the ring buffer, at most so many, unless its port has sent up as many as
    /// it may. R9 is the port, R7 the length.
    fn submit_within_limit(&mut self, most: usize) {
        let done = self.asm.label();
        self.within_limit(done);
        self.submit(most, done);
        self.asm.place(done);
    }

    fn submit(&mut self, most: usize, done: Label) {
        let (fill, full) = (self.asm.label(), self.asm.label());
        let largest = most as i32;
        let asm = &mut *self.asm;
        let fits = asm.label();
        asm.jump_if_imm(Cond::Le, Reg::R7, largest, fits);
        asm.mov_imm(Reg::R7, largest as u64);
        asm.place(fits);
        asm.jump_if_imm(Cond::Le, Reg::R7, 0, done);
        let first_that_holds_all = FRAME_CLASSES.iter().position(|room| *room >= most);
        let classes = first_that_holds_all.map_or(FRAME_CLASSES.len(), |at| at + 1);
        for room in &FRAME_CLASSES[..classes] {
            let room = *room;
            let larger = asm.label();
            asm.jump_if_imm(Cond::Gt, Reg::R7, room as i32, larger);
            asm.map(Reg::R1, self.front.ring_fd());
            asm.mov_imm(Reg::R2, (FRAME_HEADER_BYTES + room) as u64);
            asm.mov_imm(Reg::R3, 0);
            asm.call(HELPER_RINGBUF_RESERVE);
            asm.jump_if_imm(Cond::Eq, Reg::R0, 0, full);
            asm.jump(fill);
            asm.place(larger);
        }
        asm.place(full);
        self.front_word(Reg::R1, FULL, 3);
        let asm = &mut *self.asm;
        asm.mov_imm(Reg::R2, 1);
        asm.atomic_add64(Reg::R1, 0, Reg::R2);
        asm.jump(done);

        asm.place(fill);
        asm.store(Size::W, Reg::R0, 0, Reg::R8);
        asm.store(Size::W, Reg::R0, 4, Reg::R9);
        asm.store(Size::W, Reg::R0, 8, Reg::R7);
        asm.mov(Reg::R9, Reg::R0);
        asm.mov(Reg::R1, Reg::R6);
        asm.mov_imm(Reg::R2, 0);
        asm.mov(Reg::R3, Reg::R9);
        asm.alu_imm(Alu::Add, Reg::R3, FRAME_HEADER_BYTES as i32);
        asm.mov(Reg::R4, Reg::R7);
        asm.call(HELPER_XDP_LOAD_BYTES);
        let discard = asm.label();
        asm.jump_if_imm(Cond::Ne, Reg::R0, 0, discard);
        asm.mov(Reg::R1, Reg::R9);
        asm.mov_imm(Reg::R2, 0);
        asm.call(HELPER_RINGBUF_SUBMIT);
        asm.jump(done);
        asm.place(discard);
        asm.mov(Reg::R1, Reg::R9);
        asm.mov_imm(Reg::R2, 0);
        asm.call(HELPER_RINGBUF_DISCARD);
    }

    /// `dst` becomes the address of the kind's word in an array of words of `1 << shift` bytes.
    fn front_word(&mut self, dst: Reg, array: u32, shift: i32) {
        let kind = Reg::R5;
        self.asm.mov(kind, Reg::R8);
        self.asm.alu_imm(Alu::Lsh, kind, shift);
        self.asm.map_value(dst, self.front.memory_fd(), array);
        self.asm.alu(Alu::Add, dst, kind);
    }
}
