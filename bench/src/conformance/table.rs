//! The report for people.

use std::fmt::Write;

use super::report::{Counts, FileReport, Outcome, Report};

/// How many digits of a packet are shown unless all is asked for.
const SHOWN_DIGITS: usize = 96;

impl Report {
    /// A table of the files, what is wrong with each, and the totals. `verbose` shows all failures of
    /// a file instead of the first, and whole packets.
    pub fn table(&self, verbose: bool) -> String {
        let mut text = String::new();
        let name = |file: &FileReport| match file.file.as_str() {
            "" => file.program.clone(),
            name => format!("{} {name}", file.program),
        };
        let names: Vec<String> = self.files.iter().map(name).collect();
        let width = names.iter().map(String::len).max().unwrap_or_default();
        let mut line = |columns: [&str; 5]| {
            let [name, passed, failed, slow, refused] = columns;
            let full = format!("{name:width$}  {passed:>6}  {failed:>6}  {slow:>6}  {refused}");
            text.push_str(full.trim_end());
            text.push('\n');
        };
        line(["program", "passed", "failed", "slow", "refused"]);
        for (file, name) in self.files.iter().zip(&names) {
            match &file.outcome {
                Outcome::Ran(score) => {
                    let (passed, failed) = (score.passed, score.failed.len());
                    let slow = match score.slow_packets() {
                        0 => String::new(),
                        packets => packets.to_string(),
                    };
                    line([name, &passed.to_string(), &failed.to_string(), &slow, ""]);
                    for slow in score.slow.iter().filter(|_| verbose) {
                        let (what, packets) = (&slow.what, slow.packets);
                        let text = format!("    slow path, {packets} packets: {what}");
                        line([&text, "", "", "", ""]);
                    }
                    let shown = if verbose { failed } else { 1 };
                    for failure in score.failed.iter().take(shown) {
                        let (at, port) = (failure.line, failure.port);
                        let packet = shorten(&failure.packet, verbose);
                        let difference = shorten(&failure.difference.to_string(), verbose);
                        line([
                            &format!("    line {at}, in at port {port}: {packet}"),
                            "",
                            "",
                            "",
                            "",
                        ]);
                        line([&format!("        {difference}"), "", "", "", ""]);
                    }
                    if let Some(state) = &score.state {
                        let (what, expected, found) = (&state.what, &state.expected, &state.found);
                        let text = format!("    {what}: expected {expected}, found {found}");
                        line([&text, "", "", "", ""]);
                    }
                }
                Outcome::Refused(reasons) => {
                    let (first, more) = (&reasons[0], reasons.len() - 1);
                    let rest = match (more, verbose) {
                        (0, _) => String::new(),
                        (_, true) => format!("; {}", reasons[1..].join("; ")),
                        (more, false) => format!("; and {more} more"),
                    };
                    line([name, "-", "-", "", &format!("{first}{rest}")]);
                }
                Outcome::Broken(error) => {
                    line([name, "-", "all", "", ""]);
                    line([&format!("    {error}"), "", "", "", ""]);
                }
            }
        }
        text.push_str(&self.totals_text());
        text
    }

    fn totals_text(&self) -> String {
        let totals = &self.totals;
        let mut text = String::from("\n");
        let mut line = |what: &str, counts: Counts| {
            let Counts {
                passed,
                failed,
                refused,
            } = counts;
            if passed + failed + refused > 0 {
                writeln!(
                    text,
                    "{what}: {passed} passed, {failed} failed, {refused} refused"
                )
                .expect("a string takes everything");
            }
        };
        line("programs without packets", totals.programs);
        line("golden packets", totals.golden_packets);
        line("STF files", totals.stf_files);
        text.push_str(&self.short_packets_text());
        if totals.slow > 0 {
            text += &format!("{} times a packet took the slow path\n", totals.slow);
        }
        text
    }

    fn short_packets_text(&self) -> String {
        let mut text = String::new();
        let totals = &self.totals;
        if totals.padded > 0 {
            text = format!(
                "{} packets shorter than an Ethernet header were padded and held to the interpreter\n",
                totals.padded
            );
        }
        if totals.too_short_to_leave > 0 {
            text += &format!(
                "{} expected packets shorter than an Ethernet header skipped: they cannot leave\n",
                totals.too_short_to_leave
            );
        }
        text
    }
}

fn shorten(text: &str, verbose: bool) -> String {
    match text.char_indices().nth(SHOWN_DIGITS) {
        Some((at, _)) if !verbose => format!("{}...", &text[..at]),
        _ => text.to_owned(),
    }
}
