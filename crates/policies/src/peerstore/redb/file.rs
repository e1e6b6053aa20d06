//! The database file: its version, its rows, and how a batch of changes gets into it.

use super::{
    error::{Failure, Garbage, guarded},
    staged::Staged,
};
use redb::{
    Builder, Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
    TableHandle, backends::FileBackend,
};
use std::{fs, io, path::Path};

/// The version of what the rows mean.
pub(super) const VERSION: u64 = 1;

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const PEERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("peers");
pub(super) const VERSION_KEY: &str = "version";

/// Bytes of the file that redb keeps in memory. The index has everything that is asked for.
const CACHE: usize = 4 * 1_024 * 1_024;

/// Opens the file at a path, or makes one.
///
/// # Errors
/// Those of the system, and that it is no file.
pub(super) fn backend(path: &Path) -> io::Result<Box<dyn StorageBackend>> {
    let found = fs::metadata(path).ok();
    if found.as_ref().is_some_and(|found| !found.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if found.is_none() {
        keep_name(path);
    }
    let backend = FileBackend::new(file).map_err(io::Error::other)?;
    Ok(Box::new(backend))
}

/// Has the name of a new file written to the disk, where folders can be: a file without one is lost with the power.
fn keep_name(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::File::open(folder.unwrap_or(Path::new(".")));
    drop(folder.and_then(|folder| folder.sync_all()));
}

/// Opens a database and shows every row. The file is changed only if all of that succeeds.
///
/// # Errors
/// Whatever is wrong with the file, and what `row` says.
pub(super) fn open(
    backend: Box<dyn StorageBackend>,
    mut row: impl FnMut(&[u8], &[u8]) -> Result<(), Garbage>,
) -> Result<Database, Failure> {
    guarded(|| {
        let staged = Staged::new(backend);
        // Without the check, redb trusts a file that was closed in good order, and may panic later on.
        let database = Builder::new()
            .set_cache_size(CACHE)
            .set_check_integrity_on_open(true)
            .create_with_backend(staged.clone())?;
        if is_new(&database)? {
            write(&database, true, |_| Ok(()))?;
        } else {
            for entry in database.begin_read()?.open_table(PEERS)?.iter()? {
                let (peer, value) = entry?;
                row(peer.value(), value.value()).map_err(Failure::Garbage)?;
            }
        }
        staged.release().map_err(redb::StorageError::from)?;
        Ok(database)
    })
}

/// A transaction in which rows are written.
pub(super) type Rows<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

/// Writes rows in one transaction, which is on the disk afterwards. With `anew` it has no others.
///
/// # Errors
/// Whatever is wrong with the file; the database must be opened again then.
pub(super) fn write(
    database: &Database,
    anew: bool,
    rows: impl FnOnce(&mut Rows<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    guarded(|| {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        if anew {
            transaction.delete_table(PEERS)?;
            transaction.open_table(META)?.insert(VERSION_KEY, VERSION)?;
        }
        rows(&mut transaction.open_table(PEERS)?)?;
        transaction.commit()?;
        Ok(())
    })
}

/// Whether there is nothing in the database yet.
fn is_new(database: &Database) -> Result<bool, Failure> {
    let transaction = database.begin_read()?;
    let tables: Vec<String> = transaction.list_tables()?.map(|table| table.name().to_string()).collect();
    if tables.is_empty() && transaction.list_multimap_tables()?.next().is_none() {
        return Ok(true);
    }
    if !tables.iter().any(|table| table == META.name()) {
        return Err(Failure::Garbage(Garbage::ForeignTables));
    }
    let version = transaction.open_table(META)?.get(VERSION_KEY)?.map(|version| version.value());
    match version {
        Some(VERSION) => Ok(false),
        Some(found) => Err(Failure::Version { found, known: VERSION }),
        None => Err(Failure::Garbage(Garbage::ForeignTables)),
    }
}
