//! Controls: tables and branches, each emitted once.

use std::collections::HashMap;

use pointsman_p4::interpreter::{Resume, Step};
use pointsman_p4::ir::{
    self, ActionId, Conditional, FieldRef, HeaderKind, HeaderRef, Implementation, Key, KeySource,
    LValue, Node, Table, TableId, TableNext,
};

use crate::asm::{Alu, Cond, Label, Note, PartKind, Reg, Size};
use crate::plan::{Structure, TablePlan};
use crate::tables::reader::Outcome;

use super::Emitter;
use super::handoff::Running;
use super::layout::{Control, SCRATCH};
use super::order;

/// The nodes of a control that can be reached, with their labels.
struct Graph {
    labels: HashMap<Node, Label>,
}

impl Graph {
    /// Of a node, or of the end of the control.
    fn label(&self, next: Option<Node>, end: Label) -> Label {
        next.map_or(end, |node| self.labels[&node])
    }
}

impl Emitter<'_> {
    /// Emits a control; all its ends lead to `end`.
    pub(super) fn control(&mut self, control: &ir::Control, end: Label) {
        let order = order::nodes(self.program, control.start);
        let labels = order.iter().map(|node| {
            let name = match node {
                Node::Table(id) => &self.program.tables[id.index()].name,
                Node::Conditional(id) => &self.program.conditionals[id.index()].name,
            };
            (*node, self.asm.named_label(name))
        });
        let graph = Graph {
            labels: labels.collect(),
        };
        self.go(&graph, control.start, end);
        for node in order {
            self.asm.section();
            self.asm.place(graph.labels[&node]);
            let emitted = self.attempt(|e| match node {
                Node::Table(id) => e.table(&graph, id, end),
                Node::Conditional(id) => {
                    let conditional = &e.program.conditionals[id.index()];
                    e.conditional(&graph, conditional, end);
                }
            });
            if let Err(constructs) = emitted {
                self.hand_over(Resume::Control(control.kind, Step::Node(node)), constructs);
            }
        }
    }

    /// Jumps to a node, or to the end of the control.
    fn go(&mut self, graph: &Graph, next: Option<Node>, end: Label) {
        let label = graph.label(next, end);
        self.asm.jump(label);
    }

    fn conditional(&mut self, graph: &Graph, conditional: &Conditional, end: Label) {
        self.source = conditional.source.clone();
        self.asm.note(Note::part(
            PartKind::Branch,
            &conditional.name,
            &conditional.source,
        ));
        let otherwise = graph.label(conditional.otherwise, end);
        self.branch(&conditional.condition, false, otherwise);
        self.go(graph, conditional.then, end);
    }

    fn table(&mut self, graph: &Graph, id: TableId, end: Label) {
        let table = &self.program.tables[id.index()];
        let plan = &self.plan.tables[id.index()];
        self.source = table.source.clone();
        self.asm
            .note(Note::part(PartKind::Table, &table.name, &table.source));

        // What p4c makes of statements: one action, always.
        if table.key.is_empty()
            && !plan.has_direct()
            && let (Implementation::Direct, Some(default)) = (table.implementation, &table.default)
            && default.is_const
            && default.call.args.is_empty()
        {
            let running = Running {
                control: table.control,
                table: id,
                action: default.call.action,
            };
            self.action(running, end);
            return self.go(
                graph,
                table.next.after(false, Some(default.call.action)),
                end,
            );
        }

        let no_action = self.asm.label();
        // Where R9 is the record of an entry, the default one too, and its resources come next.
        let found = self.asm.label();
        let lookup = Outcome {
            hit: self.asm.label(),
            miss: self.asm.label(),
        };
        let needs_hit = matches!(&table.next, TableNext::HitMiss { hit, miss } if hit != miss);
        match &plan.structure {
            Structure::Keyless => self.asm.jump(lookup.miss),
            structure => {
                self.asm.note(Note::Step("no entries: miss"));
                self.tables(Reg::R2, plan.populated_at);
                self.asm.load(Size::W, Reg::R1, Reg::R2, 0);
                self.asm.jump_if_imm(Cond::Eq, Reg::R1, 0, lookup.miss);
                self.asm.note(Note::Step("pack the key"));
                self.key(table, plan);
                self.asm.note(Note::Step("look it up"));
                let reader = self.reader();
                structure.emit(&mut self.asm, &reader, &plan.records, lookup);
                self.asm.note(Note::Step("hit"));
                self.asm.place(lookup.hit);
                if let Some(hits) = plan.hits {
                    self.note_hit(hits);
                }
                if needs_hit {
                    self.asm.store_imm(Size::W, Reg::R7, Control::HIT, 1);
                }
                self.asm.jump(found);
            }
        }

        self.asm.note(Note::Step("miss: the default action"));
        self.asm.place(lookup.miss);
        if needs_hit {
            self.asm.store_imm(Size::W, Reg::R7, Control::HIT, 0);
        }
        let starts: Vec<Label> = table.actions.iter().map(|_| self.asm.label()).collect();
        match always(table) {
            Some(position) if !plan.has_direct() => self.asm.jump(starts[position]),
            _ => {
                self.tables(Reg::R2, plan.default_at);
                self.asm.load(Size::W, Reg::R4, Reg::R2, 0);
                self.asm.jump_if_imm(Cond::Eq, Reg::R4, 0, no_action);
                let reader = self.reader();
                reader.record_address(&mut self.asm, &plan.records, Reg::R4);
            }
        }

        self.asm.place(found);
        self.direct_resources(table, plan);
        self.asm.note(Note::Step("run the action"));
        // R8 = what the record says, R9 = its arguments.
        self.asm.load(Size::W, Reg::R8, Reg::R9, 0);
        self.asm
            .alu_imm(Alu::Add, Reg::R9, plan.records.args_offset() as i32);
        if let Implementation::Profile(profile) = table.implementation {
            self.select(profile, no_action);
        }
        self.dispatch(graph, id, &starts, end);
        self.asm.note(Note::Step("no action"));
        self.asm.place(no_action);
        self.after(graph, table, None, end);
    }

    /// Runs the action whose id is in R8; `starts` are where each begins.
    fn dispatch(&mut self, graph: &Graph, id: TableId, starts: &[Label], end: Label) {
        let table = &self.program.tables[id.index()];
        for (action, start) in table.actions.iter().zip(starts) {
            let other = self.asm.label();
            self.asm
                .jump_if_imm(Cond::Ne, Reg::R8, action.0 as i32, other);
            self.asm.place(*start);
            let running = Running {
                control: table.control,
                table: id,
                action: *action,
            };
            self.action(running, end);
            self.asm.note(Note::Step("go on"));
            self.after(graph, table, Some(*action), end);
            self.asm.place(other);
        }
        self.source = table.source.clone();
    }

    fn after(&mut self, graph: &Graph, table: &Table, action: Option<ActionId>, end: Label) {
        match &table.next {
            TableNext::HitMiss { hit, miss } if hit != miss => {
                let on_miss = graph.label(*miss, end);
                self.asm.load(Size::W, Reg::R0, Reg::R7, Control::HIT);
                self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, on_miss);
                self.go(graph, *hit, end);
            }
            next => self.go(graph, next.after(true, action), end),
        }
    }

    /// Counts and meters a packet for the entry whose record R9 is the address of; R9 stays.
    fn direct_resources(&mut self, table: &Table, plan: &TablePlan) {
        if let Some(counter) = plan.counter {
            self.asm.note(Note::Step("count it"));
            self.asm.load(Size::W, Reg::R0, Reg::R9, 4);
            self.count(counter);
        }
        if let (Some(cells), Some(id)) = (plan.meter, table.meter) {
            let meter = &self.program.meters[id.index()];
            if let Some(target) = meter.target {
                self.asm.note(Note::Step("meter it"));
                self.asm.load(Size::W, Reg::R0, Reg::R9, 4);
                self.direct_meter(cells, meter.unit, &LValue::Field(target));
            }
        }
    }

    /// Packs the table's key into the scratch space.
    fn key(&mut self, table: &Table, plan: &TablePlan) {
        for (index, word) in plan.layout.words.iter().enumerate() {
            for (position, piece) in word.iter().enumerate() {
                let key = &table.key[piece.part];
                // Choosing a header overwrites every register.
                let is_chosen = is_chosen(&key.source);
                if is_chosen && position > 0 {
                    self.asm
                        .store(Size::DW, Reg::R7, Control::TEMPORARY, Reg::R5);
                }
                self.key_piece(key, piece.low_bit, piece.width);
                if is_chosen && position > 0 {
                    self.asm
                        .load(Size::DW, Reg::R5, Reg::R7, Control::TEMPORARY);
                }
                if piece.shift > 0 {
                    self.asm.alu_imm(Alu::Lsh, Reg::R0, piece.shift as i32);
                }
                if position > 0 {
                    self.asm.alu(Alu::Or, Reg::R5, Reg::R0);
                } else {
                    self.asm.mov(Reg::R5, Reg::R0);
                }
            }
            self.asm
                .store(Size::DW, Reg::R7, SCRATCH + 8 * index as i32, Reg::R5);
        }
    }

    /// R0 = bits of a key's value. Overwrites R1; R5 stays unless a header is chosen at run time.
    fn key_piece(&mut self, key: &Key, low_bit: u32, width: u32) {
        match &key.source {
            KeySource::Valid(header) => {
                let chosen = self.choose_header(header);
                self.asm.mov_imm(Reg::R0, 0);
                return self.with_header(&chosen, Reg::R1, |e, header| {
                    e.asm
                        .load(Size::B, Reg::R0, Reg::R7, e.layout.valid(header));
                });
            }
            KeySource::UnionValid(union) => return self.union_valid(*union, Reg::R0, Reg::R1),
            KeySource::Field(place) => {
                let chosen = self.choose_field(place);
                self.asm.mov_imm(Reg::R0, 0);
                self.with_field(&chosen, Reg::R1, |e, field| {
                    e.key_field(field, low_bit, width)
                });
            }
        }
        if let Some(mask) = &key.mask {
            let digits = (mask >> low_bit).iter_u64_digits().next().unwrap_or(0);
            self.asm.and_mask(Reg::R0, digits, Reg::R1);
        }
    }

    /// Fields of invalid headers match as 0.
    fn key_field(&mut self, field: FieldRef, low_bit: u32, width: u32) {
        let whole = self.width(field);
        let header = field.header;
        if self.program.headers[header.index()].kind == HeaderKind::Metadata {
            return self.load_bits(Reg::R0, Reg::R1, field, whole - low_bit - width, width);
        }
        let done = self.asm.label();
        self.asm
            .load(Size::B, Reg::R0, Reg::R7, self.layout.valid(header));
        self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, done);
        self.load_bits(Reg::R0, Reg::R1, field, whole - low_bit - width, width);
        self.asm.place(done);
    }
}

/// Which of a table's actions runs on every miss, if nobody can change that and it takes no arguments.
fn always(table: &Table) -> Option<usize> {
    let default = table.default.as_ref()?;
    let is_always = default.is_const && default.call.args.is_empty();
    let actions = &mut table.actions.iter();
    actions.position(|action| is_always && *action == default.call.action)
}

/// Whether finding the value of a key needs a computation.
fn is_chosen(source: &KeySource) -> bool {
    match source {
        KeySource::Field(LValue::Field(_)) | KeySource::UnionValid(_) => false,
        KeySource::Field(LValue::FieldOf { header, .. }) | KeySource::Valid(header) => {
            !matches!(header, HeaderRef::Header(_))
        }
    }
}
