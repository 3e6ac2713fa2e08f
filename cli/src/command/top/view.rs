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
    pub(super) help: bool,
    /// Being typed: then letters are text, not commands.
    pub(super) typing: bool,
    pub(super) filter: String,
    pub(super) sort: Sort,
    window: u32,
    expanded: HashSet<String>,
    pub(super) selected: usize,
    trends: HashMap<String, VecDeque<f64>>,
    pub(super) unicode: bool,
}

/// What a key means for whoever feeds the view.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    /// Frames over another window are wanted.
    Window,
    Quit,
}

impl View {
    pub(super) fn new(choice: &Choice, unicode: bool) -> Self {
        Self {
            frame: None,
            frozen: false,
            help: false,
            typing: false,
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
            return Asked::Quit;
        }
        if self.typing {
            self.type_filter(key.code);
            return Asked::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Asked::Quit,
            KeyCode::Char('w') => {
                self.window = WINDOWS.into_iter().find(|longer| *longer > self.window).unwrap_or(1);
                return Asked::Window;
            }
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('e') | KeyCode::Enter => self.toggle(),
            KeyCode::Char(' ') => self.frozen = !self.frozen,
            KeyCode::Char('?') => self.help = !self.help,
            KeyCode::Esc => {
                self.help = false;
                self.filter.clear();
            }
            KeyCode::Down | KeyCode::Char('j') => self.select(self.selected.saturating_add(1)),
            KeyCode::Up | KeyCode::Char('k') => self.select(self.selected.saturating_sub(1)),
            _ => {}
        }
        Asked::Nothing
    }

    fn select(&mut self, row: usize) {
        self.selected = row.min(self.rows().len().saturating_sub(1));
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(letter) => self.filter.push(letter),
            _ => {}
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
            help: false,
            typing: false,
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
