use expect_test::expect;
use pointsman_ebpf::asm::{Part, PartKind};
use pointsman_ebpf::inspect::{Block, PartListing};
use pointsman_p4::ir::{Program, SourceInfo, print};
use pointsman_p4::{bmv2, programs};

use super::selection::Selection;
use super::source::Sources;
use super::{asm, ir};

fn leaf_spine() -> Program {
    let embedded = programs::embedded("leaf_spine").expect("it is embedded");
    bmv2::read(embedded.bmv2_json).expect("valid")
}

fn place(line: u32, column: u32, fragment: &str) -> SourceInfo {
    SourceInfo {
        file: "a.p4".to_owned(),
        line,
        column,
        fragment: fragment.to_owned(),
    }
}

fn block(action: Option<&str>, text: &str, source: SourceInfo, lines: &[&str]) -> Block {
    Block {
        action: action.map(str::to_owned),
        text: text.to_owned(),
        became: None,
        source,
        instructions: lines.len(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

fn listing() -> Vec<PartListing> {
    let part = Part {
        kind: PartKind::Table,
        name: "ingress.route".to_owned(),
        source: place(7, 10, "route"),
    };
    let nowhere = SourceInfo::default();
    let blocks = vec![
        block(None, "pack the key", nowhere, &["     1: r0 = 0"]),
        block(
            Some("ingress.set"),
            "meta.port = port",
            place(3, 8, "= port; ..."),
            &["     2: r1 = r0"],
        ),
        block(
            Some("ingress.set"),
            "hop.setValid()",
            place(4, 4, "hop.setValid()"),
            &[],
        ),
    ];
    vec![PartListing {
        program: 0,
        part,
        blocks,
    }]
}

fn no_sources() -> Sources {
    let directory = tempfile::tempdir().expect("a directory");
    Sources::near(std::path::Path::new("x.json"), Some(directory.path()))
}

fn select(table: Option<&str>, action: Option<&str>, line: Option<&str>) -> Selection {
    let line = line.map(|text| text.parse().expect("FILE:LINE"));
    Selection::new(table.map(str::to_owned), action.map(str::to_owned), line)
}

#[test]
fn instructions_stand_below_the_statement_in_p4_and_in_the_ir() {
    let text = asm::text(&listing(), &Selection::default(), &mut no_sources());
    expect![[r#"
        table ingress.route                                      a.p4:7:10
          P4  route
          pack the key
             1: r0 = 0
          action ingress.set                                     a.p4:3:8
            P4  = port; ...
            IR  meta.port = port
             2: r1 = r0
          action ingress.set                                     a.p4:4:4
            P4  hop.setValid()
            IR  hop.setValid()
                (no instructions of its own)
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_line_of_the_source_leads_to_its_instructions() {
    let selection = select(None, None, Some("dir/a.p4:3"));
    let text = asm::text(&listing(), &selection, &mut no_sources());
    expect![[r#"
        table ingress.route                                      a.p4:7:10
          P4  route
          action ingress.set                                     a.p4:3:8
            P4  = port; ...
            IR  meta.port = port
             2: r1 = r0
    "#]]
    .assert_eq(&text);
}

#[test]
fn tables_and_actions_are_named_by_the_end_of_their_names() {
    let all = |selection| asm::text(&listing(), &selection, &mut no_sources());
    assert_eq!(
        all(select(Some("route"), None, None)),
        all(Selection::default())
    );
    assert_eq!(all(select(Some("oute"), None, None)), "");
    assert!(all(select(None, Some("set"), None)).contains("meta.port = port"));
    assert_eq!(all(select(Some("other"), Some("set"), None)), "");
}

#[test]
fn the_whole_line_is_shown_where_the_file_still_says_what_was_compiled() {
    let directory = tempfile::tempdir().expect("a directory");
    let p4 = "// one\n\n    meta.port = port; // here\n";
    std::fs::write(directory.path().join("a.p4"), p4).expect("written");
    let mut sources = Sources::near(std::path::Path::new("x.json"), Some(directory.path()));
    let text = sources.text(&place(3, 15, "= port; ..."));
    assert_eq!(text, "meta.port = port; // here");
    let changed = sources.text(&place(3, 15, "= 5;"));
    assert_eq!(changed, "= 5;");
    assert_eq!(sources.text(&place(99, 1, "x")), "x");
}

#[test]
fn the_ir_of_a_table_comes_with_its_actions() {
    let program = leaf_spine();
    let sections = print::sections(&program);
    let text = ir::text(&program, &sections, &select(Some("next_vlan"), None, None));
    let heads: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("action") || line.starts_with("table"))
        .collect();
    assert_eq!(heads.len(), 3, "{heads:?}");
    assert!(text.contains("action LeafSpineIngress.next.set_vlan"));
}

#[test]
fn what_is_not_there_is_refused_with_what_is() {
    let program = leaf_spine();
    let unknown = select(Some("routes"), None, None).check(&program);
    let message = unknown.expect_err("no such table").to_string();
    assert!(
        message.starts_with("there is no table routes; there are: "),
        "{message}"
    );
    let selection = select(None, None, Some("next.p4:13"));
    expect!["nothing that was asked for came from next.p4:13; the nearest lines that something came from are 12 and 16"].assert_eq(&selection.nothing(&program));
    let left_out = select(None, None, Some("next.p4:34")).nothing(&program);
    assert!(left_out.contains("was left out"), "{left_out}");
    assert!("next.p4".parse::<super::selection::SourceLine>().is_err());
    assert!("next.p4:0".parse::<super::selection::SourceLine>().is_err());
}
