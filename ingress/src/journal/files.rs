//! Files by the shard's ring, or by threads where the kernel forbids `io_uring`.
//!
//! In: paths, buffers, offsets. Out: results, without ever keeping the shard's thread waiting.
//! Both ways keep the same promises. Knows nothing of segments.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio_uring::buf::BoundedBuf as _;

/// Where file operations are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesOn {
    /// On the current tokio-uring runtime.
    Ring,
    /// On the current runtime's blocking threads.
    Threads,
}

/// An open file.
#[derive(Clone)]
pub(super) enum OpenFile {
    Ring(Rc<tokio_uring::fs::File>),
    Thread(Arc<fs::File>),
}

impl FilesOn {
    /// Opens for reading and writing; made if it is not there.
    pub(super) async fn create(self, path: PathBuf) -> io::Result<OpenFile> {
        match self {
            Self::Ring => {
                let mut options = tokio_uring::fs::OpenOptions::new();
                options.read(true).write(true).create(true);
                Ok(OpenFile::Ring(Rc::new(options.open(path).await?)))
            }
            Self::Threads => aside(move || {
                let mut options = fs::OpenOptions::new();
                options.read(true).write(true).create(true).truncate(false).open(path)
            })
            .await
            .map(|file| OpenFile::Thread(Arc::new(file))),
        }
    }

    /// Opens for reading.
    pub(super) async fn open(self, path: PathBuf) -> io::Result<OpenFile> {
        match self {
            Self::Ring => Ok(OpenFile::Ring(Rc::new(tokio_uring::fs::File::open(path).await?))),
            Self::Threads => {
                aside(|| fs::File::open(path)).await.map(|file| OpenFile::Thread(Arc::new(file)))
            }
        }
    }

    /// Removes a file.
    pub(super) async fn remove(self, path: PathBuf) -> io::Result<()> {
        match self {
            Self::Ring => tokio_uring::fs::remove_file(path).await,
            Self::Threads => aside(|| fs::remove_file(path)).await,
        }
    }

    /// Brings the names in a folder to the medium.
    pub(super) async fn sync_dir(self, dir: &Path) -> io::Result<()> {
        match self {
            Self::Ring => tokio_uring::fs::File::open(dir).await?.sync_all().await,
            Self::Threads => {
                let dir = dir.to_owned();
                aside(|| fs::File::open(dir)?.sync_all()).await
            }
        }
    }
}

impl OpenFile {
    /// Writes at most all of `chunks`, one behind the other; returns the bytes written.
    pub(super) async fn write(&self, chunks: Vec<Bytes>, offset: u64) -> io::Result<usize> {
        match self {
            Self::Ring(file) => file.writev_at(chunks, offset).await.0,
            Self::Thread(file) => {
                let file = Arc::clone(file);
                aside(move || {
                    let parts: Vec<_> = chunks.iter().map(|c| io::IoSlice::new(c)).collect();
                    Ok(rustix::io::pwritev(&*file, &parts, offset)?)
                })
                .await
            }
        }
    }

    /// Brings the file's bytes to the medium.
    pub(super) async fn sync(&self) -> io::Result<()> {
        match self {
            Self::Ring(file) => file.sync_data().await,
            Self::Thread(file) => {
                let file = Arc::clone(file);
                aside(move || file.sync_data()).await
            }
        }
    }

    /// Fills `buffer[at..end]` from `offset` on, and gives the buffer back.
    pub(super) async fn read(
        &self,
        mut buffer: Vec<u8>,
        at: usize,
        end: usize,
        offset: u64,
    ) -> io::Result<Vec<u8>> {
        match self {
            Self::Ring(file) => {
                let (result, part) = file.read_exact_at(buffer.slice(at..end), offset).await;
                result.map(|()| part.into_inner())
            }
            Self::Thread(file) => {
                let file = Arc::clone(file);
                aside(move || {
                    file.read_exact_at(&mut buffer[at..end], offset)?;
                    Ok(buffer)
                })
                .await
            }
        }
    }
}

/// Runs on a thread that may wait for the disk.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
