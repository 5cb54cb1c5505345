//! Whatever a file holds, reading it gives an answer that can be shown.

use miette::{GraphicalReportHandler, GraphicalTheme};
use pointsman_model::Model;
use proptest::prelude::*;

/// Pieces of files, right and wrong, put together at random.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "device: leaf1\n", "objectives:\n", "  - filter: a\n", "  - forward: b\n",
            "  - next: c\n", "    key: { in_port: 1 }\n", "    selector: { ipv4_dst: 10.0.0.0/8 }\n",
            "    type: hashed\n", "    buckets: [ { output: 1 } ]\n", "    next: c\n", "devices:\n",
            "    treatment: drop\n", "    flag: specific\n", "---\n", "...\n", "&a ", "*a", "<<: ",
            "!!int ", "? ", "- ", "{ ", " }", "[", "]", ": ", ", ", "\n", "  ", "\t", "\"", "'", "|\n",
            "# é\n", "é: ü\n", "null", "~", "0x1F", "1e3", ".nan", "\u{feff}", "\r\n", "名", "\0",
        ]).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn reading_never_panics_and_every_mistake_can_be_shown(text in text()) {
        if let Err(problems) = Model::parse("any.yaml", &text) {
            prop_assert!(problems.iter().count() > 0);
            for problem in problems.iter() {
                let (line, column) = problem.position();
                prop_assert!(line >= 1 && column >= 1);
            }
            let mut shown = String::new();
            GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
                .render_report(&mut shown, &problems)
                .expect("writing to a string does not fail");
            prop_assert!(shown.contains("any.yaml"), "{}", shown);
        }
    }
}
