//! What redb and the system say, as errors of the contract.

use ::redb::Error;
use skep_api::peerstore::{PeerStoreError, PeerStoreErrorKind};
use std::{
    any::Any,
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// Something in a file that this store would not have written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Garbage {
    /// A row is about no peer.
    #[error("a row is about no peer")]
    NoPeer,
    /// A row cannot be decoded.
    #[error("a row cannot be decoded")]
    Undecodable(#[from] prost::DecodeError),
    /// An address of a row is none, or is that of another peer.
    #[error("an address is none of the peer")]
    BadAddr,
    /// A time to live is of no class that there is.
    #[error("an address is of the class {0}")]
    UnknownClass(u32),
    /// A key is none, or is that of another peer.
    #[error("a key is none of the peer")]
    BadKey,
    /// A record is not right.
    #[error("a record is wrong")]
    BadRecord(#[from] skep_api::record::RecordError),
    /// A record is right, and of another peer or too long.
    #[error("a record is none of the peer")]
    ForeignRecord,
    /// A database, of something else.
    #[error("the file holds something else than peers")]
    ForeignTables,
}

/// A panic within redb, which it may answer a file with that something else has changed.
#[derive(Debug, thiserror::Error)]
#[error("reading it caused a panic: {0}")]
struct Panicked(String);

/// Why an operation on the file failed.
#[derive(Debug)]
pub(super) enum Failure {
    Redb(Error),
    Garbage(Garbage),
    Version { found: u64, known: u64 },
    Panic(String),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl Failure {
    /// The same as an error of the contract, with the path.
    pub(super) fn at(self, path: &Path) -> PeerStoreError {
        let place = path.display();
        match self {
            Self::Redb(error) => PeerStoreError::new(kind(&error), place.to_string()).with_source(error),
            Self::Garbage(garbage) => {
                PeerStoreError::new(PeerStoreErrorKind::Corrupted, place.to_string()).with_source(garbage)
            }
            Self::Version { found, known } => {
                let detail = format!("{place} has version {found}, and this is version {known}");
                PeerStoreError::new(PeerStoreErrorKind::Version, detail)
            }
            Self::Panic(text) => PeerStoreError::new(PeerStoreErrorKind::Corrupted, place.to_string())
                .with_source(Panicked(text)),
        }
    }
}

fn kind(error: &Error) -> PeerStoreErrorKind {
    match error {
        Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => PeerStoreErrorKind::InUse,
        Error::UpgradeRequired(_) => PeerStoreErrorKind::Version,
        // A file that is too short, or that is none of redb's.
        Error::Io(e) if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            PeerStoreErrorKind::Corrupted
        }
        Error::Corrupted(_)
        | Error::RepairAborted
        | Error::LockPoisoned(_)
        | Error::TableTypeMismatch { .. }
        | Error::TableIsMultimap(_)
        | Error::TypeDefinitionChanged { .. }
        | Error::TableDoesNotExist(_) => PeerStoreErrorKind::Corrupted,
        _ => PeerStoreErrorKind::Io,
    }
}

/// Runs what may panic on a file that something else has changed.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // Nothing of what `work` has touched is used after a panic.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Failure::Panic(text_of(&*panic))))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
