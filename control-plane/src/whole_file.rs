//! Files that are there whole or not at all, also after a power cut.

use std::io::Write;
use std::path::Path;

/// Writes a file under a name of its own and gives it its real one once it is on the disk.
pub(crate) fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let part = folder.join(format!(".{name}.part"));
    let mut file = std::fs::File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, folder.join(name))?;
    std::fs::File::open(folder)?.sync_all()
}
