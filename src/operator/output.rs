//! Standard output: tables, or one JSON document.

use std::io::{self, BufWriter, Write};

use serde_json::Value;

use super::failure::Failure;
use super::table::{Table, harmless};

/// Where a subcommand's result goes, in the form the operator wants.
pub(super) struct Output<W: Write> {
    to: BufWriter<W>,
    json: bool,
}

impl<W: Write> Output<W> {
    /// Writes to `to`; JSON if `json`.
    pub(super) fn new(to: W, json: bool) -> Self {
        Output { to: BufWriter::new(to), json }
    }

    /// A line for people, or the whole answer.
    pub(super) fn say(&mut self, answer: &Value, line: &str) -> Result<(), Failure> {
        if self.json {
            return self.document(answer);
        }
        Ok(writeln!(self.to, "{}", harmless(line))?)
    }

    /// What people are to be warned of, on standard error; programs read it in the answer.
    pub(super) fn warn<'a>(&self, warnings: impl Iterator<Item = &'a str>) {
        for warning in warnings.filter(|_| !self.json) {
            // nobody reads it: the work is done all the same
            let _ = writeln!(io::stderr(), "fleet-server: warning: {}", harmless(warning));
        }
    }

    /// Tables for people, an empty line between two, or the whole answer.
    pub(super) fn show(
        &mut self,
        answer: &Value,
        tables: impl FnOnce(&Value) -> Vec<Table>,
    ) -> Result<(), Failure> {
        if self.json {
            return self.document(answer);
        }
        for (index, table) in tables(answer).iter().enumerate() {
            if index > 0 {
                writeln!(self.to)?;
            }
            table.write(&mut self.to)?;
        }
        Ok(())
    }

    /// JSON, whatever the operator wants.
    pub(super) fn document(&mut self, value: &Value) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.to, value).map_err(io::Error::from)?;
        Ok(writeln!(self.to)?)
    }

    /// Whether the operator wants JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes what is still held back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(json: bool) -> String {
        let mut bytes = Vec::new();
        let mut output = Output::new(&mut bytes, json);
        let tables = |answer: &Value| {
            let mut fields = Table::default();
            fields.field("a", answer["a"].to_string());
            vec![fields, Table::new(&["B"])]
        };
        output.show(&json!({ "a": 1 }), tables).unwrap();
        output.flush().unwrap();
        drop(output);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn people_get_tables_and_programs_one_document() {
        assert_eq!(written(false), "a:  1\n\nB\n");
        assert_eq!(written(true), "{\n  \"a\": 1\n}\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::new(Closed, true);
        let failure = output.document(&json!(0)).and_then(|()| Ok(output.flush()?)).unwrap_err();
        assert!(failure.is_broken_pipe());
    }
}
