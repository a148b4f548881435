//! Peers of other makers that tests talk to, each a process: npm packages run by Node.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::PATIENCE;

/// A process that prints what happens to it, a line of JSON each; ended when dropped.
pub(crate) struct Peer {
    lines: Lines<BufReader<ChildStdout>>,
    stdin: ChildStdin,
    _process: Child,
}

impl Peer {
    /// Starts a script of `tests/peers`; the first thing it prints comes along.
    pub(crate) async fn start(script: &str) -> (Self, Value) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
        let is_there = folder.join("node_modules").is_dir();
        assert!(is_there, "these tests need Node and its packages: run `scripts/setup test`");
        let mut process = Command::new("node")
            .arg(folder.join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("these tests need Node: run `scripts/setup test`");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let stdin = process.stdin.take().unwrap();
        let mut peer = Self { lines, stdin, _process: process };
        let first = peer.next().await;
        (peer, first)
    }

    /// What happened next.
    pub(crate) async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.expect("the peer saw nothing").unwrap().expect("the peer ended");
        serde_json::from_str(&line).unwrap()
    }

    /// What happened next under this name, whatever came before it.
    pub(crate) async fn next_event(&mut self, event: &str) -> Value {
        loop {
            let seen = self.next().await;
            if seen["event"] == event {
                return seen;
            }
        }
    }

    /// Tells the peer something.
    pub(crate) async fn tell(&mut self, line: &str) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.stdin.flush().await.unwrap();
    }
}
