//! Checks the forwarding guides, so that a broken one breaks the build, and makes the list of them
//! that the crate includes. Rebuilds the crate when a migration comes, since `sqlx::migrate!`
//! reads the folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[path = "src/guide/parse.rs"]
#[allow(dead_code, reason = "the crate uses what the build only checks")]
mod parse;

fn main() {
    for folder in ["migrations", "templates", "guides", "src/guide/parse.rs"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it");
    let out = std::env::var("OUT_DIR").expect("Cargo sets it");
    match list(&Path::new(&root).join("guides")) {
        Ok(list) => std::fs::write(Path::new(&out).join("guides.rs"), list)
            .expect("Cargo's folder for what a build makes can be written"),
        Err(why) => println!("cargo::error={}", why.replace('\n', " ")),
    }
}

/// The source that names every guide and the warnings.
fn list(folder: &Path) -> Result<String, String> {
    let read =
        |file: &Path| std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()));
    let at = |file: &Path, why: String| format!("{}: {why}", file.display());
    let warnings = folder.join("warnings.toml");
    let known = parse::read_warnings(&read(&warnings)?).map_err(|why| at(&warnings, why))?;
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "toml") && *file != warnings);
    files.sort();
    let path = warnings.to_string_lossy();
    let mut list = format!("const WARNINGS: &str = include_str!({path:?});\n");
    list.push_str("const FILES: &[(&str, &str)] = &[\n");
    let mut orders: Vec<u8> = Vec::new();
    for file in &files {
        let carrier = file.file_stem().unwrap_or_default().to_string_lossy();
        let guide = parse::read_guide(&carrier, &read(file)?, &known);
        let guide = guide.map_err(|why| at(file, why))?;
        if orders.contains(&guide.order) {
            return Err(at(file, format!("another guide has order = {}, too", guide.order)));
        }
        orders.push(guide.order);
        let path = file.to_string_lossy();
        writeln!(list, "    ({carrier:?}, include_str!({path:?})),").expect("a String takes all");
    }
    list.push_str("];\n");
    Ok(list)
}
