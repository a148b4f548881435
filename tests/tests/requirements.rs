//! Holds `control-plane/REQUIREMENTS.md` against the tree: every id of the product has a row, every
//! row names a test that exists and cites the id, and what is open is said so and counted.
//!
//! A test cites an id in its name (`s53_…`) or in its doc comment or body (`S53`, `S53–S55`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rusuden_tests::{repository, sources};

/// Ids that the reference never gave out.
const UNASSIGNED: [u8; 2] = [31, 63];
/// Last id.
const LAST: u8 = 72;
/// Rows under "Open", at most: lower it whenever one is closed; it must never grow.
const OPEN_MAX: usize = 1;

/// What the document says.
#[derive(Debug, Default)]
struct Document {
    /// Ids with their requirement in a few words.
    stated: BTreeSet<u8>,
    /// Id, test, endpoint or file, line.
    tested: Vec<(u8, String, String, usize)>,
    /// Id and why it is open.
    open: Vec<(u8, String)>,
}

/// Reads the tables. `## What is asked` holds `| id | requirement |`; `## Open` holds
/// `| id | reason |`; every other section holds `| id | test | endpoint or file |`.
fn read(text: &str) -> Result<Document, String> {
    let mut document = Document::default();
    let mut section = "";
    for (at, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.trim();
        }
        if !line.starts_with("| S") {
            continue;
        }
        let fault = |what: &str| format!("line {}: {what}: {line}", at + 1);
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        if cells.iter().any(|cell| cell.is_empty()) {
            return Err(fault("an empty cell"));
        }
        let ids = ids_in(cells[0]);
        if ids.is_empty() {
            return Err(fault("no id"));
        }
        for id in ids {
            match (section, cells.as_slice()) {
                ("What is asked", [_, _]) => drop(document.stated.insert(id)),
                ("Open", [_, why]) => document.open.push((id, (*why).to_owned())),
                ("What is asked" | "Open", _) => return Err(fault("two cells are wanted")),
                (_, [_, test, place]) => {
                    let test = test.trim_matches('`').to_owned();
                    document.tested.push((id, test, (*place).to_owned(), at + 1));
                }
                _ => return Err(fault("three cells are wanted: id, test, endpoint or file")),
            }
        }
    }
    Ok(document)
}

/// Ids that a text cites: `S05`, `S22–S23`, `S22-23`, and `s05_` in names.
fn ids_in(text: &str) -> BTreeSet<u8> {
    let mut found = BTreeSet::new();
    let letters: Vec<char> = text.chars().collect();
    let digit = |at: usize| letters.get(at).and_then(|c| c.to_digit(10)).map(|d| d as u8);
    let two = |at: usize| match (digit(at), digit(at + 1), digit(at + 2)) {
        (Some(tens), Some(ones), None) => Some(tens * 10 + ones),
        _ => None,
    };
    let letter_at = |at: usize| letters.get(at).is_some_and(|c| c.is_alphanumeric());
    for (at, letter) in letters.iter().enumerate() {
        let begins = at == 0 || !letters[at - 1].is_alphanumeric();
        if !begins || !matches!(letter, 'S' | 's') || letter_at(at + 3) {
            continue;
        }
        let Some(first) = two(at + 1) else { continue };
        let range = letters.get(at + 3).is_some_and(|c| matches!(c, '–' | '-'));
        let behind = at + 4 + usize::from(letters.get(at + 4) == Some(&'S'));
        let last = if range { two(behind).unwrap_or(first) } else { first };
        found.extend(first..=last.max(first));
    }
    found
}

/// Every test function's name with the ids that it cites; of several with one name, all ids.
fn tests_in(text: &str, found: &mut BTreeMap<String, BTreeSet<u8>>) {
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let code = code.strip_prefix("async ").unwrap_or(code);
        let Some(rest) = code.strip_prefix("fn ") else { continue };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let is_head = |line: &&&str| {
            let line = line.trim_start();
            line.starts_with("///") || line.starts_with("//") || line.starts_with("#[")
        };
        let head: Vec<&str> = lines[..at].iter().rev().take_while(is_head).copied().collect();
        let is_test = head.iter().any(|line| {
            let line = line.trim_start();
            line.starts_with("#[test]") || line.starts_with("#[tokio::test")
        });
        if !is_test {
            continue;
        }
        let end = format!("{}}}", " ".repeat(line.len() - line.trim_start().len()));
        let body = lines[at..].iter().take_while(|line| ***line != *end);
        let whole: Vec<&str> = head.into_iter().chain(body.copied()).collect();
        found.entry(name).or_default().extend(ids_in(&whole.join("\n").replace('_', " ")));
    }
}

fn all_tests() -> BTreeMap<String, BTreeSet<u8>> {
    let mut files = Vec::new();
    sources(&repository(), &mut files);
    let mut tests = BTreeMap::new();
    for file in files {
        tests_in(&fs::read_to_string(file).unwrap(), &mut tests);
    }
    tests
}

fn document() -> Document {
    let path = repository().join("control-plane").join("REQUIREMENTS.md");
    read(&fs::read_to_string(path).unwrap()).unwrap()
}

fn asked() -> impl Iterator<Item = u8> {
    (1..=LAST).filter(|id| !UNASSIGNED.contains(id))
}

#[test]
fn every_requirement_is_stated_and_is_tested_or_open() {
    let document = document();
    let stated: BTreeSet<u8> = asked().collect();
    assert_eq!(document.stated, stated, "\"What is asked\" must list every id once");
    let tested: BTreeSet<u8> = document.tested.iter().map(|row| row.0).collect();
    let open: BTreeSet<u8> = document.open.iter().map(|row| row.0).collect();
    let missing: Vec<u8> =
        asked().filter(|id| !tested.contains(id) && !open.contains(id)).collect();
    assert!(missing.is_empty(), "neither tested nor open: {missing:?}");
    let both: Vec<&u8> = tested.intersection(&open).collect();
    assert!(both.is_empty(), "tested, so take the row out of \"Open\": {both:?}");
    let count = document.open.len();
    assert!(count <= OPEN_MAX, "{count} rows are open; at most {OPEN_MAX} may be");
}

#[test]
fn every_row_names_a_test_that_exists_and_cites_the_id() {
    let tests = all_tests();
    let mut broken = Vec::new();
    for (id, test, place, line) in document().tested {
        match tests.get(&test) {
            None => broken.push(format!("line {line}: there is no test {test}")),
            Some(cited) if !cited.contains(&id) => {
                broken.push(format!("line {line}: {test} ({place}) does not cite S{id:02}"));
            }
            Some(_) => {}
        }
    }
    let remedy = "Name the exact fn; cite the id in its name, doc comment or body.";
    assert!(broken.is_empty(), "{}\n{remedy}", broken.join("\n"));
}

#[test]
fn citations_are_read_with_their_ranges() {
    let ids = |text| ids_in(text).into_iter().collect::<Vec<_>>();
    assert_eq!(ids("S05"), [5]);
    assert_eq!(ids("S22–S23, S53-55"), [22, 23, 53, 54, 55]);
    assert_eq!(ids("s05 each started unit"), [5]);
    assert!(ids("S5 S123 xS05 MS05 S05a s16le").is_empty());
    assert_eq!(ids("(S40–S46)."), [40, 41, 42, 43, 44, 45, 46]);
}

#[test]
fn a_row_that_is_not_as_agreed_is_refused() {
    let row = |section: &str, row: &str| read(&format!("## {section}\n{row}\n"));
    assert!(row("Money", "| S05 | a_test | file |").is_ok());
    assert!(row("Money", "| S05 | a_test |").is_err());
    assert!(row("Money", "| S05 |  | file |").is_err());
    assert!(row("Open", "| S05 | why | more |").is_err());
    assert!(row("Money", "| SX | a_test | file |").is_err());
    let read = row("Money", "| S22–S23 | `a_test` | file |").unwrap();
    assert_eq!(read.tested.iter().map(|row| row.0).collect::<Vec<_>>(), [22, 23]);
}

#[test]
fn only_what_runs_as_a_test_counts() {
    let mut found = BTreeMap::new();
    let text = "/// S01\n#[test]\nfn one() {\n    two();\n}\n/// S02\nfn two() {}\n\n\
                #[tokio::test(flavor = \"x\")]\nasync fn s03_three() {\n    // S04\n}\n// S05\n";
    tests_in(text, &mut found);
    let ids = |name: &str| found.get(name).map(|ids| ids.iter().copied().collect::<Vec<_>>());
    assert_eq!(ids("one"), Some(vec![1]));
    assert_eq!(ids("two"), None);
    assert_eq!(ids("s03_three"), Some(vec![3, 4]));
}
