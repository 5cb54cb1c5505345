//! One program cut into a chain of several.
//!
//! The code generator says where a *section* begins: a stretch that needs nothing from what ran before
//! it but what [`Glue::enter`] brings back, so that it can just as well stand in a program of its
//! own. A *shared* section is short and jumped to from everywhere: each program gets a copy if it needs one.
//! Sections are in an order in which all jumps between them go forward, so that a packet passes through each
//! program at most once. [`Draft::whole`] lays everything out as one program, without an instruction more.
//!
//! Knows nothing of tail calls: the instructions that leave one program and enter the next are the glue's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::flow::{self, Targets};
use super::{AssembleError, Assembler, Code, Label, Note};

/// Instructions tidied but not yet laid out.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The distances of its jumps are not written yet.
    pub(super) code: Code,
    pub(super) targets: Targets,
    /// Each goes into one program as a whole, in order.
    pub(super) sections: Vec<Range<usize>>,
    /// Those that are copied.
    pub(super) shared: Vec<Range<usize>>,
}

/// The instructions between the programs of a chain.
pub trait Glue {
    /// Brings back what a section needs. Every program but the first begins with it.
    fn enter(&self, asm: &mut Assembler);

    /// Goes to `place` if that is the entry that [`leave`](Glue::leave) left for.
    fn entry(&self, asm: &mut Assembler, number: u32, place: Label);

    /// Goes to an entry of another program.
    fn leave(&self, asm: &mut Assembler, program: usize, number: u32);
}

/// How a draft is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Instructions that a program should not exceed; a longer section is one by itself.
    pub instructions: usize,
    /// How many programs there may be. If that is not enough, they are longer than asked for.
    pub programs: usize,
}

/// A place that another program jumps to.
struct Entry {
    program: usize,
    number: u32,
}

impl Assembler {
    /// What follows can be in another program than what is before: code falls into it or jumps to it.
    pub fn section(&mut self) {
        self.sections.push((self.insns.len(), false));
    }

    /// What follows is a section of which each program has its own copy.
    pub fn shared_section(&mut self) {
        self.sections.push((self.insns.len(), true));
    }

    /// Takes the instructions, to be laid out as one program or several.
    ///
    /// # Panics
    /// If a label that is jumped to was never placed.
    pub fn draft(self) -> Draft {
        let targets = self.jumps.iter().map(|(at, label)| {
            let target = self.labels[label.0 as usize];
            (*at, target.expect("a label that is jumped to is placed"))
        });
        let (insns, targets, moved) = flow::tidy(&self.insns, &targets.collect());
        let mut starts = vec![(0, false)];
        starts.extend(
            self.sections
                .iter()
                .map(|(at, shared)| (moved[*at], *shared)),
        );
        let ends = starts
            .iter()
            .skip(1)
            .map(|(at, _)| *at)
            .chain([insns.len()]);
        let (mut sections, mut shared) = (Vec::new(), Vec::new());
        for ((start, is_shared), end) in starts.iter().zip(ends) {
            match is_shared {
                _ if *start == end => {}
                true => shared.push(*start..end),
                false => sections.push(*start..end),
            }
        }
        let notes = self.notes.into_iter().map(|(at, note)| (moved[at], note));
        let placed = self.names.into_iter().filter_map(|(label, name)| {
            let at = self.labels[label.0 as usize]?;
            Some((moved[at], name))
        });
        let mut labels: Vec<_> = placed.collect();
        labels.sort_by_key(|(at, _)| *at);
        let comments = self.comments.into_iter();
        Draft {
            code: Code {
                insns,
                notes: notes.collect(),
                labels,
                comments: comments.map(|(at, text)| (moved[at], text)).collect(),
            },
            targets,
            sections,
            shared,
        }
    }
}

impl Draft {
    /// Instructions, without those between programs.
    pub fn instructions(&self) -> usize {
        self.code.insns.len()
    }

    /// Lays everything out as one program.
    pub fn whole(&self) -> Result<Code, AssembleError> {
        let mut code = self.code.clone();
        for (at, to) in &self.targets {
            let distance = *to as i64 - *at as i64 - 1;
            let Ok(offset) = i16::try_from(distance) else {
                return Err(AssembleError::JumpTooFar { at: *at, distance });
            };
            code.insns[*at].off = offset;
        }
        Ok(code)
    }

    /// Lays everything out as a chain of programs; the first is the one to begin with.
    ///
    /// # Panics
    /// If a jump between sections goes back.
    pub fn chain(&self, cut: Cut, glue: &impl Glue) -> Result<Vec<Code>, AssembleError> {
        let programs = self.cut(cut);
        let entries = self.entries(&programs);
        let numbered = programs.iter().enumerate();
        numbered
            .map(|(number, sections)| self.program(number, sections, &entries, glue))
            .collect()
    }

    /// Ranges of sections.
    fn cut(&self, cut: Cut) -> Vec<Range<usize>> {
        let mut longest = cut.instructions;
        loop {
            let programs = self.cut_at_most(longest);
            if programs.len() <= cut.programs.max(1) {
                return programs;
            }
            longest += longest / 8 + 1;
        }
    }

    /// Fills one program after the other. Of the places where it may end, in its last quarter, the one with
    /// the fewest entries behind it is chosen.
    fn cut_at_most(&self, longest: usize) -> Vec<Range<usize>> {
        let crossings = self.crossings();
        let count = self.sections.len();
        let mut programs = Vec::new();
        let mut from = 0;
        while from < count {
            let length = |to: usize| self.sections[to - 1].end - self.sections[from].start;
            let fitting = (from + 1..=count).take_while(|to| length(*to) <= longest);
            let last = fitting.last().unwrap_or(from + 1);
            let to = if last == count {
                count
            } else {
                let candidates = (from + 1..=last).filter(|to| length(*to) * 4 >= length(last) * 3);
                let best = candidates.min_by_key(|to| (crossings[*to], count - to));
                best.expect("the last one is a candidate")
            };
            programs.push(from..to);
            from = to;
        }
        programs
    }

    /// For each section, how many places in it or behind it are jumped to from before it.
    fn crossings(&self) -> Vec<usize> {
        let mut first_jump: BTreeMap<usize, usize> = BTreeMap::new();
        for (at, to) in self.jumps_between() {
            let first = first_jump.entry(to).or_insert(at);
            *first = at.min(*first);
        }
        let section = |at| self.section_of(at).expect("it is in none that is shared");
        let mut opened = vec![0; self.sections.len() + 1];
        let mut closed = vec![0; self.sections.len() + 1];
        for (to, at) in first_jump {
            opened[section(at) + 1] += 1;
            closed[section(to) + 1] += 1;
        }
        let mut open = 0;
        let changes = opened.iter().zip(closed);
        let counts = changes.map(|(opened, closed)| {
            open = open + opened - closed;
            open
        });
        counts.collect()
    }

    /// Jumps, and falls, from one section into another that is not shared.
    fn jumps_between(&self) -> impl Iterator<Item = (usize, usize)> {
        let jumps = self.targets.iter().map(|(at, to)| (*at, *to));
        let falls = self.sections.iter().filter(|s| !self.ends_in_jump(s));
        let falls = falls.map(|s| (s.end - 1, s.end));
        jumps.chain(falls).filter(|(at, to)| {
            let (from, to) = (self.section_of(*at), self.section_of(*to));
            from.is_some() && to.is_some() && from != to
        })
    }

    fn ends_in_jump(&self, section: &Range<usize>) -> bool {
        let last = &self.code.insns[section.end - 1];
        last.is_goto() || last.is_exit()
    }

    /// The section of an instruction that is not in a shared one.
    fn section_of(&self, at: usize) -> Option<usize> {
        let after = self.sections.partition_point(|s| s.start <= at);
        let index = after.checked_sub(1)?;
        self.sections[index].contains(&at).then_some(index)
    }

    /// The places by which programs are entered.
    fn entries(&self, programs: &[Range<usize>]) -> BTreeMap<usize, Entry> {
        let program_of = |at: usize| {
            let section = self.section_of(at).expect("it is in none that is shared");
            programs.partition_point(|p| p.start <= section) - 1
        };
        let crossing = self.jumps_between().filter(|(at, to)| {
            let (from, to) = (program_of(*at), program_of(*to));
            assert!(from <= to, "jumps between sections go forward");
            from != to
        });
        let places: BTreeSet<usize> = crossing.map(|(_, to)| to).collect();
        let mut counts = vec![0; programs.len()];
        let entries = places.into_iter().map(|place| {
            let program = program_of(place);
            counts[program] += 1;
            let number = counts[program] - 1;
            (place, Entry { program, number })
        });
        entries.collect()
    }

    fn program(
        &self,
        number: usize,
        sections: &Range<usize>,
        entries: &BTreeMap<usize, Entry>,
        glue: &impl Glue,
    ) -> Result<Code, AssembleError> {
        // A label for each instruction of the draft.
        let mut asm = Assembler {
            labels: vec![None; self.code.insns.len()],
            ..Assembler::default()
        };
        let own = entries.iter().filter(|(_, e)| e.program == number);
        let own: Vec<(&usize, &Entry)> = own.collect();
        if let Some(((last, _), others)) = own.split_last() {
            glue.enter(&mut asm);
            for (place, entry) in others {
                glue.entry(&mut asm, entry.number, Label(**place as u32));
            }
            asm.jump(Label(**last as u32));
        }
        for section in self.sections[sections.clone()].iter().chain(&self.shared) {
            self.copy(&mut asm, section);
        }
        let jumped: BTreeSet<usize> = asm.jumps.iter().map(|(_, to)| to.0 as usize).collect();
        for (place, entry) in entries {
            if entry.program != number && jumped.contains(place) {
                asm.place(Label(*place as u32));
                glue.leave(&mut asm, entry.program, entry.number);
            }
        }
        asm.finish()
    }

    /// Appends a section with what is said about it.
    fn copy(&self, asm: &mut Assembler, section: &Range<usize>) {
        let Code {
            insns,
            notes,
            labels,
            comments,
        } = &self.code;
        let offset = asm.insns.len() as isize - section.start as isize;
        let moved = |at: usize| at.max(section.start).wrapping_add_signed(offset);
        // A section may begin in the middle of a part.
        let before = &notes[..notes.partition_point(|(at, _)| *at < section.start)];
        let part = before.iter().rfind(|(_, n)| matches!(n, Note::Part(_)));
        for (at, note) in part.into_iter().chain(within(notes, section)) {
            asm.notes.push((moved(*at), note.clone()));
        }
        for (at, name) in within(labels, section) {
            asm.names.push((Label(*at as u32), name.clone()));
        }
        for (at, text) in within(comments, section) {
            asm.comments.push((moved(*at), text.clone()));
        }
        for at in section.clone() {
            asm.place(Label(at as u32));
            if let Some(to) = self.targets.get(&at) {
                asm.jumps.push((asm.insns.len(), Label(*to as u32)));
            }
            asm.push(insns[at]);
        }
        if !self.ends_in_jump(section) {
            asm.jump(Label(section.end as u32));
        }
    }
}

/// What is said about the instructions of a section.
fn within<'a, T>(said: &'a [(usize, T)], section: &Range<usize>) -> &'a [(usize, T)] {
    let before = |end: usize| said.partition_point(|(at, _)| *at < end);
    &said[before(section.start)..before(section.end)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asm::{Cond, Reg};

    /// Leaves by an exit whose R0 says where to.
    struct Exits;

    impl Glue for Exits {
        fn enter(&self, asm: &mut Assembler) {
            asm.mov_imm(Reg::R0, 7);
        }

        fn entry(&self, asm: &mut Assembler, number: u32, place: Label) {
            asm.jump_if_imm(Cond::Eq, Reg::R0, number as i32, place);
        }

        fn leave(&self, asm: &mut Assembler, program: usize, number: u32) {
            asm.mov_imm(Reg::R0, 100 * program as u64 + u64::from(number));
            asm.exit();
        }
    }

    /// Four sections of ten instructions, the first of which can skip the second, and a shared end.
    fn draft() -> Draft {
        let mut asm = Assembler::new();
        let (third, end) = (asm.label(), asm.label());
        for number in 0..4 {
            asm.section();
            match number {
                0 => asm.jump_if_imm(Cond::Eq, Reg::R1, 0, third),
                2 => asm.place(third),
                _ => {}
            }
            for _ in 0..9 {
                asm.mov_imm(Reg::R2, number);
            }
            asm.jump_if_imm(Cond::Eq, Reg::R2, 0, end);
        }
        asm.shared_section();
        asm.place(end);
        asm.mov_imm(Reg::R0, 1);
        asm.exit();
        asm.draft()
    }

    fn chain(instructions: usize, programs: usize) -> Vec<Code> {
        let cut = Cut {
            instructions,
            programs,
        };
        draft().chain(cut, &Exits).expect("jumps reach")
    }

    #[test]
    fn a_chain_of_one_is_the_program_itself() {
        let whole = draft().whole().expect("jumps reach");
        assert_eq!(chain(1000, 33)[0].insns, whole.insns);
    }

    #[test]
    fn each_program_has_the_shared_end_and_leads_to_the_next() {
        let programs = chain(22, 33);
        assert_eq!(programs.len(), 2);
        let last_of = |code: &Code| code.insns[code.insns.len() - 2].to_string();
        assert_eq!(last_of(&programs[0]), "r0 = 100");
        assert_eq!(last_of(&programs[1]), "r0 = 1");
    }

    #[test]
    fn cuts_are_where_few_jumps_cross() {
        // Cutting behind the second section leaves one entry; behind the first, two.
        let entries = |programs: &[Code]| {
            let exits = |code: &Code| code.insns.iter().filter(|i| i.is_exit()).count() - 1;
            programs.iter().map(exits).collect::<Vec<_>>()
        };
        assert_eq!(entries(&chain(24, 33)), [1, 0]);
        assert_eq!(entries(&chain(1, 33)), [2, 1, 1, 0]);
    }

    #[test]
    fn programs_are_longer_if_there_would_be_too_many() {
        assert_eq!(chain(1, 3).len(), 2);
    }
}
