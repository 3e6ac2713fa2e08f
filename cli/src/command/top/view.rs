//! What `top` shows and how keys change that; nothing here can change the mesh.

use std::collections::{HashMap, HashSet, VecDeque};

use mesh_proto::v1::MetricsFrame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::command::numbers::Choice;
use crate::command::numbers::rows::{self, Level, Row, Sort};

/// Windows `w` steps through, seconds.
const WINDOWS: [u32; 4] = [1, 10, 60, 300];
/// Rates kept per service for the trend column.
pub(super) const TREND: usize = 8;

pub(super) struct View {
    frame: Option<MetricsFrame>,
    pub(super) frozen: bool,
    pub(super) mode: Mode,
    pub(super) filter: String,
    pub(super) sort: Sort,
    window: u32,
    expanded: HashSet<String>,
    pub(super) selected: usize,
    trends: HashMap<String, VecDeque<f64>>,
    pub(super) unicode: bool,
}

/// What keys and the screen are for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Numbers,
    Help,
    /// A filter is being typed: letters are text, not commands.
    Typing,
}

/// What a key means for whoever feeds the view.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    /// Frames over another window are wanted.
    Window,
    Quit,
    Interrupt,
}

impl View {
    pub(super) fn new(choice: &Choice, unicode: bool) -> Self {
        Self {
            frame: None,
            frozen: false,
            mode: Mode::Numbers,
            filter: choice.filter.clone(),
            sort: choice.sort,
            window: choice.window(),
            expanded: HashSet::new(),
            selected: 0,
            trends: HashMap::new(),
            unicode,
        }
    }

    pub(super) fn frame(&self) -> Option<&MetricsFrame> {
        self.frame.as_ref()
    }

    pub(super) fn window(&self) -> u32 {
        self.window
    }

    /// Takes the newest numbers; while frozen the old ones stay.
    pub(super) fn take(&mut self, frame: MetricsFrame) {
        if self.frozen {
            return;
        }
        self.trends.retain(|name, _| {
            name.is_empty() || frame.services.iter().any(|service| service.name == *name)
        });
        let total = ("", frame.total.unwrap_or_default().rps);
        let services = frame.services.iter();
        let rates = services
            .map(|service| (service.name.as_str(), service.numbers.unwrap_or_default().rps));
        for (name, rate) in rates.chain([total]) {
            let trend = self.trends.entry(name.to_owned()).or_default();
            trend.push_back(rate);
            if trend.len() > TREND {
                trend.pop_front();
            }
        }
        self.frame = Some(frame);
        self.selected = self.selected.min(self.rows().len().saturating_sub(1));
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let deepest = |name: &str| self.expanded.contains(name).then_some(Level::Endpoint);
        let rows = |frame| rows::rows(frame, &self.filter, self.sort, &deepest);
        self.frame.as_ref().map(rows).unwrap_or_default()
    }

    /// The last rates of a service, or of the mesh for "".
    pub(super) fn trend(&self, service: &str) -> Vec<f64> {
        self.trends.get(service).map(|trend| trend.iter().copied().collect()).unwrap_or_default()
    }

    pub(super) fn press(&mut self, key: KeyEvent) -> Asked {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Asked::Interrupt;
        }
        if self.mode == Mode::Typing {
            self.type_filter(key.code);
            return Asked::Nothing;
        }
        if let KeyCode::Char(letter) = key.code {
            return self.command(letter);
        }
        if key.code == KeyCode::Enter {
            self.toggle();
        } else if key.code == KeyCode::Down {
            self.select(self.selected.saturating_add(1));
        } else if key.code == KeyCode::Up {
            self.select(self.selected.saturating_sub(1));
        } else if key.code == KeyCode::Esc {
            self.mode = Mode::Numbers;
            self.filter.clear();
        }
        Asked::Nothing
    }

    fn command(&mut self, letter: char) -> Asked {
        match letter {
            'q' => return Asked::Quit,
            'w' => {
                self.window = WINDOWS.into_iter().find(|longer| *longer > self.window).unwrap_or(1);
                return Asked::Window;
            }
            '/' => self.mode = Mode::Typing,
            '?' if self.mode == Mode::Help => self.mode = Mode::Numbers,
            '?' => self.mode = Mode::Help,
            's' => self.sort = self.sort.next(),
            'e' => self.toggle(),
            ' ' => self.frozen = !self.frozen,
            'j' => self.select(self.selected.saturating_add(1)),
            'k' => self.select(self.selected.saturating_sub(1)),
            _ => {}
        }
        Asked::Nothing
    }

    fn select(&mut self, row: usize) {
        self.selected = row.min(self.rows().len().saturating_sub(1));
    }

    fn type_filter(&mut self, code: KeyCode) {
        if let KeyCode::Char(letter) = code {
            self.filter.push(letter);
        } else if code == KeyCode::Backspace {
            self.filter.pop();
        } else if code == KeyCode::Enter {
            self.mode = Mode::Numbers;
        } else if code == KeyCode::Esc {
            self.mode = Mode::Numbers;
            self.filter.clear();
        }
        self.select(self.selected);
    }

    fn toggle(&mut self) {
        let service = self.rows().get(self.selected).map(|row| row.service.clone());
        let Some(service) = service else { return };
        if !self.expanded.remove(&service) {
            self.expanded.insert(service);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_proto::v1::{ServiceNumbers, SubsetNumbers};

    fn view() -> View {
        let subset = SubsetNumbers { name: "v1".to_owned(), ..SubsetNumbers::default() };
        let service = |name: &str| ServiceNumbers {
            name: name.to_owned(),
            subsets: vec![subset.clone()],
            ..ServiceNumbers::default()
        };
        let mut view = View {
            frame: None,
            frozen: false,
            mode: Mode::Numbers,
            filter: String::new(),
            sort: Sort::Name,
            window: 10,
            expanded: HashSet::new(),
            selected: 0,
            trends: HashMap::new(),
            unicode: true,
        };
        view.take(MetricsFrame {
            services: vec![service("db"), service("web")],
            ..MetricsFrame::default()
        });
        view
    }

    fn press(view: &mut View, keys: &str) -> Vec<Asked> {
        let key = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE);
        keys.chars().map(|letter| view.press(key(letter))).collect()
    }

    #[test]
    fn e_expands_the_selected_service_and_again_folds_it() {
        let mut view = view();
        press(&mut view, "je");
        assert_eq!(view.rows().len(), 3);
        press(&mut view, "e");
        assert_eq!(view.rows().len(), 2);
    }

    #[test]
    fn letters_of_a_filter_are_no_commands() {
        let mut view = view();
        assert_eq!(press(&mut view, "/q").last(), Some(&Asked::Nothing));
        assert_eq!(view.filter, "q");
        assert!(view.rows().is_empty());
        view.press(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
        assert_eq!(view.rows().len(), 2);
        assert_eq!(press(&mut view, "q"), [Asked::Quit]);
    }

    #[test]
    fn a_frozen_view_keeps_its_numbers() {
        let mut view = view();
        press(&mut view, " ");
        view.take(MetricsFrame::default());
        assert_eq!(view.rows().len(), 2);
    }

    #[test]
    fn w_steps_through_the_windows() {
        let mut view = view();
        assert_eq!(press(&mut view, "www"), [Asked::Window, Asked::Window, Asked::Window]);
        assert_eq!(view.window(), 1);
    }
}
