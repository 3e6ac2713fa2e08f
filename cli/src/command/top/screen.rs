//! Draws the view: header, services, problems, keys. 80x24 is the floor; wider shows more.

use mesh_proto::v1::{MetricsFrame, Numbers};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row as TableRow, Table, TableState};

use super::view::{Mode, View};
use crate::command::numbers::rows::{self, Level, Row};
use crate::output::number;

const MOST_PROBLEMS: usize = 4;
const KEYS: &str = " / filter  s sort  e expand  space freeze  w window  ? help  q quit ";

const HELP: [&str; 9] = [
    "/        filter by name, !TEXT inverts, Esc clears",
    "s        sort by name, rps, success, p99",
    "up down  select a row (also k, j)",
    "e Enter  show or hide subsets and endpoints",
    "space    freeze the numbers, and go on",
    "w        window of the rates: 1s, 10s, 60s, 5m",
    "?        this help",
    "q        quit (also Ctrl-C)",
    "No key changes the mesh.",
];

pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let problems = view.frame().map(rows::problems).unwrap_or_default();
    let shown = u16::try_from(problems.len().min(MOST_PROBLEMS)).unwrap_or_default();
    let problem_height = if shown > 0 { shown + 2 } else { 0 };
    let [head, services, below] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Min(3),
        Constraint::Length(problem_height),
    ])
    .areas(frame.area());
    frame.render_widget(header(view, problems.len()), head);
    draw_services(frame, view, services);
    if shown > 0 {
        let lines: Vec<_> =
            problems.iter().map(|problem| Line::from(format!(" ! {problem}"))).collect();
        let title = format!(" Problems ({}) ", problems.len());
        frame.render_widget(Paragraph::new(lines).block(block(view).title(title)), below);
    }
    if view.mode == Mode::Help {
        draw_help(frame, view);
    }
}

fn block(view: &View) -> Block<'static> {
    let ascii = border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    };
    let block = Block::bordered();
    if view.unicode { block } else { block.border_set(ascii) }
}

fn header(view: &View, problems: usize) -> Paragraph<'static> {
    let Some(frame) = view.frame() else {
        return Paragraph::new(" waiting for numbers").block(block(view));
    };
    let numbers = frame.total.unwrap_or_default();
    let line = format!(
        " RPS {} {}  SUCCESS {}  P50 {}  P99 {}  OPEN {}  !{problems}",
        number::rate(numbers.rps),
        spark(&view.trend(""), view.unicode),
        number::share(numbers.success),
        number::milliseconds(numbers.p50_ms),
        number::milliseconds(numbers.p99_ms),
        numbers.open,
    );
    let dot = if view.unicode { "·" } else { "-" };
    let left = format!(" mesh {} {dot} {} {dot} gen {} ", frame.mesh, frame.node, frame.generation);
    let state = if view.frozen { "frozen" } else { "live" };
    let right = format!(" {state} {dot} window {}s {dot} {} ", view.window(), clock(frame));
    let block =
        block(view).title(Line::from(left)).title(Line::from(right).alignment(Alignment::Right));
    Paragraph::new(line).block(block)
}

/// The time of day of a frame, UTC.
fn clock(frame: &MetricsFrame) -> String {
    let time = frame.time.map(|time| time.to_string()).unwrap_or_default();
    time.get(11..19).unwrap_or_default().to_owned()
}

/// A column: header, width, and the terminal width from which it is shown.
struct Column {
    name: &'static str,
    width: u16,
    from: u16,
    cell: fn(&Row, &View) -> String,
}

const COLUMNS: [Column; 10] = [
    Column {
        name: "READY",
        width: 6,
        from: 0,
        cell: |row, _| format!("{}/{}", row.ready, row.total),
    },
    Column { name: "RPS", width: 8, from: 0, cell: |row, _| number::rate(row.numbers.rps) },
    Column { name: "TREND", width: 8, from: 104, cell: trend },
    Column {
        name: "SUCCESS",
        width: 8,
        from: 0,
        cell: |row, _| number::share(row.numbers.success),
    },
    Column {
        name: "P50",
        width: 7,
        from: 0,
        cell: |row, _| number::milliseconds(row.numbers.p50_ms),
    },
    Column {
        name: "P95",
        width: 7,
        from: 92,
        cell: |row, _| number::milliseconds(row.numbers.p95_ms),
    },
    Column {
        name: "P99",
        width: 7,
        from: 0,
        cell: |row, _| number::milliseconds(row.numbers.p99_ms),
    },
    Column { name: "OPEN", width: 5, from: 84, cell: |row, _| row.numbers.open.to_string() },
    Column { name: "RX/s", width: 8, from: 98, cell: |row, _| received(&row.numbers) },
    Column { name: "TX/s", width: 8, from: 98, cell: |row, _| sent(&row.numbers) },
];

fn trend(row: &Row, view: &View) -> String {
    match row.level {
        Level::Service => spark(&view.trend(&row.service), view.unicode),
        Level::Subset | Level::Endpoint => String::new(),
    }
}

fn received(numbers: &Numbers) -> String {
    number::bytes_per_second(numbers.received_bytes_per_second)
}

fn sent(numbers: &Numbers) -> String {
    number::bytes_per_second(numbers.sent_bytes_per_second)
}

fn draw_services(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let columns: Vec<_> = COLUMNS.iter().filter(|column| area.width >= column.from).collect();
    let titles = columns.iter().map(|column| Cell::from(right(column.name)));
    let first = [Cell::from("  SERVICE"), Cell::from("SUBSET")];
    let header = TableRow::new(first.into_iter().chain(titles));
    let rows = view.rows();
    let lines = rows.iter().map(|row| {
        let numbers = columns.iter().map(|column| Cell::from(right(&(column.cell)(row, view))));
        let first = [Cell::from(name(row, view)), Cell::from(part(row))];
        TableRow::new(first.into_iter().chain(numbers)).style(style(row))
    });
    let widths = [Constraint::Fill(3), Constraint::Fill(2)];
    let widths =
        widths.into_iter().chain(columns.iter().map(|column| Constraint::Length(column.width)));
    let title = match (view.mode == Mode::Typing, view.filter.as_str()) {
        (false, "") => format!(" Services - by {} ", view.sort.name()),
        (typing, filter) => format!(" Services /{filter}{} ", if typing { "_" } else { "" }),
    };
    let block =
        block(view).title(title).title_bottom(Line::from(KEYS).alignment(Alignment::Center));
    let table = Table::new(lines, widths)
        .header(header.style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(block);
    let mut state = TableState::new().with_selected(Some(view.selected));
    frame.render_stateful_widget(table, area, &mut state);
}

fn right(text: &str) -> Line<'static> {
    Line::from(text.to_owned()).alignment(Alignment::Right)
}

fn name(row: &Row, view: &View) -> String {
    let mark = if view.unicode { "▸ " } else { "> " };
    match row.level {
        Level::Service => format!("{mark}{}", row.service),
        Level::Subset => format!("    {}", row.service),
        Level::Endpoint => format!("      {}", row.part),
    }
}

/// The subset beside the service; an endpoint needs the room of both.
fn part(row: &Row) -> String {
    match row.level {
        Level::Service | Level::Subset => row.part.clone(),
        Level::Endpoint => String::new(),
    }
}

fn style(row: &Row) -> Style {
    match row.ready {
        0 => Style::new().fg(Color::Red),
        ready if ready < row.total => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    }
}

/// The rates as little bars, the highest as a full one.
fn spark(rates: &[f64], unicode: bool) -> String {
    let bars = if unicode { "▁▂▃▄▅▆▇█" } else { "_.-=+*#@" };
    let highest = rates.iter().copied().fold(0.0, f64::max);
    let level = |rate: f64| if highest > 0.0 { (rate / highest * 7.0).round() } else { 0.0 };
    let bar = |rate: &f64| bars.chars().nth(level(*rate) as usize).unwrap_or(' ');
    rates.iter().map(bar).collect()
}

fn draw_help(frame: &mut Frame<'_>, view: &View) {
    let screen = frame.area();
    let height = u16::try_from(HELP.len() + 2).unwrap_or(screen.height).min(screen.height);
    let width = 56.min(screen.width);
    let area =
        Rect { x: (screen.width - width) / 2, y: (screen.height - height) / 2, width, height };
    let lines: Vec<_> = HELP.iter().map(|line| Line::from(format!(" {line}"))).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block(view).title(" Keys ")), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_rate_is_a_full_bar() {
        assert_eq!(spark(&[0.0, 5.0, 10.0], true), "▁▅█");
        assert_eq!(spark(&[0.0, 0.0], false), "__");
    }
}
