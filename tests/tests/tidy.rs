//! House rules that the compiler does not know: who may import whom, how long a file may be,
//! what must not stand in the tree. A failure names the file, the line and the rule.

use std::fs;
use std::path::{Path, PathBuf};

use rusuden_tests::{repository, sources};

/// Longest a source file may be before its tests.
const FILE_LINES_MAX: usize = 400;
/// Crates of ours, with the dependencies that their purpose allows (ARCHITECTURE.md).
const RULES: &[(&str, Rule)] = &[
    ("engine/core", Rule::Only(&["bytes", "crc32fast", "crossbeam", "thiserror"])),
    ("engine/media", Rule::Never(&["control-plane", "ingress", "rusuden", "sqlx", "tokio"])),
    (
        "ingress",
        Rule::Never(&["control-plane", "ct2rs", "engine-media", "opus", "rusuden", "sqlx"]),
    ),
    (
        "control-plane",
        Rule::Never(&["ct2rs", "engine-media", "ingress", "rsipstack", "rtp", "rusuden"]),
    ),
];

enum Rule {
    Only(&'static [&'static str]),
    Never(&'static [&'static str]),
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&repository(), &mut found);
    assert!(found.len() > 40, "only {} sources were found", found.len());
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
    found.into_iter().map(read).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap_or(path).display().to_string()
}

fn fail_on(broken: &[String], remedy: &str) {
    assert!(broken.is_empty(), "{}\n{remedy}", broken.join("\n"));
}

#[test]
fn crates_depend_only_on_what_their_purpose_allows() {
    let mut broken = Vec::new();
    for (folder, rule) in RULES {
        let manifest = fs::read_to_string(repository().join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for name in dependencies.keys() {
            let allowed = match rule {
                Rule::Only(names) => names.contains(&name.as_str()),
                Rule::Never(names) => !names.contains(&name.as_str()),
            };
            if !allowed {
                broken.push(format!("{folder} depends on {name}"));
            }
        }
    }
    fail_on(&broken, "The table in ARCHITECTURE.md says who may use what, and why.");
}

#[test]
fn workspace_dependencies_have_one_version() {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let mut broken = Vec::new();
    for member in members {
        let folder = member.as_str().unwrap();
        let text = fs::read_to_string(repository().join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(|table| table.as_table()) else {
                continue;
            };
            for (name, value) in table {
                if value.get("workspace").is_none() {
                    broken.push(format!("{folder}: {name} names its own version in [{section}]"));
                }
            }
        }
    }
    fail_on(&broken, "Put the version into [workspace.dependencies] of the root Cargo.toml.");
}

#[test]
fn media_crates_import_only_nouns_on_their_left() {
    let order = [
        ("engine/core/src", &["engine_media", "ingress", "control_plane"][..]),
        ("engine/media/src", &["ingress", "control_plane"]),
        ("ingress/src", &["engine_media", "control_plane"]),
        ("control-plane/src", &["engine_media", "ingress"]),
    ];
    let mut broken = Vec::new();
    for (path, text) in all_sources() {
        let name = shown(&path);
        let Some((_, forbidden)) = order.iter().find(|(folder, _)| name.starts_with(folder)) else {
            continue;
        };
        for (at, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if forbidden.iter().any(|krate| code.contains(&format!("{krate}::"))) {
                broken.push(format!("{name}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    fail_on(&broken, "Shells meet only as engine-core types, carried by queues that server makes.");
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut broken = Vec::new();
    for (path, text) in all_sources() {
        let name = shown(&path);
        if !text.starts_with("//!") {
            broken.push(format!("{name}: does not open with `//!`"));
        }
        // A module of tests alone stands in a file of its own.
        let is_test = name.contains("/tests/")
            || name.ends_with("/tests.rs")
            || name.contains("/store/conformance");
        let before_tests = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        if before_tests > FILE_LINES_MAX && !is_test {
            broken.push(format!("{name}: {before_tests} lines before its tests"));
        }
    }
    fail_on(&broken, "Split by noun; a file opens with what comes in, goes out, is not known.");
}

#[test]
fn nothing_is_left_half_done() {
    let half_done = ["todo!(", "unimplemented!(", "dbg!(", "FIXME"];
    let mut broken = Vec::new();
    for (path, text) in all_sources() {
        if path.ends_with("tests/tests/tidy.rs") {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            if half_done.iter().any(|word| line.contains(word)) {
                broken.push(format!("{}:{}: {}", shown(&path), at + 1, line.trim()));
            }
            if line.contains("#[allow(") && !line.contains("reason =") {
                broken.push(format!("{}:{}: exception without a reason", shown(&path), at + 1));
            }
        }
    }
    fail_on(&broken, "Finish it, or take it out; a lint exception has a `reason`.");
}

#[test]
fn unsafe_code_lives_in_named_modules_only() {
    let allowed: &[&str] = &[
        "ingress/src/sys/addressed.rs",
        "ingress/src/sys/memory.rs",
        "ingress/src/sys/mmsg.rs",
        "ingress/src/sys/prefetch.rs",
        "ingress/src/sys/realtime.rs",
        "ingress/src/sys/ring.rs",
        "ingress/src/sys/socket.rs",
        "ingress/src/sys/steer.rs",
    ];
    let mut broken = Vec::new();
    for (path, text) in all_sources() {
        let name = shown(&path);
        let has_unsafe = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or_default();
            code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl")
        });
        if has_unsafe && !allowed.contains(&name.as_str()) && !name.contains("/tests/") {
            broken.push(name);
        }
    }
    fail_on(&broken, "Only the modules named in this test may hold `unsafe`, each with SAFETY.");
}
