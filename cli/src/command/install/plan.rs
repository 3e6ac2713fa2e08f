//! The steps of an installation, decided before the first is taken.

use std::path::{Path, PathBuf};

use super::Survey;
use crate::host::places::{CONFIG, Places};
use crate::host::receipt::Stage;
use crate::host::{removal, service};

pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
}

/// Each is journalled before it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Takes off what an installation that was cut short left.
    Clear,
    Group,
    Folder {
        path: PathBuf,
        mode: u32,
    },
    Program {
        path: PathBuf,
    },
    File {
        path: PathBuf,
        text: String,
    },
    Enable,
    Start,
    /// Of a meshd that runs, when nothing but its settings changed.
    Reload,
}

impl Plan {
    /// Empty when everything already is as wanted.
    pub(super) fn of(survey: &Survey) -> Self {
        let mut steps = Vec::new();
        if !matches!(survey.stage(), None | Some(Stage::Installed)) {
            steps.push(Step::Clear);
        }
        let cleared = !steps.is_empty();
        let missing = |path: &Path| cleared || !removal::exists(path);
        let Places { prefix, state, .. } = &survey.places;
        let config = Path::new(CONFIG);
        let folder = |path: &Path, mode| Step::Folder { path: path.to_owned(), mode };
        if missing(state) {
            steps.push(folder(state, 0o700));
        }
        if cleared || !removal::has_group() {
            steps.push(Step::Group);
        }
        let libexec = prefix.join("libexec");
        let above = [prefix.as_path(), &libexec].into_iter().chain(config.parent());
        for path in above.filter(|path| !removal::exists(path)) {
            steps.push(folder(path, 0o755));
        }
        let program = survey.places.program();
        let there = std::fs::read(&program).ok();
        if cleared || there.is_none_or(|there| there != survey.program()) {
            steps.push(Step::Program { path: program });
        }
        let unit = service::unit(&survey.places);
        let mut file = |path: &Path, text: &str| {
            let there = std::fs::read_to_string(path).ok();
            if cleared || there.as_deref() != Some(text) {
                steps.push(Step::File { path: path.to_owned(), text: text.to_owned() });
            }
        };
        file(config, &survey.wanted);
        if survey.systemd {
            file(&Places::unit(), &unit);
            if missing(&Places::enabled()) {
                steps.push(Step::Enable);
            }
        }
        let is_settings = |step: &Step| matches!(step, Step::File { path, .. } if path == config);
        match (survey.is_running(), steps.as_slice()) {
            (true, []) => {}
            (true, [only]) if is_settings(only) => steps.push(Step::Reload),
            _ => steps.push(Step::Start),
        }
        Self { steps }
    }

    pub(super) fn has(&self, step: &Step) -> bool {
        self.steps.contains(step)
    }
}
