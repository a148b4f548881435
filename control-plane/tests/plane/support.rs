//! A centre under test: a control plane on a free port, its queues, an engine that does as told.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use control_plane::{ControlPlane, EdgeConfig, PlaneConfig, PlaneDeps, Rate, Scope};
use crossbeam::channel::{Receiver, Sender};
use crossbeam::queue::SegQueue;
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::handoff::{Acks, Arrival, ArrivalsIn, FilesIn, FilesOut, WorkOut};
use engine_core::id::{MailboxId, RecordingId};
use engine_core::private::Private;
use engine_core::recording::{ChunkWriter, EndReason, Opened, Sealed};
use engine_core::sound::{Frames, SoundBank, SoundError, SoundId};
use engine_core::text::{Language, LanguageChoice, Segment, Transcript, Verdict};
use engine_core::time::{RtpTicks, WallTime};
use engine_core::work::{Rendered, Work};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Client;
pub(crate) use crate::client::read;

/// Longest wait for anything: far beyond what a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Keeps sounds as they are given; a file must begin with `RIFF`.
#[derive(Default)]
pub(crate) struct Bank {
    pub(crate) sounds: Mutex<HashMap<SoundId, Vec<u8>>>,
    /// Asked once before a greeting is read: tells that it is, and waits for the word.
    pub(crate) gate: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl SoundBank for Bank {
    fn frames(&self, _: SoundId, _: Codec) -> Option<Arc<Frames>> {
        None
    }
    fn read_greeting(&self, file: &[u8]) -> Result<Bytes, SoundError> {
        if let Some((here, go)) = self.gate.lock().unwrap().take() {
            here.send(()).unwrap();
            go.recv().unwrap();
        }
        if file.is_empty() {
            return Err(SoundError::Empty);
        }
        if !file.starts_with(b"RIFF") {
            return Err(SoundError::Unreadable { why: "no RIFF".to_owned() });
        }
        Ok(Bytes::copy_from_slice(file))
    }
    fn put(&self, sound: SoundId, wav: &[u8]) -> Result<(), SoundError> {
        self.sounds.lock().unwrap().insert(sound, wav.to_vec());
        Ok(())
    }
    fn remove(&self, sound: SoundId) {
        self.sounds.lock().unwrap().remove(&sound);
    }
}

/// A control plane that serves, and everything around it.
pub(crate) struct Centre {
    pub(crate) plane: ControlPlane,
    pub(crate) arrivals: ArrivalsIn,
    pub(crate) acks: Acks,
    pub(crate) work: WorkOut,
    pub(crate) files: FilesOut,
    files_in: FilesIn,
    pub(crate) bank: Arc<Bank>,
    /// Who asks with a key that may do everything.
    pub(crate) operator: Client,
    pub(crate) key: String,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Deref for Centre {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.operator
    }
}

/// The service's ends of its queues, as `server` would hold them.
pub(crate) struct Ends {
    pub(crate) arrivals: ArrivalsIn,
    pub(crate) acks: Acks,
    pub(crate) work: WorkOut,
    pub(crate) files: FilesOut,
    pub(crate) files_in: FilesIn,
    pub(crate) bank: Arc<Bank>,
}

/// Opens a control plane with queues of its own.
pub(crate) async fn open_plane(folder: &Path, config: PlaneConfig) -> (ControlPlane, Ends) {
    let (arrivals, arrivals_out) = crossbeam::channel::bounded(1_024);
    let (work_in, work) = crossbeam::channel::bounded(64);
    let (files_in, files) = crossbeam::channel::bounded(2);
    let acks: Acks = Arc::new(SegQueue::new());
    let bank = Arc::new(Bank::default());
    let deps = PlaneDeps {
        arrivals: arrivals_out,
        acks: acks.clone(),
        work: work_in,
        files: files_in.clone(),
        sounds: bank.clone(),
    };
    let plane = ControlPlane::open(config, folder, deps).await.unwrap();
    (plane, Ends { arrivals, acks, work, files, files_in, bank })
}

impl Centre {
    /// Opens and serves a data folder; without workers nothing moves on by itself.
    pub(crate) async fn open(folder: &Path, config: PlaneConfig) -> Self {
        let (plane, ends) = open_plane(folder, config).await;
        let Ends { arrivals, acks, work, files, files_in, bank } = ends;
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = plane.clone();
        let serving = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            served.serve(listener, stopped).await.unwrap();
        });
        let (_, key) = plane.keys().create_key("all", &[Scope::Admin]).await.unwrap();
        // Fails when another test of this process was first: then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let operator = Client::new(url).with(&key);
        let stop = Some(stop);
        Self { plane, arrivals, acks, work, files, files_in, bank, operator, key, stop, serving }
    }

    /// A fresh one with its workers running and an engine that answers everything.
    pub(crate) async fn running() -> (TempDir, Self) {
        let folder = tempfile::tempdir().unwrap();
        let centre = Self::open(folder.path(), PlaneConfig::default()).await;
        centre.plane.run_background().await.unwrap();
        centre.answer_all();
        (folder, centre)
    }

    /// Lets the engine write 「明日の会議は十時からです。」 for every recording.
    pub(crate) fn answer_all(&self) {
        let work = self.work.clone();
        std::thread::spawn(move || {
            for work in work {
                (work.done)(Ok(rendered()));
            }
        });
    }

    /// The queue of files, to fill it.
    pub(crate) fn plane_files(&self) -> &FilesIn {
        &self.files_in
    }

    /// Ends serving and the workers.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.serving.await.unwrap();
        assert!(self.plane.shutdown(PATIENCE).await, "it drains in time");
    }

    /// Makes a mailbox and gives its id.
    pub(crate) async fn mailbox(&self, number: &str, addresses: &[&str]) -> MailboxId {
        let body = serde_json::json!({"number": number, "addresses": addresses});
        let (status, mailbox) = self.json("POST", "/v1/mailboxes", body).await;
        assert_eq!(status, 201, "{mailbox}");
        mailbox["id"].as_str().unwrap().parse().unwrap()
    }

    /// Lets a recording arrive and waits until it is acknowledged.
    pub(crate) async fn arrive(&self, arrival: &Arrival) {
        self.arrivals.send(arrival.clone()).unwrap();
        let id = arrival.opened.recording;
        until("the acknowledgement", || self.acks.pop().filter(|acked| *acked == id)).await;
    }

    /// Waits until a message has come to this state.
    pub(crate) async fn reach(&self, message: RecordingId, state: &str) -> Value {
        self.wait_for(message, |row| row["state"] == state).await
    }

    /// Waits until a message is as wanted.
    pub(crate) async fn wait_for(
        &self,
        message: RecordingId,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (_, row) = self.get(&format!("/v1/messages/{message}")).await;
            if wanted(&row) {
                return row;
            }
            assert!(tokio::time::Instant::now() < deadline, "the message stays {row}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The engine takes its next piece of work.
    pub(crate) async fn next_work(&self) -> Work {
        until("work for the engine", || self.work.try_recv().ok()).await
    }
}

/// A service that counts no requests: a refusal must come from the route itself.
pub(crate) fn uncounted() -> PlaneConfig {
    let none = Rate { per_minute: 0, burst: 0 };
    let edge = EdgeConfig { key: none, token: none, address: none };
    PlaneConfig { edge, ..PlaneConfig::default() }
}

/// The time as the service sees it.
pub(crate) fn now() -> WallTime {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    WallTime::from_unix_millis(since.as_millis() as i64)
}

/// Waits for something that comes from another thread.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Payloads of a recording: 250 packets of 20 ms.
pub(crate) fn payloads() -> Vec<Vec<u8>> {
    (0..250_u32).map(|n| (0..160).map(|i| (n * 7 + i) as u8).collect()).collect()
}

/// A sealed recording of 5 s in a call of 31 s.
pub(crate) fn arrival(id: u128, mailbox: MailboxId, caller: Caller) -> Arrival {
    let recording = RecordingId::from_u128(id);
    let opened = Opened {
        recording,
        mailbox,
        caller,
        codec: Codec::Pcmu,
        language: LanguageChoice::Fixed(Language::Japanese),
        answered_at: WallTime::from_unix_millis(1_795_359_814_006),
    };
    let mut writer = ChunkWriter::new(recording, 64 * 1_024);
    writer.open(&opened);
    let mut sound = Vec::new();
    for (n, payload) in payloads().iter().enumerate() {
        writer.frame(RtpTicks(n as u64 * 160), n == 0, payload);
        if n % 50 == 49 {
            sound.extend_from_slice(&writer.finish(0).unwrap());
        }
    }
    let sealed = Sealed {
        recording,
        reason: EndReason::HungUp,
        ended_at: WallTime::from_unix_millis(1_795_359_845_006 + id as i64),
        frames: 250,
        duration: RtpTicks(40_000),
        call_ms: 31_000,
        lost: 2,
    };
    writer.seal(&sealed);
    sound.extend_from_slice(&writer.finish(0).unwrap());
    Arrival { opened, sealed, sound: sound.into() }
}

pub(crate) fn number(text: &str) -> Caller {
    Caller::Number(Private::new(text.to_owned()))
}

/// Stands in for an MP3.
pub(crate) fn mp3() -> Vec<u8> {
    (0..20_000_u32).map(|i| (i % 251) as u8).collect()
}

/// What the engine makes of any recording.
pub(crate) fn rendered() -> Rendered {
    let segment = |start_ms, end_ms, text: &str| Segment {
        start_ms,
        end_ms,
        text: Private::new(text.to_owned()),
        confidence: 0.9,
    };
    let transcript = Transcript {
        language: "ja".to_owned(),
        verdict: Verdict::Speech,
        segments: vec![
            segment(100, 2_400, "明日の会議は"),
            segment(2_500, 4_900, "十時からです。"),
        ],
        model: "test".to_owned(),
    };
    Rendered { transcript, mp3: mp3().into(), duration_ms: 5_000 }
}
