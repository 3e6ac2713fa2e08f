//! Attachments on disk: a line for each change, so that what one costs does not grow with how many
//! there are. Once most lines are of the past the file is written anew.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Attachment, Table};
use crate::model::Subject;

/// Lines of the past that are not worth writing the file anew.
const PAST: usize = 256;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line<'a> {
    Attached(Cow<'a, Attachment>),
    Detached(Cow<'a, Subject>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) path: PathBuf,
    file: Arc<File>,
    /// Bytes and lines of the file.
    length: u64,
    lines: usize,
    /// The disk may not have all of it.
    is_unsaved: bool,
}

impl Memory {
    /// What is remembered at `path`, and where more is added to it.
    pub(super) fn open(path: PathBuf) -> io::Result<(Self, Vec<Attachment>)> {
        let mut options = File::options();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path)?;
        sync_folder(&path)?;
        let (mut text, mut length, mut lines) = (String::new(), 0, 0);
        file.read_to_string(&mut text)?;
        let mut known = BTreeMap::new();
        // A line without its end was never acted on.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            (length, lines) = (length + line.len() as u64, lines + 1);
            match serde_json::from_str(line)? {
                Line::Attached(attachment) => {
                    known.insert(attachment.subject.clone(), attachment.into_owned());
                }
                Line::Detached(subject) => drop(known.remove(&*subject)),
            }
        }
        file.set_len(length)?;
        let memory = Self { path, file: Arc::new(file), length, lines, is_unsaved: false };
        Ok((memory, known.into_values().collect()))
    }

    /// What the disk has to be asked to keep, if anything; asked for once.
    pub(super) fn unsaved(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.is_unsaved).then(|| Arc::clone(&self.file))
    }

    #[cfg(test)]
    pub(super) fn write_to(&mut self, file: File) {
        self.file = Arc::new(file);
    }

    /// Writes the file anew; the disk has all of it then.
    pub(super) fn renew(&mut self, table: &Table) -> io::Result<()> {
        let all = table.values().map(|held| &held.attachment);
        *self = Self::write(self.path.clone(), all)?;
        Ok(())
    }

    /// `table` has it already.
    pub(super) fn attached(&mut self, attachment: &Attachment, table: &Table) -> io::Result<()> {
        self.add(&Line::Attached(Cow::Borrowed(attachment)), table)
    }

    /// `table` has it no more.
    pub(super) fn detached(&mut self, subject: &Subject, table: &Table) -> io::Result<()> {
        self.add(&Line::Detached(Cow::Borrowed(subject)), table)
    }

    fn add(&mut self, line: &Line<'_>, table: &Table) -> io::Result<()> {
        if self.lines > 2 * table.len() + PAST {
            return self.renew(table);
        }
        let text = text_of(line)?;
        if let Err(error) = self.file.write_all_at(&text, self.length) {
            // Half a line would spoil the next. What cannot be cut off is written over.
            self.file.set_len(self.length).ok();
            return Err(error);
        }
        self.length += text.len() as u64;
        self.lines += 1;
        self.is_unsaved = true;
        Ok(())
    }

    /// Written whole, then put in place of the old one.
    fn write<'a>(
        path: PathBuf,
        attachments: impl Iterator<Item = &'a Attachment>,
    ) -> io::Result<Self> {
        let (mut text, mut lines) = (Vec::new(), 0);
        for attachment in attachments {
            text.extend(text_of(&Line::Attached(Cow::Borrowed(attachment)))?);
            lines += 1;
        }
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        sync_folder(&path)?;
        let length = text.len() as u64;
        Ok(Self { path, file: Arc::new(file), length, lines, is_unsaved: false })
    }
}

/// What is written to a file is of no use as long as its name may be lost.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn text_of(line: &Line<'_>) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text)
}

/// A value in the spelling people use.
pub(super) mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_str(value)
    }

    pub(in super::super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::attach::Held;
    use crate::model::Egress;

    #[test]
    fn what_is_attached_now_is_remembered_and_half_a_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attachments");
        let (mut memory, none) = Memory::open(path.clone()).unwrap();
        assert_eq!(none, []);
        let mut table = Table::new();
        for uid in (0..3 * PAST as u32).map(|number| number % 3) {
            let attachment = of(uid);
            let held = Held { attachment: of(uid), found: None, last: String::new() };
            table.insert(Subject::Uid(uid), held);
            memory.attached(&attachment, &table).unwrap();
        }
        assert!(memory.lines < 2 * PAST, "{} lines for 3 attachments", memory.lines);
        table.remove(&Subject::Uid(1));
        memory.detached(&Subject::Uid(1), &table).unwrap();
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(br#"{"detached":{"uid":2"#).unwrap();
        for _ in 0..2 {
            let (_, known) = Memory::open(path.clone()).unwrap();
            assert_eq!(known, [of(0), of(2)]);
        }
    }

    fn of(uid: u32) -> Attachment {
        Attachment { subject: Subject::Uid(uid), service: None, uid: 0, egress: Egress::Any }
    }
}
