//! Where a store under test keeps its data.

use crate::{
    harness::{Broken, During},
    suite::parse,
};
use serde_json::{Map, Value};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// The table of a store, and which of its keys takes the path of a file.
#[derive(Clone, Debug)]
pub struct Place {
    table: Map<String, Value>,
    file_key: Option<String>,
}

/// A folder that goes with the store in it.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Place {
    pub(super) fn is_a_file(&self) -> bool {
        self.file_key.is_some()
    }

    /// The table for a store of which there is nothing yet.
    pub(super) fn fresh(&self) -> Result<(Map<String, Value>, Option<Folder>), Broken> {
        let mut table = self.table.clone();
        let Some(key) = &self.file_key else { return Ok((table, None)) };
        let folder = Folder::new()?;
        table.insert(key.clone(), folder.0.join("store").display().to_string().into());
        Ok((table, Some(folder)))
    }
}

/// A store in memory, with its table in TOML.
impl From<&str> for Place {
    fn from(table: &str) -> Self {
        let table = parse(table).unwrap_or_else(|e| panic!("the table is no TOML: {e}"));
        Self { table, file_key: None }
    }
}

/// A store in a file: its table in TOML, and the key that takes the path.
impl From<(&str, &str)> for Place {
    fn from((table, key): (&str, &str)) -> Self {
        Self { file_key: Some(key.to_string()), ..table.into() }
    }
}

impl Folder {
    fn new() -> Result<Self, Broken> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("skep-peerstore-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).during("make a folder")?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the temporary folder's to clean up.
        drop(fs::remove_dir_all(&self.0));
    }
}
