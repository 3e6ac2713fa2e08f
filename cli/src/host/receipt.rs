//! `install.json`: what an installation did, written before each step of it.
//!
//! A crash between any two steps therefore leaves either nothing or a receipt that names what may
//! have been done.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::places::Places;
use super::snapshot::Snapshot;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Stage {
    /// The installation was not finished, or not confirmed.
    Installing,
    Installed,
    Removing,
}

/// Something that was made, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", tag = "made")]
pub(crate) enum Made {
    Group {
        name: String,
    },
    Folder {
        path: PathBuf,
    },
    /// With what stood there before.
    File {
        path: PathBuf,
        before: Option<String>,
    },
    /// Starts at boot.
    Enabled {
        path: PathBuf,
    },
    Daemon,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    /// Of the installed meshd.
    pub(crate) version: String,
    pub(crate) stage: Stage,
    pub(crate) systemd: bool,
    pub(crate) places: Places,
    pub(crate) before: Snapshot,
    pub(crate) made: Vec<Made>,
}

impl Receipt {
    /// The receipt of this installation, where there is one that can be read.
    pub(crate) fn read(places: &Places) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(places.receipt()).ok()?).ok()
    }

    /// Notes that `made` is about to be made.
    pub(crate) fn intend(&mut self, made: Made) -> io::Result<()> {
        if !self.made.contains(&made) {
            self.made.push(made);
        }
        self.write()
    }

    pub(crate) fn enter(&mut self, stage: Stage) -> io::Result<()> {
        self.stage = stage;
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        replace(&self.places.receipt(), text.as_bytes(), 0o600)
    }
}

/// Writes a file as a whole: its old content stands until the new one is on the disk.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(content)?;
    // The mode asked for, whatever the umask says.
    fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    file.sync_all()?;
    fs::rename(&new, path)
}
