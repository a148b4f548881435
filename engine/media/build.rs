//! Finds CTranslate2's library and lays it beside the binaries.
//!
//! With the feature `wheel` the library is the one of CTranslate2's Python wheel, linked from
//! `third-party/ct2/lib` of the workspace (or `RUSUDEN_CT2_LIB`) and its two shared objects are
//! put into `target/<profile>/`, where binaries, tests, benches and examples find them through
//! their run path `$ORIGIN` and `$ORIGIN/..` (`.cargo/config.toml`). Nothing needs
//! `LD_LIBRARY_PATH`.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

const LIBRARIES: [&str; 2] = ["libctranslate2-", "libgomp-"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSUDEN_CT2_LIB");
    let wheel = env::var_os("CARGO_FEATURE_WHEEL").is_some();
    let ruy = env::var_os("CARGO_FEATURE_RUY").is_some();
    if wheel && ruy {
        stop("features `wheel` and `ruy` exclude each other: add --no-default-features to `ruy`");
    }
    if wheel && let Err(why) = lay_library() {
        stop(&format!(
            "{why}. Run `make setup` (or scripts/fetch-ctranslate2), set RUSUDEN_CT2_LIB to the \
             folder of the library, or build the portable one with \
             `--no-default-features --features ruy`"
        ));
    }
}

fn lay_library() -> Result<(), String> {
    let folder = library_folder()?;
    println!("cargo:rerun-if-changed={}", folder.display());
    println!("cargo:rustc-link-search=native={}", folder.display());
    let target = profile_folder()?;
    // Cargo puts search paths inside the target folder on the loader's path of documentation
    // tests, whose binaries lie elsewhere.
    println!("cargo:rustc-link-search=native={}", target.display());
    for prefix in LIBRARIES {
        let library = find(&folder, prefix)?;
        let name = library.file_name().expect("a directory entry has a name");
        place(&library, &target.join(name))?;
    }
    Ok(())
}

fn library_folder() -> Result<PathBuf, String> {
    let folder = match env::var_os("RUSUDEN_CT2_LIB") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets it"))
            .join("../../third-party/ct2/lib"),
    };
    folder
        .canonicalize()
        .map_err(|why| format!("CTranslate2's library is not at {} ({why})", folder.display()))
}

/// `target/<profile>`: `OUT_DIR` is `target/<profile>/build/<package>/out`.
fn profile_folder() -> Result<PathBuf, String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it"));
    out.ancestors()
        .nth(3)
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("the target folder is not above {}", out.display()))
}

/// The real file of a library: hash and version are part of its name.
fn find(folder: &Path, prefix: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder)
        .map_err(|why| format!("{} cannot be read ({why})", folder.display()))?;
    entries
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .ok_or_else(|| format!("{prefix}*.so is not in {}", folder.display()))
}

/// A hard link where the disks allow it (the library is 80 MB), else a copy.
fn place(from: &Path, to: &Path) -> Result<(), String> {
    let same_size = |a: &Path, b: &Path| {
        fs::metadata(a).ok().map(|meta| meta.len()) == fs::metadata(b).ok().map(|meta| meta.len())
    };
    if to.exists() && same_size(from, to) {
        return Ok(());
    }
    let _ = fs::remove_file(to);
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(drop))
        .map_err(|why| format!("{} cannot be laid at {} ({why})", from.display(), to.display()))
}

#[expect(clippy::print_stderr, reason = "a build script speaks to its builder")]
fn stop(why: &str) -> ! {
    println!("cargo:warning={why}");
    eprintln!("engine-media: {why}.");
    process::exit(1);
}
