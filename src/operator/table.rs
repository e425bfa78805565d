//! Columns of text. Cells may hold what agents say of themselves, so nothing in them can steer a terminal.

use std::io::{self, Write};

use tabwriter::TabWriter;

/// Blanks between two columns.
const PADDING: usize = 2;
/// Characters of a cell; the rest is cut.
const CELL_CHARACTERS_MAX: usize = 500;

/// Rows under a head, or names with their values.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this head.
    pub(super) fn new(head: &[&str]) -> Self {
        Table { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Adds a name and its value.
    pub(super) fn field(&mut self, name: &str, value: String) {
        self.row([format!("{name}:"), value]);
    }

    /// Writes all rows in columns.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut columns = TabWriter::new(to).padding(PADDING);
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| harmless(cell)).collect();
            writeln!(columns, "{}", cells.join("\t"))?;
        }
        columns.flush()
    }
}

/// A text without control characters, of bounded length.
pub(super) fn harmless(text: &str) -> String {
    let cut = text.chars().nth(CELL_CHARACTERS_MAX).is_some();
    let shown = text.chars().take(CELL_CHARACTERS_MAX);
    let mut shown: String = shown.map(|character| if steers(character) { ' ' } else { character }).collect();
    if cut {
        shown.push('…');
    }
    shown
}

/// Control characters, and those that change the direction of what follows.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(table: &Table) -> String {
        let mut bytes = Vec::new();
        table.write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn columns_stand_under_each_other() {
        let mut table = Table::new(&["ID", "STATUS"]);
        table.row(["a-long-id".to_owned(), "online".to_owned()]);
        table.row(["b".to_owned(), "-".to_owned()]);
        assert_eq!(written(&table), "ID         STATUS\na-long-id  online\nb          -\n");
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal_or_the_table() {
        let mut table = Table::default();
        table.field("host", "\u{1b}[31mred\tnext\r\nline\u{202e}".to_owned());
        assert_eq!(written(&table), "host:   [31mred next  line \n");
    }

    #[test]
    fn a_long_cell_is_cut() {
        assert_eq!(harmless(&"ä".repeat(501)).chars().count(), 501);
        assert!(harmless(&"ä".repeat(501)).ends_with('…'));
    }
}
