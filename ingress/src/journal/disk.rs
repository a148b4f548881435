//! The journal's files of one shard.
//!
//! In: writes, syncs, reads, removals by segment number. Out: their results. All of it goes
//! through the ring or to threads, so the shard's thread never waits for the disk. [`Faults`] lets
//! a test make any operation slow or fail in front of the real one. Knows nothing of what the
//! bytes mean.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use engine_core::journal::Extent;

use super::files::{FilesOn, OpenFile};
use crate::limits::WRITE_BUFFERS_MAX;

/// An operation on the journal's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiskOp {
    /// A segment is made.
    Create,
    /// Chunks are written.
    Write,
    /// A segment is synced.
    Sync,
    /// A recording is read back.
    Read,
    /// A segment is removed.
    Remove,
}

/// What a fault decides: resolves to an error to fail with, or to nothing.
pub type Verdict = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Stands in front of the disk in tests.
pub trait Faults: Send + Sync + 'static {
    /// Asked before each operation on its shard's thread; it may wait and may fail. What it lets
    /// through is really done.
    fn before(&self, op: DiskOp) -> Verdict;
}

/// Where a keeper's files lie.
pub struct DiskPlace {
    /// The folder.
    pub dir: PathBuf,
    /// Goes into file names.
    pub shard: u16,
    /// Where file operations are done.
    pub files: FilesOn,
    /// Stands in front of the disk in tests.
    pub faults: Option<Arc<dyn Faults>>,
}

impl std::fmt::Debug for DiskPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskPlace").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// One shard's files.
pub(super) struct Disk {
    dir: PathBuf,
    shard: u16,
    files: FilesOn,
    /// Segments that were there at start, by the number that this run gave them.
    adopted: RefCell<HashMap<u64, PathBuf>>,
    open: RefCell<HashMap<u64, OpenFile>>,
    faults: Option<Arc<dyn Faults>>,
}

impl Disk {
    pub(super) fn new(place: DiskPlace, adopted: HashMap<u64, PathBuf>) -> Self {
        let DiskPlace { dir, shard, files, faults } = place;
        Self { dir, shard, files, adopted: adopted.into(), open: RefCell::default(), faults }
    }

    async fn admit(&self, op: DiskOp) -> io::Result<()> {
        match &self.faults {
            Some(faults) => faults.before(op).await,
            None => Ok(()),
        }
    }

    /// Writes `chunks` one behind the other from `offset` on.
    pub(super) async fn write(
        &self,
        segment: u64,
        offset: u64,
        mut chunks: Vec<Bytes>,
    ) -> io::Result<()> {
        let file = self.writable(segment).await?;
        self.admit(DiskOp::Write).await?;
        let mut at = offset;
        let mut first = 0;
        while first < chunks.len() {
            // A Bytes is a pointer and a count: the clone copies no sound.
            let last = chunks.len().min(first + WRITE_BUFFERS_MAX);
            let mut written = file.write(chunks[first..last].to_vec(), at).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            at += written as u64;
            while written > 0 {
                let step = written.min(chunks[first].len());
                chunks[first].advance(step);
                written -= step;
                first += usize::from(chunks[first].is_empty());
            }
            while first < chunks.len() && chunks[first].is_empty() {
                first += 1;
            }
        }
        Ok(())
    }

    /// Brings what was written to the medium.
    pub(super) async fn sync(&self, segment: u64) -> io::Result<()> {
        let file = self.open.borrow().get(&segment).cloned();
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        self.admit(DiskOp::Sync).await?;
        file.sync().await
    }

    /// Reads `extents` and strings them together.
    pub(super) async fn read(&self, extents: &[Extent]) -> io::Result<Bytes> {
        self.admit(DiskOp::Read).await?;
        let total = extents.iter().map(|extent| extent.bytes as usize).sum();
        let mut sound = vec![0; total];
        let mut at = 0;
        for extent in extents {
            let file = self.readable(extent.segment).await?;
            let end = at + extent.bytes as usize;
            sound = file.read(sound, at, end, extent.offset).await?;
            at = end;
        }
        Ok(sound.into())
    }

    /// Removes a segment; one that is gone already is fine.
    pub(super) async fn remove(&self, segment: u64) -> io::Result<()> {
        self.admit(DiskOp::Remove).await?;
        self.open.borrow_mut().remove(&segment);
        match self.files.remove(self.path(segment)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                self.adopted.borrow_mut().remove(&segment);
                Ok(())
            }
        }
    }

    async fn writable(&self, segment: u64) -> io::Result<OpenFile> {
        if let Some(file) = self.open.borrow().get(&segment) {
            return Ok(file.clone());
        }
        self.admit(DiskOp::Create).await?;
        let file = self.files.create(self.path(segment)).await?;
        // The name itself must survive a crash too, before anything in the file counts.
        self.files.sync_dir(&self.dir).await?;
        self.open.borrow_mut().insert(segment, file.clone());
        Ok(file)
    }

    async fn readable(&self, segment: u64) -> io::Result<OpenFile> {
        if let Some(file) = self.open.borrow().get(&segment) {
            return Ok(file.clone());
        }
        self.files.open(self.path(segment)).await
    }

    fn path(&self, segment: u64) -> PathBuf {
        let adopted = self.adopted.borrow().get(&segment).cloned();
        adopted.unwrap_or_else(|| self.dir.join(segment_name(self.shard, segment)))
    }
}

/// File name of a segment.
pub(super) fn segment_name(shard: u16, segment: u64) -> String {
    format!("{shard}-{segment:010}.rsj")
}

/// Reads [`segment_name`] back.
pub(super) fn parse_segment_name(name: &str) -> Option<(u16, u64)> {
    let (shard, segment) = name.strip_suffix(".rsj")?.split_once('-')?;
    Some((shard.parse().ok()?, segment.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_names_read_back() {
        assert_eq!(parse_segment_name(&segment_name(3, 41)), Some((3, 41)));
        for name in ["3-41", "a-1.rsj", "3.rsj", "70000-1.rsj", "journal.lock"] {
            assert_eq!(parse_segment_name(name), None, "{name}");
        }
    }

    async fn chunks_read_back(dir: PathBuf, files: FilesOn) {
        let place = DiskPlace { dir, shard: 0, files, faults: None };
        let disk = Disk::new(place, HashMap::new());
        let chunks: Vec<Bytes> = (0..2_500_u32)
            .map(|n| if n % 7 == 0 { Bytes::new() } else { n.to_le_bytes().to_vec().into() })
            .collect();
        let want: Vec<u8> = chunks.concat();
        disk.write(0, 10, chunks).await.unwrap();
        disk.sync(0).await.unwrap();
        let half = want.len() as u32 / 2;
        let extents = [
            Extent { segment: 0, offset: 10, bytes: half },
            Extent { segment: 0, offset: 10 + u64::from(half), bytes: half },
        ];
        assert_eq!(disk.read(&extents).await.unwrap(), want[..2 * half as usize]);
        let beyond = [Extent { segment: 0, offset: 10, bytes: half * 3 }];
        assert!(disk.read(&beyond).await.is_err());
        disk.remove(0).await.unwrap();
        disk.remove(0).await.unwrap();
        assert!(disk.read(&extents).await.is_err());
    }

    #[test]
    fn more_chunks_than_one_vectored_write_takes_read_back_in_order_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        tokio_uring::start(chunks_read_back(dir.path().to_owned(), FilesOn::Ring));
        let plain = tokio::runtime::Builder::new_current_thread().build().unwrap();
        plain.block_on(chunks_read_back(dir.path().to_owned(), FilesOn::Threads));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
