//! What a crash left behind: reads old segments before the rings start.
//!
//! In: the journal's folder. Out: recovered recordings for each shard, and the segments that hold
//! them until they are acknowledged. A shard also takes over segments of shards that this run does
//! not have. Knows nothing of calls.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use engine_core::handoff::Arrival;
use engine_core::id::RecordingId;
use engine_core::journal::recover;
use tracing::{info, warn};

use super::disk::parse_segment_name;

const LOCK_NAME: &str = "journal.lock";

/// Why the journal's folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A file or the folder itself could not be made or read.
    #[error("the journal cannot use {path}: {source}; check that the folder is ours to write")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process writes there.
    #[error("another process uses the journal at {dir}; stop it or set another data folder")]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { path, source }
}

/// The folder, ours alone while this lives.
#[derive(Debug)]
pub(crate) struct JournalDir {
    dir: PathBuf,
    _lock: File,
}

/// What one shard takes over.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// Recordings to be handed on again.
    pub arrivals: Vec<Arrival>,
    /// Old segments by the number this run gives them, with the recordings in them.
    pub segments: Vec<(u64, Vec<RecordingId>)>,
    /// Where they lie.
    pub paths: HashMap<u64, PathBuf>,
    /// Number of the shard's first new segment.
    pub first_segment: u64,
}

impl JournalDir {
    /// Makes the folder if need be and locks it.
    pub(crate) fn open(dir: &Path) -> Result<Self, JournalError> {
        fs::create_dir_all(dir).map_err(at(dir))?;
        let path = dir.join(LOCK_NAME);
        let lock = File::create(&path).map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(JournalError::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(JournalError::Io { path, source }),
        }
    }

    /// Reads what earlier runs left, one entry a shard.
    pub(crate) fn inherit(&self, shards: u16) -> Result<Vec<Inheritance>, JournalError> {
        let mut inheritances: Vec<Inheritance> =
            std::iter::repeat_with(Inheritance::default).take(usize::from(shards)).collect();
        let mut newest = None;
        for (shard, files) in self.old_segments()? {
            newest = newest.max(files.last().map(|(number, _)| *number));
            inheritances[usize::from(shard % shards)].take_over(shard, files)?;
        }
        for inheritance in &mut inheritances {
            let inherited = inheritance.segments.len() as u64;
            inheritance.first_segment = newest.map_or(0, |number| number + 1).max(inherited);
        }
        Ok(inheritances)
    }

    /// Old segments by shard, oldest first.
    fn old_segments(&self) -> Result<BTreeMap<u16, Vec<(u64, PathBuf)>>, JournalError> {
        let mut found: BTreeMap<u16, Vec<(u64, PathBuf)>> = BTreeMap::new();
        for entry in fs::read_dir(&self.dir).map_err(at(&self.dir))? {
            let path = entry.map_err(at(&self.dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some((shard, segment)) = name.and_then(parse_segment_name) {
                found.entry(shard).or_default().push((segment, path));
            }
        }
        for files in found.values_mut() {
            files.sort_unstable();
        }
        Ok(found)
    }
}

impl Inheritance {
    /// Segments are renumbered from 0 in this run, since files of several shards may meet here.
    fn take_over(&mut self, shard: u16, files: Vec<(u64, PathBuf)>) -> Result<(), JournalError> {
        let mut read: Vec<(u64, Bytes)> = Vec::with_capacity(files.len());
        for (_, path) in files {
            let number = self.segments.len() as u64;
            read.push((number, fs::read(&path).map_err(at(&path))?.into()));
            self.segments.push((number, Vec::new()));
            self.paths.insert(number, path);
        }
        let (recovered, report) = recover(&read);
        info!(
            shard,
            segments = read.len(),
            recordings = recovered.len(),
            chunks = report.chunks,
            "Old journal segments were read."
        );
        if report.damaged_bytes > 0 || report.orphaned_chunks > 0 {
            warn!(
                shard,
                damaged_bytes = report.damaged_bytes,
                orphaned_chunks = report.orphaned_chunks,
                "Parts of the old journal could not be used."
            );
        }
        for recording in recovered {
            let id = recording.opened.recording;
            for segment in recording.segments {
                if let Some((_, held)) = self.segments.get_mut(segment as usize) {
                    held.push(id);
                }
            }
            let (opened, sealed, sound) = (recording.opened, recording.sealed, recording.sound);
            self.arrivals.push(Arrival { opened, sealed, sound });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::segment_name;

    #[test]
    fn a_second_user_of_the_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = JournalDir::open(dir.path()).unwrap();
        assert!(matches!(JournalDir::open(dir.path()), Err(JournalError::Locked { .. })));
        drop(first);
        assert!(JournalDir::open(dir.path()).is_ok());
    }

    #[test]
    fn segments_of_missing_shards_are_taken_over_and_new_numbers_collide_with_none() {
        let dir = tempfile::tempdir().unwrap();
        for (shard, segment) in [(0, 4), (0, 5), (1, 5), (2, 9), (3, 0)] {
            fs::write(dir.path().join(segment_name(shard, segment)), b"torn").unwrap();
        }
        let inherited = JournalDir::open(dir.path()).unwrap().inherit(2).unwrap();
        let counts: Vec<_> = inherited.iter().map(|i| i.segments.len()).collect();
        assert_eq!(counts, [3, 2]);
        assert!(inherited.iter().all(|i| i.first_segment == 10 && i.paths.len() >= 2));
    }
}
