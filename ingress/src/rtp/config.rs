//! What an operator may set of the RTP side, checked before anything starts.
//!
//! In: values from the configuration. Out: the same values, or a sentence that names the key and
//! the remedy. Knows nothing of where the values came from.

use std::fmt::Display;
use std::time::Duration;

use engine_core::journal::JournalConfig;
use engine_core::limits::COMMIT_INTERVAL_MAX;

use crate::limits::{COMMIT_GATHER, SHARDS_MAX};

/// How shards receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiveBy {
    /// By the first of `steered`, `uring` and `epoll` that a probe at start finds to work, saying
    /// why.
    #[default]
    Auto,
    /// All ports out of one socket a shard, by an eBPF program at the socket look-up (Linux 5.9 or
    /// newer, `CAP_BPF` and `CAP_NET_ADMIN`), or do not start.
    Steered,
    /// `io_uring` multishot (Linux 6.1 or newer), or do not start.
    Uring,
    /// epoll: anywhere, at a higher cost per packet.
    Epoll,
}

/// How the journal's files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilesBy {
    /// By `uring` where it can be had, else by `threads`, saying why.
    #[default]
    Auto,
    /// `io_uring`, or do not start.
    Uring,
    /// Threads beside the shard: anywhere.
    Threads,
}

/// Configuration of the RTP side and its journal.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RtpConfig {
    /// Threads that receive; each has its sockets, its ring and its journal.
    pub shards: u16,
    /// First port of the range; even. RTP takes the even ports, RTCP the odd ones above.
    pub port_first: u16,
    /// Last port of the range; odd.
    pub port_last: u16,
    /// Most calls at once, over all shards.
    pub calls_max: usize,
    /// Longest time that sound waits in memory before it is synced to disk.
    pub commit_interval_ms: u64,
    /// A journal file is closed once it is this long.
    pub segment_bytes_max: u64,
    /// Most bytes that may wait for the disk; beyond it new calls get 503.
    pub backlog_bytes_max: u64,
    /// Most RTP packets a second, over all shards; beyond it new calls get 503. 0: no bound.
    pub packets_per_second_max: u64,
    /// Most durable recordings that may wait to be taken; beyond it new calls get 503. 0: no
    /// bound.
    pub sealed_waiting_max: u64,
    /// Receive buffer asked of the kernel for each RTP socket.
    pub receive_buffer_bytes: usize,
    /// Processors that shards are pinned to, in turn; empty: not pinned.
    pub cpus: Vec<usize>,
    /// Whether shards run in real time where that is permitted and a processor is left for others.
    pub realtime: bool,
    /// Receive buffer asked of the kernel for each shard's socket where ports are steered to it.
    pub shard_buffer_bytes: usize,
    /// How shards receive: `auto`, `steered`, `uring` or `epoll`.
    pub receive: ReceiveBy,
    /// How the journal's files are written: `auto`, `uring` or `threads`.
    pub files: FilesBy,
}

impl Default for RtpConfig {
    fn default() -> Self {
        Self {
            shards: 1,
            port_first: 20_000,
            port_last: 29_999,
            calls_max: 2_000,
            commit_interval_ms: 500,
            segment_bytes_max: 64 << 20,
            backlog_bytes_max: 64 << 20,
            packets_per_second_max: 0,
            sealed_waiting_max: 10_000,
            receive_buffer_bytes: 64 << 10,
            shard_buffer_bytes: 64 << 20,
            cpus: Vec::new(),
            realtime: true,
            receive: ReceiveBy::Auto,
            files: FilesBy::Auto,
        }
    }
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value} cannot be used: {remedy}")]
pub struct ConfigError {
    /// The key within the RTP section.
    pub key: &'static str,
    /// What was given.
    pub value: String,
    /// What to do.
    pub remedy: String,
}

fn wrong(key: &'static str, value: impl Display, remedy: impl Into<String>) -> ConfigError {
    ConfigError { key, value: value.to_string(), remedy: remedy.into() }
}

impl RtpConfig {
    /// Port pairs in the range.
    pub fn pairs(&self) -> usize {
        (usize::from(self.port_last) + 1).saturating_sub(usize::from(self.port_first)) / 2
    }

    /// Longest time that sound waits in memory.
    pub fn commit_interval(&self) -> Duration {
        Duration::from_millis(self.commit_interval_ms)
    }

    /// Limits of each shard's journal. The calls' chunks come in one burst per commit interval;
    /// the journal itself only waits for the burst to be over.
    pub fn journal(&self) -> JournalConfig {
        JournalConfig {
            segment_bytes_max: self.segment_bytes_max,
            commit_interval: COMMIT_GATHER,
            backlog_bytes_max: self.backlog_bytes_max / u64::from(self.shards.max(1)),
        }
    }

    /// Checks all values.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.shards == 0 || self.shards > SHARDS_MAX {
            return Err(wrong("shards", self.shards, format!("set 1 to {SHARDS_MAX}")));
        }
        if self.port_first < 1_024 || !self.port_first.is_multiple_of(2) {
            return Err(wrong("port_first", self.port_first, "set an even port from 1024 up"));
        }
        if self.port_last.is_multiple_of(2) || self.port_last < self.port_first {
            return Err(wrong("port_last", self.port_last, "set an odd port above port_first"));
        }
        if self.calls_max == 0 {
            return Err(wrong("calls_max", 0, "set at least 1"));
        }
        if self.pairs() < self.calls_max || self.pairs() < usize::from(self.shards) {
            let remedy = format!(
                "the range {}-{} has {} port pairs, and each call takes one: widen it or lower \
                 calls_max",
                self.port_first,
                self.port_last,
                self.pairs()
            );
            return Err(wrong("calls_max", self.calls_max, remedy));
        }
        let longest = COMMIT_INTERVAL_MAX.as_millis() as u64;
        if !(50..=longest).contains(&self.commit_interval_ms) {
            let remedy = format!("set 50 to {longest}: a crash loses what was not synced");
            return Err(wrong("commit_interval_ms", self.commit_interval_ms, remedy));
        }
        if self.segment_bytes_max < 1 << 20 {
            let remedy = "set at least 1048576 (1 MiB)";
            return Err(wrong("segment_bytes_max", self.segment_bytes_max, remedy));
        }
        if self.backlog_bytes_max < 1 << 20 {
            let remedy = "set at least 1048576 (1 MiB)";
            return Err(wrong("backlog_bytes_max", self.backlog_bytes_max, remedy));
        }
        if self.receive_buffer_bytes < 4_096 {
            let remedy = "set at least 4096";
            return Err(wrong("receive_buffer_bytes", self.receive_buffer_bytes, remedy));
        }
        if !(64 << 10..=1 << 30).contains(&self.shard_buffer_bytes) {
            let remedy = "set 65536 (64 KiB) to 1073741824 (1 GiB)";
            return Err(wrong("shard_buffer_bytes", self.shard_buffer_bytes, remedy));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(change: impl FnOnce(&mut RtpConfig)) -> Option<&'static str> {
        let mut config = RtpConfig::default();
        change(&mut config);
        config.check().err().map(|error| error.key)
    }

    #[test]
    fn the_default_is_good() {
        assert_eq!(RtpConfig::default().check(), Ok(()));
    }

    #[test]
    fn each_limit_holds_at_the_limit_and_not_one_past_it() {
        assert_eq!(key_of(|c| c.shards = 0), Some("shards"));
        assert_eq!(key_of(|c| c.shards = SHARDS_MAX), None);
        assert_eq!(key_of(|c| c.shards = SHARDS_MAX + 1), Some("shards"));
        assert_eq!(key_of(|c| c.port_first = 20_001), Some("port_first"));
        assert_eq!(key_of(|c| c.port_last = 30_000), Some("port_last"));
        assert_eq!(key_of(|c| c.calls_max = 5_000), None);
        assert_eq!(key_of(|c| c.calls_max = 5_001), Some("calls_max"));
        assert_eq!(key_of(|c| c.commit_interval_ms = 1_000), None);
        assert_eq!(key_of(|c| c.commit_interval_ms = 1_001), Some("commit_interval_ms"));
        assert_eq!(key_of(|c| c.commit_interval_ms = 49), Some("commit_interval_ms"));
        assert_eq!(key_of(|c| c.segment_bytes_max = (1 << 20) - 1), Some("segment_bytes_max"));
        assert_eq!(key_of(|c| c.backlog_bytes_max = 0), Some("backlog_bytes_max"));
        assert_eq!(key_of(|c| c.receive_buffer_bytes = 1), Some("receive_buffer_bytes"));
        assert_eq!(key_of(|c| c.shard_buffer_bytes = 1 << 30), None);
        assert_eq!(key_of(|c| c.shard_buffer_bytes = 1 + (1 << 30)), Some("shard_buffer_bytes"));
    }

    #[test]
    fn ways_are_named_in_small_letters() {
        let of = |text: &str| toml::from_str::<RtpConfig>(text);
        let config = of("receive = \"epoll\"\nfiles = \"threads\"").unwrap();
        assert_eq!((config.receive, config.files), (ReceiveBy::Epoll, FilesBy::Threads));
        assert_eq!(of("receive = \"uring\"").unwrap().receive, ReceiveBy::Uring);
        assert!(of("receive = \"Magic\"").is_err());
    }

    #[test]
    fn the_error_names_key_value_and_remedy() {
        let config = RtpConfig { commit_interval_ms: 2_000, ..RtpConfig::default() };
        let text = config.check().unwrap_err().to_string();
        assert!(text.starts_with("commit_interval_ms = 2000 cannot be used: set 50 to 1000"));
    }
}
