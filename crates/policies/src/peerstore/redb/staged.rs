//! A file whose changes wait in memory until it is known that all of it was understood.
//!
//! Opening a database repairs it, which writes. A damaged file must stay as it is, so these writes are held back,
//! and then done in the order in which redb asked for them: what makes it safe against a crash is that order.

use redb::{BackendError, StorageBackend};
use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const PAGE: u64 = 4_096;
const PAGE_LEN: usize = 4_096;

/// Where the magic number of redb stands, and the header that goes with it.
const MAGIC_LEN: usize = 9;
const HEADER_LEN: u64 = 512;

/// A file, and what is to be written to it.
#[derive(Clone, Debug)]
pub(super) struct Staged(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Box<dyn StorageBackend>,
    /// `None` once changes go to the file.
    held: Mutex<Option<Held>>,
}

/// The file as redb sees it.
#[derive(Debug, Default)]
struct Held {
    /// How long it is; `None` before it was looked at, which has to wait for the lock.
    len: Option<u64>,
    /// So much of the file itself still counts.
    kept: u64,
    pages: BTreeMap<u64, Vec<u8>>,
    log: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl Staged {
    pub(super) fn new(file: Box<dyn StorageBackend>) -> Self {
        Self(Arc::new(Inner { file, held: Mutex::new(Some(Held::default())) }))
    }

    /// Does what has waited; from now on nothing does.
    ///
    /// # Errors
    /// As those of the file. Everything waits on then, and is never done.
    pub(super) fn release(&self) -> io::Result<()> {
        let mut held = self.held();
        for change in held.iter().flat_map(|held| &held.log) {
            match change {
                Change::Write(at, bytes) => self.0.file.write(*at, bytes)?,
                Change::SetLen(len) => self.0.file.set_len(*len)?,
                Change::Sync => self.0.file.sync_data()?,
            }
        }
        *held = None;
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn len(&mut self, file: &dyn StorageBackend) -> io::Result<u64> {
        if let Some(len) = self.len {
            return Ok(len);
        }
        let mut len = file.len()?;
        if len > 0 && is_blank(file, len)? {
            len = 0;
            self.log.push(Change::SetLen(0));
        }
        (self.len, self.kept) = (Some(len), len);
        Ok(len)
    }

    fn page(&self, file: &dyn StorageBackend, number: u64) -> io::Result<Vec<u8>> {
        if let Some(page) = self.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = vec![0; PAGE_LEN];
        let start = number.saturating_mul(PAGE);
        let there = usize::try_from(self.kept.saturating_sub(start).min(PAGE)).unwrap_or(0);
        if let Some(part) = page.get_mut(..there).filter(|part| !part.is_empty()) {
            file.read(start, part)?;
        }
        Ok(page)
    }

    fn read(&mut self, file: &dyn StorageBackend, at: u64, out: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(out.len() as u64).ok_or_else(beyond)?;
        if end > self.len(file)? {
            return Err(beyond());
        }
        // What was not changed, which is nearly everything, comes from the file in one piece.
        let touched = self.pages.range(at / PAGE..end.div_ceil(PAGE)).next().is_some();
        if !touched && end <= self.kept {
            return file.read(at, out);
        }
        each_page(at, out.len(), |number, within, range| {
            let page = self.page(file, number)?;
            let from = page.get(within..within.saturating_add(range.len())).ok_or_else(beyond)?;
            out.get_mut(range).ok_or_else(beyond)?.copy_from_slice(from);
            Ok(())
        })
    }

    fn write(&mut self, file: &dyn StorageBackend, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = at.checked_add(bytes.len() as u64).ok_or_else(beyond)?;
        let len = self.len(file)?;
        each_page(at, bytes.len(), |number, within, range| {
            let mut page = self.page(file, number)?;
            let to = page.get_mut(within..within.saturating_add(range.len())).ok_or_else(beyond)?;
            to.copy_from_slice(bytes.get(range).ok_or_else(beyond)?);
            self.pages.insert(number, page);
            Ok(())
        })?;
        self.len = Some(len.max(end));
        self.log.push(Change::Write(at, bytes.to_vec()));
        Ok(())
    }

    fn set_len(&mut self, file: &dyn StorageBackend, len: u64) -> io::Result<()> {
        let before = self.len(file)?;
        if len < before {
            // What is cut off reads as zeros if the file grows again.
            if !len.is_multiple_of(PAGE) {
                let mut last = self.page(file, len / PAGE)?;
                let left = usize::try_from(len % PAGE).unwrap_or(0);
                last.get_mut(left..).into_iter().flatten().for_each(|byte| *byte = 0);
                self.pages.insert(len / PAGE, last);
            }
            drop(self.pages.split_off(&len.div_ceil(PAGE)));
            self.kept = self.kept.min(len);
        }
        self.len = Some(len);
        self.log.push(Change::SetLen(len));
        Ok(())
    }
}

impl StorageBackend for Staged {
    fn len(&self) -> io::Result<u64> {
        match &mut *self.held() {
            Some(held) => held.len(&*self.0.file),
            None => self.0.file.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &mut *self.held() {
            Some(held) => held.read(&*self.0.file, offset, out),
            None => self.0.file.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match &mut *self.held() {
            Some(held) => held.set_len(&*self.0.file, len),
            None => self.0.file.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match &mut *self.held() {
            Some(held) => held.log.push(Change::Sync),
            None => return self.0.file.sync_data(),
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &mut *self.held() {
            Some(held) => held.write(&*self.0.file, offset, data),
            None => self.0.file.write(offset, data),
        }
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}

/// Whether a file is one whose creation was cut short: redb writes the magic number last, and nothing beyond the
/// header before it. Such a file holds nothing, and would be refused for ever.
fn is_blank(file: &dyn StorageBackend, len: u64) -> io::Result<bool> {
    let mut at = 0;
    let mut buffer = vec![0; 64 * PAGE_LEN];
    while at < len {
        let size = usize::try_from(len.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..size).ok_or_else(beyond)?;
        file.read(at, part)?;
        let (magic, rest) = if at == 0 {
            let header = usize::try_from(HEADER_LEN.min(len)).unwrap_or(0);
            (part.get(..MAGIC_LEN.min(part.len())), part.get(header..))
        } else {
            (None, Some(&*part))
        };
        if magic.into_iter().chain(rest).flatten().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at = at.saturating_add(size as u64);
    }
    Ok(len > HEADER_LEN)
}

/// Calls with the number of each page of a range, where the range begins within it, and which part of it that is.
fn each_page(
    at: u64,
    len: usize,
    mut each: impl FnMut(u64, usize, std::ops::Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0_usize;
    while done < len {
        let place = at.saturating_add(done as u64);
        let within = usize::try_from(place % PAGE).unwrap_or(0);
        let next = done.saturating_add(PAGE_LEN.saturating_sub(within)).min(len);
        each(place / PAGE, within, done..next)?;
        done = next;
    }
    Ok(())
}

fn beyond() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the end of the file")
}

#[cfg(test)]
mod tests;
