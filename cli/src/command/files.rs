//! Manifests named with `-f`: files, folders, `-` for standard input.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mesh_proto::codes;
use mesh_proto::v1::Document;

use crate::error::Failure;

const MOST_TEXT: u64 = 16 << 20;

/// Which manifests a command reads.
#[derive(clap::Args)]
pub(crate) struct Files {
    /// Manifest file, folder of them, or - for standard input (repeatable)
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

impl Files {
    /// Every document, in the order given; a folder's files by name.
    pub(crate) fn read(&self) -> Result<Vec<Document>, Failure> {
        let mut documents = Vec::new();
        for path in &self.paths {
            if path == Path::new("-") {
                let text = bounded(path, io::stdin().lock())?;
                documents.push(Document { file: "-".to_owned(), text });
            } else {
                for file in listed(path)? {
                    documents.push(document(&file)?);
                }
            }
        }
        Ok(documents)
    }

    /// The `-f` flags, to paste into another command.
    pub(crate) fn flags(&self) -> String {
        self.paths.iter().map(|path| format!(" -f {}", path.display())).collect()
    }
}

fn listed(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let file = entry.map_err(|error| unreadable(path, &error))?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        let message = format!("{} holds no manifest", path.display());
        return Err(
            Failure::new(&codes::UNREADABLE, message).why("manifests end in .yaml, .yml or .json")
        );
    }
    Ok(files)
}

fn document(file: &Path) -> Result<Document, Failure> {
    let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
    Ok(Document { file: file.display().to_string(), text: bounded(file, opened)? })
}

/// Reads no more than a manifest may have: a device never ends.
fn bounded(path: &Path, source: impl Read) -> Result<String, Failure> {
    let mut text = String::new();
    let read = source.take(MOST_TEXT + 1).read_to_string(&mut text);
    let length = read.map_err(|error| unreadable(path, &error))?;
    if u64::try_from(length).is_ok_and(|length| length <= MOST_TEXT) {
        return Ok(text);
    }
    Err(Failure::new(&codes::TOO_LARGE, format!("{} is too large", path.display()))
        .why("a manifest has at most 16 MiB"))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(&codes::UNREADABLE, format!("cannot read {}", path.display()))
        .why(error.to_string())
}
