//! Borderless tables: upper-case headers, two-space gutters, numbers to the right.

use tabled::builder::Builder;
use tabled::settings::object::{Cell as Place, Columns};
use tabled::settings::peaker::Priority;
use tabled::settings::{Alignment, Color, Padding, Style, Width};

use super::paint::{Paint, Tone};

/// A column: its header, and whether its cells are numbers.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    number: bool,
}

pub(crate) const fn left(name: &'static str) -> Column {
    Column { name, number: false }
}

pub(crate) const fn right(name: &'static str) -> Column {
    Column { name, number: true }
}

pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

impl Cell {
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// The table as text; shortened to the terminal's width where there is one.
    pub(crate) fn render(&self, paint: &Paint, headers: bool) -> String {
        if self.rows.is_empty() && !headers {
            return String::new();
        }
        let mut builder = Builder::default();
        if headers {
            builder.push_record(self.columns.iter().map(|column| column.name));
        }
        for row in &self.rows {
            builder.push_record(row.iter().map(|cell| single_line(&cell.text)));
        }
        let mut table = builder.build();
        table.with(Style::blank()).with(Padding::new(0, 1, 0, 0));
        for (index, column) in self.columns.iter().enumerate() {
            if column.number {
                table.modify(Columns::one(index), Alignment::right());
            }
        }
        if let Some(width) = paint.width {
            table.with(Width::truncate(width).suffix("").priority(Priority::max(true)));
        }
        self.colour(&mut table, paint, usize::from(headers));
        trimmed(&table.to_string())
    }

    fn colour(&self, table: &mut tabled::Table, paint: &Paint, first_row: usize) {
        for (row, cells) in self.rows.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                if let Some(escape) = paint.escape(cell.tone) {
                    let place = Place::new(row + first_row, column);
                    table.modify(place, Color::new(escape, "\u{1b}[0m"));
                }
            }
        }
    }
}

/// A cell never breaks the line it is on, whatever it holds.
fn single_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn trimmed(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::ColourChoice;

    fn sample() -> Table {
        let mut table = Table::new([left("NAME"), right("RPS"), left("AGE")]);
        table.push(vec!["web".into(), "121.4".into(), "6m".into()]);
        table.push(vec!["a-long-service-name".into(), "-".into(), "2d".into()]);
        table
    }

    #[test]
    fn columns_are_two_spaces_apart_and_numbers_end_together() {
        let paint = Paint::new(ColourChoice::Never, false);
        let text = "NAME                   RPS  AGE\n\
                    web                  121.4  6m\n\
                    a-long-service-name      -  2d\n";
        assert_eq!(sample().render(&paint, true), text);
    }

    #[test]
    fn a_terminal_is_not_overrun() {
        let mut paint = Paint::new(ColourChoice::Never, false);
        paint.width = Some(24);
        assert!(sample().render(&paint, true).lines().all(|line| line.chars().count() <= 24));
    }
}
