//! Draws a story: a row per step, its bar where and as long as it took.

use super::story::{Step, Story};
use crate::command::get::or_dash;
use crate::output::number;
use crate::output::paint::{Paint, Tone};

/// Cells of the bar column.
const CELLS: usize = 28;

pub(super) fn render(story: &Story, paint: &Paint) -> String {
    let total = number::step(story.total);
    let ruler = format!("0{total:>width$}", width = CELLS - 1);
    let rows = story.steps.iter().map(|step| Row {
        on: or_dash(&step.node),
        service: or_dash(&step.service),
        name: step.name.clone(),
        bar: bar(step, story.total, paint),
        time: number::step(step.micros),
        detail: step.detail.clone(),
    });
    let rows: Vec<_> = rows.collect();
    let head = Row {
        on: "ON".to_owned(),
        service: "SVC".to_owned(),
        name: "STEP".to_owned(),
        bar: ruler,
        time: "TIME".to_owned(),
        detail: "DETAIL".to_owned(),
    };
    let widest = |cell: fn(&Row) -> &String| {
        rows.iter().chain([&head]).map(|row| cell(row).chars().count()).max().unwrap_or_default()
    };
    let widths = Widths {
        on: widest(|row| &row.on),
        service: widest(|row| &row.service),
        name: widest(|row| &row.name),
        time: widest(|row| &row.time),
    };
    let lines = [&head].into_iter().chain(&rows).map(|row| row.line(&widths, paint.width));
    let mut text = String::new();
    for (index, line) in lines.enumerate() {
        let tone = if index == 0 { Tone::Dim } else { Tone::Plain };
        text.push_str(&paint.tone(tone, &line));
        text.push('\n');
    }
    text
}

struct Row {
    on: String,
    service: String,
    name: String,
    bar: String,
    time: String,
    detail: String,
}

struct Widths {
    on: usize,
    service: usize,
    name: usize,
    time: usize,
}

impl Row {
    fn line(&self, widths: &Widths, terminal: Option<usize>) -> String {
        let Widths { on, service, name, time } = *widths;
        let line = format!(
            "{:<on$}  {:<service$}  {:<name$}  |{}|  {:>time$}  {}",
            self.on, self.service, self.name, self.bar, self.time, self.detail
        );
        let line = line.trim_end();
        match terminal {
            Some(columns) => line.chars().take(columns).collect(),
            None => line.to_owned(),
        }
    }
}

/// A step too short for a cell still leaves a trace in the cell it began in.
fn bar(step: &Step, total: u64, paint: &Paint) -> String {
    let cell_of = |micros: u64| micros as f64 * CELLS as f64 / total.max(1) as f64;
    let (from, to) = (cell_of(step.offset), cell_of(step.offset + step.micros));
    let covered = |cell: usize| (to.min(cell as f64 + 1.0) - from.max(cell as f64)).max(0.0);
    let filled: Vec<bool> = (0..CELLS).map(|cell| covered(cell) > 0.5).collect();
    let sliver = if filled.contains(&true) || step.micros == 0 {
        None
    } else {
        (0..CELLS).find(|cell| covered(*cell) > 0.0)
    };
    let symbol = |(cell, filled): (usize, &bool)| match (filled, sliver) {
        (true, _) => paint.plain("█", "#"),
        (false, Some(place)) if place == cell => paint.plain("▏", "."),
        (false, _) => " ",
    };
    filled.iter().enumerate().map(symbol).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::ColourChoice;

    fn step(name: &str, offset: u64, micros: u64) -> Step {
        Step {
            node: "n1".to_owned(),
            service: "cli".to_owned(),
            name: name.to_owned(),
            offset,
            micros,
            detail: String::new(),
            inner: false,
        }
    }

    #[test]
    fn bars_start_where_their_step_does_and_columns_line_up() {
        let story = Story {
            trace: "4bf92f35".to_owned(),
            method: "GET".to_owned(),
            url: "http://web.mesh/".to_owned(),
            status: 200,
            bytes: 5,
            total: 28_000,
            steps: vec![step("dns", 0, 100), step("app", 14_000, 14_000)],
        };
        let mut paint = Paint::new(ColourChoice::Never, false);
        paint.unicode = false;
        let text = render(&story, &paint);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "ON  SVC  STEP  |0                    28.0 ms|     TIME  DETAIL");
        assert_eq!(lines[1], "n1  cli  dns   |.                           |   0.1 ms");
        assert_eq!(lines[2], "n1  cli  app   |              ##############|  14.0 ms");
    }
}
