//! What a bench found out: a table for people, JSON for programs.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value};

/// Figures in rows under named columns.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    title: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    notes: Vec<String>,
}

impl Report {
    /// A report without rows. Columns carry their unit, as in `parse_ns`.
    pub(crate) fn new(title: &'static str, columns: &[&'static str]) -> Report {
        Report {
            title,
            columns: columns.to_vec(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a row, one cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// Adds a line under the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Title, rows as objects by column, and notes.
    pub(crate) fn to_json(&self) -> Value {
        let row = |cells: &Vec<Cell>| -> Value {
            self.columns
                .iter()
                .zip(cells)
                .map(|(column, cell)| ((*column).to_owned(), cell.to_json()))
                .collect::<Map<_, _>>()
                .into()
        };
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        serde_json::json!({ "title": self.title, "rows": rows, "notes": self.notes })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(&self.columns);
        for row in &self.rows {
            table.add_row(row.iter().map(ToString::to_string));
        }
        for (index, cell) in self.rows.first().into_iter().flatten().enumerate() {
            if matches!(cell, Cell::Number(..))
                && let Some(column) = table.column_mut(index)
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "{}\n\n{table}", self.title)?;
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

/// One figure or word.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// A word.
    Text(String),
    /// A number, and how many decimals people see.
    Number(f64, usize),
}

impl Cell {
    fn to_json(&self) -> Value {
        match self {
            Cell::Text(text) => text.as_str().into(),
            Cell::Number(number, _) => (*number).into(),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Text(text) => f.write_str(text),
            Cell::Number(number, decimals) => write!(f, "{number:.decimals$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_table_and_as_json() {
        let mut report = Report::new("Trees", &["name", "height_m"]);
        report.row(vec![Cell::Text("oak".into()), Cell::Number(21.25, 1)]);
        report.note("measured from afar");
        let table = report.to_string();
        assert!(table.starts_with("Trees\n\n| name | height_m |"), "{table}");
        assert!(table.contains("| oak  |     21.2 |"), "{table}");
        assert!(table.ends_with("\nmeasured from afar"), "{table}");
        let json = report.to_json();
        assert_eq!(json["rows"][0]["height_m"], 21.25);
    }
}
