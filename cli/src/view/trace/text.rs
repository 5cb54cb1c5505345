//! The page: where the packet came in, table by table what it met, and what became of it.

use super::{
    EndView, GroupView, PassView, PortView, StepView, TableStepView, TraceView, ValueView,
};
use crate::table::paint;
use crate::words;

/// Where lines are broken.
const WIDTH: usize = 100;
/// Of a key with more parts, those that are zero are left out.
const SHORT_KEY: usize = 4;

/// Lines, with names of tables in a column as wide as the longest.
struct Page {
    text: String,
    column: usize,
    is_coloured: bool,
}

/// Everything on a page.
pub fn text(view: &TraceView, is_coloured: bool) -> String {
    let tables = view.passes.iter().flat_map(|pass| &pass.steps);
    let names = tables.filter_map(|step| match step {
        StepView::Table(table) if is_shown(table) => Some(short(&table.table).len()),
        _ => None,
    });
    let mut page = Page {
        text: String::new(),
        column: names.max().unwrap_or(0).max("parser".len()) + 2,
        is_coloured,
    };
    page.line(&format!(
        "{}, pipeline {} ({}), {}",
        view.device,
        view.pipeline,
        view.target,
        port(&view.port)
    ));
    page.line(&format!("  {}", view.packet.summary));
    for pass in &view.passes {
        page.pass(pass);
    }
    page.line("");
    for end in &view.ends {
        page.end(end);
    }
    for assumption in &view.assumptions {
        page.line(&format!("note: {assumption}"));
    }
    page.text
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text += line.trim_end();
        self.text.push('\n');
    }

    /// A line, or several, behind a name and a word.
    fn item(&mut self, name: &str, word: &str, text: &str) {
        let head = format!("  {name:column$}{word:<8}", column = self.column);
        let room = WIDTH.saturating_sub(head.len()).max(WIDTH / 3);
        let mut lines = broken(text, room).into_iter();
        let first = lines.next().unwrap_or_default();
        self.line(&format!("{head}{first}"));
        for line in lines {
            self.line(&format!("{:indent$}{line}", "", indent = head.len()));
        }
    }

    fn pass(&mut self, pass: &PassView) {
        let port = port(&pass.port);
        let head = match (pass.control, pass.cause) {
            ("ingress", "normal") => "ingress".to_owned(),
            ("ingress", cause) => format!("ingress again, {cause}"),
            (_, "normal") => format!("egress, for {port}"),
            (_, "replicated") if pass.instance > 0 => {
                format!("egress of copy {}, for {port}", pass.instance)
            }
            (_, "replicated") => format!("egress of a copy, for {port}"),
            (_, cause) => format!("egress of the {cause}, for {port}"),
        };
        self.line("");
        self.line(&head);
        let states = pass.steps.iter().filter_map(|step| match step {
            StepView::ParserState(state) => Some(short(state)),
            _ => None,
        });
        let states: Vec<_> = states.collect();
        let headers = pass.steps.iter().filter_map(|step| match step {
            StepView::Header { name, .. } => Some(name.as_str()),
            _ => None,
        });
        let headers: Vec<_> = headers.collect();
        if !states.is_empty() {
            self.item("parser", "states", &states.join(" "));
            self.item("", "headers", &headers.join(" "));
        }
        for step in &pass.steps {
            match step {
                StepView::Table(table) if is_shown(table) => self.table(table),
                StepView::Note(note) => self.item("", "", note),
                _ => {}
            }
        }
    }

    fn table(&mut self, table: &TableStepView) {
        if table.is_hidden {
            // Its action is the place of a statement.
            for note in &table.notes {
                self.item("", "", &format!("{note} ({})", table.action));
            }
            return;
        }
        let name = short(&table.table).to_owned();
        let key = key(&table.key);
        let entry = match table.objectives.as_slice() {
            [] => table.entry.clone(),
            objectives => format!("{} of {}", table.entry, objectives.join(", ")),
        };
        match table.hit {
            // It says as much as the key.
            true if table.entry == key || table.key.is_empty() => self.item(&name, "hit", &entry),
            true => {
                self.item(&name, "key", &key);
                self.item("", "hit", &entry);
            }
            false if table.key.is_empty() => self.item(&name, "", ""),
            false => self.item(&name, "miss", &key),
        }
        if let Some(group) = &table.group {
            self.group(group);
        }
        match table.action.as_str() {
            "" if table.hit => self.item("", "run", "nothing"),
            "" => self.item("", "default", "nothing"),
            action if table.is_default => self.item("", "default", action),
            action => self.item("", "run", action),
        }
        for note in &table.notes {
            self.item("", "", &format!("({note})"));
        }
    }

    fn group(&mut self, group: &GroupView) {
        let mut of = match group.group {
            0 => format!("of its own, in {}", short(&group.profile)),
            number => format!("{number} of {}", short(&group.profile)),
        };
        if group.first_live {
            of += ": the first that is alive";
        }
        self.item("", "group", &of);
        for member in &group.members {
            let mark = if member.chosen { "->" } else { "or" };
            let mut text = format!("{mark} {}", member.action);
            if member.weight > 1 {
                text += &format!(", weight {}", member.weight);
            }
            if let Some(watched) = &member.watch_port {
                let state = if watched.up { "up" } else { "down" };
                text += &format!(", {} is {state}", port(watched));
            }
            self.item("", "", &text);
        }
    }

    fn end(&mut self, end: &EndView) {
        let style = match end.fate {
            "leaves" | "to-controller" => words::GOOD,
            _ => words::BAD,
        };
        for line in broken(&end.text, WIDTH) {
            let line = paint(&line, style, self.is_coloured);
            self.line(&line);
        }
        if let Some(packet) = &end.packet {
            self.line(&format!("  as {}", packet.summary));
        }
    }
}

/// Statements between tables are of interest where they do more than set fields.
fn is_shown(table: &TableStepView) -> bool {
    !table.is_hidden || !table.notes.is_empty()
}

/// The last part of a name.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn port(port: &PortView) -> String {
    match port.name.as_str() {
        _ if port.is_cpu => "the controller's port".to_owned(),
        "" => format!("port {}", port.number),
        name if *name == port.number.to_string() => format!("port {name}"),
        name => format!("port {} ({name})", port.number),
    }
}

fn key(parts: &[ValueView]) -> String {
    let is_long = parts.len() > SHORT_KEY;
    let shown = parts.iter().filter(|part| !is_long || part.value != "0x0");
    let shown: Vec<_> = shown
        .map(|part| format!("{}={}", part.name, part.value))
        .collect();
    match parts.len() - shown.len() {
        0 => shown.join(" "),
        _ if shown.is_empty() => "all parts are 0".to_owned(),
        _ => format!("{} (others are 0)", shown.join(" ")),
    }
}

/// Text in lines of at most so many characters, if its words let it.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one at least");
        if !line.is_empty() && line.len() + 1 + word.len() > room {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use pointsman_proto::pointsman::agent::v1 as pb;
    use pointsman_proto::pointsman::agent::v1::trace_end::Fate;
    use pointsman_proto::pointsman::agent::v1::trace_pass::{Cause, Control};
    use pointsman_proto::pointsman::agent::v1::trace_step::Step;
    use pointsman_proto::pointsman::objective::v1::Kind;

    use super::*;

    fn port(number: u32) -> Option<pb::TracePort> {
        Some(pb::TracePort {
            number,
            name: format!("swp{number}"),
            up: number != 50,
            is_cpu: false,
        })
    }

    fn value(name: &str, value: &str) -> pb::TraceValue {
        let (name, value) = (name.to_owned(), value.to_owned());
        pb::TraceValue { name, value }
    }

    fn route() -> pb::TraceTable {
        pb::TraceTable {
            table: "Ingress.routing.routing_v4".into(),
            key: vec![value("ipv4_dst", "0xa00140d")],
            hit: true,
            entry: "ipv4_dst=0xa001400/24".into(),
            objectives: vec![pb::TraceObjective {
                kind: Kind::Forward.into(),
                name: "vlan20".into(),
            }],
            action: "set_next_id(next_id=0x6)".into(),
            ..pb::TraceTable::default()
        }
    }

    fn hashed() -> pb::TraceTable {
        let member = |number, chosen| pb::TraceMember {
            action: format!("output(port={number})"),
            weight: 1,
            watch: port(number),
            chosen,
            ..pb::TraceMember::default()
        };
        pb::TraceTable {
            table: "Ingress.next.hashed".into(),
            key: vec![value("next_id", "0x6")],
            hit: true,
            entry: "next_id=0x6".into(),
            group: Some(pb::TraceGroup {
                profile: "Ingress.next.ecmp".into(),
                group: 0,
                first_live: false,
                members: vec![member(49, true), member(50, false)],
            }),
            action: "output(port=49)".into(),
            ..pb::TraceTable::default()
        }
    }

    fn acl() -> pb::TraceTable {
        let key = ["ingress_port", "eth_dst", "eth_src", "vlan_id", "ip_proto"];
        let values = ["0x1", "0x200000000fe", "0x0", "0xa", "0x0"];
        let key = key.into_iter().zip(values);
        pb::TraceTable {
            table: "Ingress.acl.acl".into(),
            key: key.map(|(name, text)| value(name, text)).collect(),
            action: "permit()".into(),
            is_default: true,
            ..pb::TraceTable::default()
        }
    }

    #[test]
    fn a_page_tells_table_by_table_what_a_packet_met_and_what_became_of_it() {
        let statement = pb::TraceTable {
            table: "tbl_acl79".into(),
            action: "acl.p4:79:9".into(),
            notes: vec!["marks the packet to be dropped".into()],
            is_hidden: true,
            ..pb::TraceTable::default()
        };
        let silent = pb::TraceTable {
            notes: Vec::new(),
            ..statement.clone()
        };
        let steps = [
            Step::ParserState("Parser.start".into()),
            Step::Header(pb::TraceHeader {
                name: "ethernet".into(),
                fields: Vec::new(),
            }),
            Step::Table(silent),
            Step::Table(route()),
            Step::Table(acl()),
            Step::Table(hashed()),
            Step::Table(statement),
        ];
        let steps = steps.map(|step| pb::TraceStep { step: Some(step) });
        let answer = pb::TraceResponse {
            target: "xdp".into(),
            pipeline: "leaf_spine".into(),
            port: port(1),
            passes: vec![pb::TracePass {
                control: Control::Ingress.into(),
                cause: Cause::Normal.into(),
                port: port(1),
                instance: 0,
                steps: steps.to_vec(),
            }],
            ends: vec![pb::TraceEnd {
                fate: Fate::Dropped.into(),
                text: "dropped by acl.p4:79:9".into(),
                ..pb::TraceEnd::default()
            }],
            assumptions: vec!["meters count it as green without being asked: acl_meter".into()],
            ..pb::TraceResponse::default()
        };
        let view = TraceView::new("leaf1".into(), &[0xff; 14], answer);
        expect![[r#"
            leaf1, pipeline leaf_spine (xdp), port 1 (swp1)
              ff:ff:ff:ff:ff:ff > ff:ff:ff:ff:ff:ff, EtherType 0xffff, 14 bytes

            ingress
              parser      states  start
                          headers ethernet
              routing_v4  key     ipv4_dst=0xa00140d
                          hit     ipv4_dst=0xa001400/24 of forward/vlan20
                          run     set_next_id(next_id=0x6)
              acl         miss    ingress_port=0x1 eth_dst=0x200000000fe vlan_id=0xa (others are 0)
                          default permit()
              hashed      hit     next_id=0x6
                          group   of its own, in ecmp
                                  -> output(port=49), port 49 (swp49) is up
                                  or output(port=50), port 50 (swp50) is down
                          run     output(port=49)
                                  marks the packet to be dropped (acl.p4:79:9)

            dropped by acl.p4:79:9
            note: meters count it as green without being asked: acl_meter
        "#]]
        .assert_eq(&text(&view, false));
    }
}
