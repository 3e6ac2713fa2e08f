//! Attachments on disk: written whole, then put in place of the old ones.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::Attachment;

pub(super) fn read(file: &Path) -> io::Result<Vec<Attachment>> {
    match fs::read(file) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(super) fn write(file: &Path, attachments: &[&Attachment]) -> io::Result<()> {
    let fresh = file.with_extension("json.new");
    let mut out = File::create(&fresh)?;
    out.write_all(&serde_json::to_vec(attachments)?)?;
    out.sync_all()?;
    fs::rename(&fresh, file)
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
