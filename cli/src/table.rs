//! Columns of text for people: aligned, without frames, never wrapped or cut.

use anstyle::Style;

/// A piece of text and how it looks on a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
    is_number: bool,
}

impl Cell {
    /// Text in a colour.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
            style,
            is_number: false,
        }
    }

    /// A number, aligned to the right.
    pub fn number(number: impl ToString) -> Self {
        Self::styled_number(number, Style::new())
    }

    /// A number in a colour.
    pub fn styled_number(number: impl ToString, style: Style) -> Self {
        Self {
            text: number.to_string(),
            style,
            is_number: true,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::styled(text, Style::new())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::styled(text, Style::new())
    }
}

/// Rows under a heading. A row may be followed by notes, which span all columns.
#[derive(Debug, Clone)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    notes: Vec<(usize, String)>,
}

impl Table {
    /// An empty table.
    pub fn new<const N: usize>(headings: [&'static str; N]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a row; it has as many cells as there are headings.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.headings.len());
        self.rows.push(cells.to_vec());
    }

    /// Adds a line below the latest row.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push((self.rows.len(), text.into()));
    }

    /// Adds a line that says how many more there would be, if there are any.
    pub fn and_more(&mut self, more: usize, where_to_look: &str) {
        if more > 0 {
            self.note(format!("and {more} more: {where_to_look}"));
        }
    }

    /// The same without the columns of these headings.
    pub fn without(mut self, headings: &[&str]) -> Self {
        let is_kept: Vec<bool> = self
            .headings
            .iter()
            .map(|heading| !headings.contains(heading))
            .collect();
        self.headings.retain(|heading| !headings.contains(heading));
        for row in &mut self.rows {
            let mut kept = is_kept.iter();
            row.retain(|_| kept.next().copied().unwrap_or(true));
        }
        self
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.notes.is_empty()
    }

    /// The table as text, with colours if wanted.
    pub fn render(&self, is_coloured: bool) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut widths: Vec<usize> = self.headings.iter().map(|heading| heading.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let bold = Style::new().bold();
        let is_number = |column: usize| {
            self.rows
                .first()
                .is_some_and(|row: &Vec<Cell>| row[column].is_number)
        };
        let headings = self
            .headings
            .iter()
            .enumerate()
            .map(|(column, heading)| Cell {
                text: (*heading).to_owned(),
                style: bold,
                is_number: is_number(column),
            });
        let mut text = line(&headings.collect::<Vec<_>>(), &widths, is_coloured);
        let mut notes = self.notes.iter().peekable();
        for count in 0..=self.rows.len() {
            if count > 0 {
                text += &line(&self.rows[count - 1], &widths, is_coloured);
            }
            while let Some((_, note)) = notes.next_if(|(after, _)| *after == count) {
                text += &format!("  {note}\n");
            }
        }
        text
    }
}

fn line(cells: &[Cell], widths: &[usize], is_coloured: bool) -> String {
    let mut text = String::new();
    let mut pending_blanks = 0;
    for (cell, width) in cells.iter().zip(widths) {
        let missing = width - cell.text.chars().count();
        let (before, after) = if cell.is_number {
            (missing, 0)
        } else {
            (0, missing)
        };
        if !cell.text.is_empty() {
            text.extend(std::iter::repeat_n(' ', pending_blanks + before));
            text += &paint(&cell.text, cell.style, is_coloured);
            pending_blanks = after + 2;
        } else {
            pending_blanks += missing + 2;
        }
    }
    text + "\n"
}

/// Text in a style, if colours are wanted.
pub fn paint(text: &str, style: Style, is_coloured: bool) -> String {
    if is_coloured && style != Style::new() {
        format!("{}{text}{}", style.render(), style.render_reset())
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn table() -> Table {
        let green = Style::new().fg_color(Some(anstyle::AnsiColor::Green.into()));
        let mut table = Table::new(["NAME", "COUNT", "STATE", "NOTE"]);
        table.row([
            "a".into(),
            Cell::number(7),
            Cell::styled("up", green),
            "".into(),
        ]);
        table.row([
            "longer".into(),
            Cell::number(12345),
            "down".into(),
            "x".into(),
        ]);
        table.note("why it is down");
        table
    }

    #[test]
    fn columns_are_aligned_numbers_to_the_right_and_lines_have_no_trailing_blanks() {
        expect![[r#"
            NAME    COUNT  STATE  NOTE
            a           7  up
            longer  12345  down   x
              why it is down
        "#]]
        .assert_eq(&table().render(false));
    }

    #[test]
    fn colours_do_not_disturb_the_columns() {
        let plain = table().render(false);
        let coloured = table().render(true);
        assert!(coloured.contains("\u{1b}["));
        let mut stripped = String::new();
        let mut is_escape = false;
        for letter in coloured.chars() {
            match letter {
                '\u{1b}' => is_escape = true,
                'm' if is_escape => is_escape = false,
                _ if is_escape => {}
                other => stripped.push(other),
            }
        }
        assert_eq!(stripped, plain);
    }
}
