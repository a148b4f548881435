//! A ZIP archive as it is written (PKWARE APPNOTE 6.3): files come in whole, one by one, and the
//! bytes to send come out at once. Nothing is compressed, since sound is already. What is kept is
//! the directory that stands at the end. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use engine_core::time::WallTime;

use crate::wording::in_japan;

/// Version that a reader needs: 2.0, or 4.5 for ZIP64.
const VERSION: u16 = 20;
const VERSION_ZIP64: u16 = 45;
/// Names are UTF-8 (bit 11).
const FLAGS: u16 = 0x0800;
/// Largest value of a 32-bit field; itself it says "look into the ZIP64 field".
const IN_ZIP64: u64 = 0xffff_ffff;

/// An archive under way.
#[derive(Debug, Default)]
pub(crate) struct Zip {
    /// Bytes that were written.
    offset: u64,
    files: u64,
    directory: BytesMut,
}

impl Zip {
    /// The bytes of one file. `content` is below 4 GiB, as anything held in memory here is.
    pub(crate) fn file(&mut self, name: &str, time: WallTime, content: &Bytes) -> Bytes {
        let len = u32::try_from(content.len()).expect("a file of 4 GiB is never held in memory");
        let name_len = u16::try_from(name.len()).expect("names are made here and are short");
        let mut fields = BytesMut::with_capacity(26);
        fields.put_u16_le(FLAGS);
        fields.put_u16_le(0);
        fields.put_u32_le(dos_time(time));
        fields.put_u32_le(crc32fast::hash(content));
        fields.put_u32_le(len);
        fields.put_u32_le(len);
        fields.put_u16_le(name_len);

        let mut out = BytesMut::with_capacity(30 + name.len() + content.len());
        out.put_slice(b"PK\x03\x04");
        out.put_u16_le(VERSION);
        out.put_slice(&fields);
        out.put_u16_le(0);
        out.put_slice(name.as_bytes());
        out.put_slice(content);

        self.list(name, &fields);
        self.offset += out.len() as u64;
        self.files += 1;
        out.freeze()
    }

    /// An entry of the directory (§4.3.12).
    fn list(&mut self, name: &str, fields: &[u8]) {
        let is_far = self.offset >= IN_ZIP64;
        let directory = &mut self.directory;
        directory.put_slice(b"PK\x01\x02");
        directory.put_u16_le(VERSION_ZIP64);
        directory.put_u16_le(if is_far { VERSION_ZIP64 } else { VERSION });
        directory.put_slice(fields);
        directory.put_u16_le(if is_far { 12 } else { 0 });
        // No comment, first disk, no attributes.
        directory.put_bytes(0, 10);
        directory.put_u32_le(self.offset.min(IN_ZIP64) as u32);
        directory.put_slice(name.as_bytes());
        if is_far {
            directory.put_u16_le(1);
            directory.put_u16_le(8);
            directory.put_u64_le(self.offset);
        }
    }

    /// The end: the directory and where it stands (§4.3.14–16).
    pub(crate) fn finish(self) -> Bytes {
        let (at, len) = (self.offset, self.directory.len() as u64);
        let mut out = self.directory;
        if at + len >= IN_ZIP64 || self.files >= 0xffff {
            out.put_slice(b"PK\x06\x06");
            out.put_u64_le(44);
            out.put_u16_le(VERSION_ZIP64);
            out.put_u16_le(VERSION_ZIP64);
            out.put_u64_le(0);
            out.put_u64_le(self.files);
            out.put_u64_le(self.files);
            out.put_u64_le(len);
            out.put_u64_le(at);
            out.put_slice(b"PK\x06\x07");
            out.put_u32_le(0);
            out.put_u64_le(at + len);
            out.put_u32_le(1);
        }
        out.put_slice(b"PK\x05\x06");
        out.put_u32_le(0);
        out.put_u16_le(self.files.min(0xffff) as u16);
        out.put_u16_le(self.files.min(0xffff) as u16);
        out.put_u32_le(len.min(IN_ZIP64) as u32);
        out.put_u32_le(at.min(IN_ZIP64) as u32);
        out.put_u16_le(0);
        out.freeze()
    }
}

/// Time and date as MS-DOS wrote them, in Japan: two seconds exact, from 1980 to 2107.
fn dos_time(time: WallTime) -> u32 {
    let time = in_japan(time);
    let part = |value: i8| u32::from(value.unsigned_abs());
    let year = u32::from(time.year().clamp(1980, 2107).unsigned_abs()) - 1980;
    let date = (year << 9) | (part(time.month()) << 5) | part(time.day());
    let half_seconds = part(time.second()) / 2;
    let clock = (part(time.hour()) << 11) | (part(time.minute()) << 5) | half_seconds;
    (date << 16) | clock
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const TIME: WallTime = WallTime::from_unix_millis(1_795_359_845_006);

    /// Reads an archive with Python: name, time, bytes of each file.
    fn python_reads(archive: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        std::fs::write(&path, archive).unwrap();
        let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\n\
                      assert z.testzip() is None\n\
                      print(len(z.namelist()))\n\
                      for i in z.infolist()[-2:]: print(i.filename, i.date_time, z.read(i))\n";
        let output = Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn an_independent_reader_finds_every_file() {
        let mut zip = Zip::default();
        let mut out = zip.file("a.txt", TIME, &Bytes::from_static(b"one")).to_vec();
        out.extend(zip.file("messages/日本.txt", TIME, &Bytes::new()));
        out.extend(zip.finish());
        let read = python_reads(&out);
        let wanted = "2\na.txt (2026, 11, 23, 0, 4, 4) b'one'\n\
                      messages/日本.txt (2026, 11, 23, 0, 4, 4) b''\n";
        assert_eq!(read, wanted);
    }

    #[test]
    fn more_files_than_sixteen_bits_count_are_read_too() {
        for files in [65_534, 65_535, 65_536] {
            let mut zip = Zip::default();
            let mut out = Vec::new();
            for n in 0..files {
                out.extend(zip.file(&format!("{n}"), TIME, &Bytes::from_static(b"x")));
            }
            out.extend(zip.finish());
            assert!(python_reads(&out).starts_with(&format!("{files}\n")), "{files}");
        }
    }

    #[test]
    fn files_behind_four_gibibytes_are_found_by_their_zip64_field() {
        // The first file stands as far on as a sparse file can put it.
        let start = IN_ZIP64 + 10;
        let mut zip = Zip { offset: start, ..Zip::default() };
        let file = zip.file("far.txt", TIME, &Bytes::from_static(b"far"));
        let end = zip.finish();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("far.zip");
        let archive = std::fs::File::create(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&archive, &file, start).unwrap();
        let behind = start + file.len() as u64;
        std::os::unix::fs::FileExt::write_all_at(&archive, &end, behind).unwrap();
        let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\n\
                      print(z.read('far.txt'))\n";
        let output = Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "b'far'\n");
    }
}
