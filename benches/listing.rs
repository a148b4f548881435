//! How long a list of messages takes over REST with a million messages in the store, and a search.
//!
//! `cargo bench -p rusuden-benches --bench listing`. The mailboxes that are listed are filled by the
//! service itself; the rest of the million are copies of their rows in other mailboxes, which
//! nobody lists: they make the tables and indexes as large as they would be.
//! `RUSUDEN_BENCH_MESSAGES` sets another number.

#![allow(clippy::print_stdout, reason = "figures are for people")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on panics")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use control_plane::{ControlPlane, PlaneConfig, PlaneDeps, Scope};
use crossbeam::queue::SegQueue;
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::handoff::{Acks, Arrival, ArrivalsIn, WorkOut};
use engine_core::id::{MailboxId, RecordingId};
use engine_core::private::Private;
use engine_core::recording::{ChunkWriter, EndReason, Opened, Sealed};
use engine_core::sound::{Frames, SoundBank, SoundError, SoundId};
use engine_core::text::{Language, LanguageChoice, Segment, Transcript, Verdict};
use engine_core::time::{RtpTicks, WallTime};
use engine_core::work::Rendered;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

const MAILBOXES: u128 = 10;
const MESSAGES_A_MAILBOX: u128 = 200;
const REQUESTS: usize = 2_000;
/// Mailboxes over which the copies are spread.
const OTHERS: u32 = 10_000;

struct NoSounds;

impl SoundBank for NoSounds {
    fn frames(&self, _: SoundId, _: Codec) -> Option<Arc<Frames>> {
        None
    }
    fn read_greeting(&self, _: &[u8]) -> Result<Bytes, SoundError> {
        Err(SoundError::Empty)
    }
    fn put(&self, _: SoundId, _: &[u8]) -> Result<(), SoundError> {
        Ok(())
    }
    fn remove(&self, _: SoundId) {}
}

/// The service, and what stands around it.
struct Bed {
    plane: ControlPlane,
    arrivals: ArrivalsIn,
    acks: Acks,
    url: String,
    key: String,
    agent: ureq::Agent,
}

impl Bed {
    async fn open(folder: &Path) -> Self {
        let (arrivals, arrivals_out) = crossbeam::channel::bounded(1_024);
        let (work_in, work) = crossbeam::channel::bounded(64);
        let acks: Acks = Arc::new(SegQueue::new());
        let deps = PlaneDeps {
            arrivals: arrivals_out,
            acks: acks.clone(),
            work: work_in,
            files: crossbeam::channel::bounded(1).0,
            sounds: Arc::new(NoSounds),
        };
        let plane = ControlPlane::open(PlaneConfig::default(), folder, deps).await.unwrap();
        plane.run_background().await.unwrap();
        answer_all(work);
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = plane.clone();
        tokio::spawn(async move { serving.serve(listener, std::future::pending()).await.unwrap() });
        let (_, key) = plane.keys().create_key("bench", &[Scope::Admin]).await.unwrap();
        let agent = ureq::Agent::new_with_defaults();
        Self { plane, arrivals, acks, url, key, agent }
    }

    fn get(&self, path: &str) -> String {
        let request = self.agent.get(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.key));
        request.call().unwrap().body_mut().read_to_string().unwrap()
    }

    fn make_mailbox(&self, at: u128) -> MailboxId {
        let request = self.agent.post(format!("{}/v1/mailboxes", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.key));
        let request = request.header("content-type", "application/json");
        let made = request.send(format!("{{\"number\": \"+8150{at:08}\"}}")).unwrap();
        let made = made.into_body().read_to_string().unwrap();
        let id = made.split("\"id\":\"").nth(1).unwrap();
        id[..36].parse().unwrap()
    }

    /// Lets messages come in until all have their text.
    fn fill(&self) -> Vec<MailboxId> {
        let mailboxes: Vec<MailboxId> = (0..MAILBOXES).map(|at| self.make_mailbox(at)).collect();
        for id in 0..MAILBOXES * MESSAGES_A_MAILBOX {
            let mailbox = mailboxes[(id % MAILBOXES) as usize];
            self.arrivals.send(arrival(id + 1, mailbox)).unwrap();
        }
        let all = (MAILBOXES * MESSAGES_A_MAILBOX) as usize;
        while self.acks.len() < all {
            std::thread::sleep(Duration::from_millis(10));
        }
        for mailbox in &mailboxes {
            let oldest = format!("/v1/mailboxes/{mailbox}/messages?limit=200");
            while self.get(&oldest).matches("\"transcribed\"").count() < 200 {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        mailboxes
    }

    fn measure(&self, name: &str, paths: impl Fn(usize) -> String) {
        let mut took: Vec<Duration> = (0..REQUESTS)
            .map(|at| {
                let path = paths(at);
                let start = Instant::now();
                self.get(&path);
                start.elapsed()
            })
            .collect();
        took.sort_unstable();
        let ms = |part: usize| took[(REQUESTS - 1) * part / 1_000].as_secs_f64() * 1e3;
        println!(
            "{name:<44} p50 {:7.2} ms   p99 {:7.2} ms   max {:7.2} ms",
            ms(500),
            ms(990),
            ms(1_000)
        );
    }
}

/// An engine that writes 60 characters for every recording.
fn answer_all(work: WorkOut) {
    std::thread::spawn(move || {
        for (at, work) in work.into_iter().enumerate() {
            let segment = Segment {
                start_ms: 100,
                end_ms: 4_900,
                text: Private::new(format!(
                    "お世話になっております。さくら商事の田中です。明日の会議は十時からになりました。\
                     折り返しお電話ください。番号は{at}です。"
                )),
                confidence: 0.9,
            };
            let transcript = Transcript {
                language: "ja".to_owned(),
                verdict: Verdict::Speech,
                segments: vec![segment],
                model: "bench".to_owned(),
            };
            let mp3 = Bytes::from_static(b"mp3");
            (work.done)(Ok(Rendered { transcript, mp3, duration_ms: 5_000 }));
        }
    });
}

fn arrival(id: u128, mailbox: MailboxId) -> Arrival {
    let recording = RecordingId::from_u128(id);
    let opened = Opened {
        recording,
        mailbox,
        caller: Caller::Number(Private::new("+819012345678".to_owned())),
        codec: Codec::Pcmu,
        language: LanguageChoice::Fixed(Language::Japanese),
        answered_at: WallTime::from_unix_millis(1_795_359_814_006),
    };
    let mut writer = ChunkWriter::new(recording, 64 * 1_024);
    writer.open(&opened);
    let sealed = Sealed {
        recording,
        reason: EndReason::HungUp,
        ended_at: WallTime::from_unix_millis(1_795_359_845_006 + id as i64),
        frames: 0,
        duration: RtpTicks(40_000),
        call_ms: 31_000,
        lost: 0,
    };
    writer.seal(&sealed);
    let sound = writer.finish(0).unwrap();
    Arrival { opened, sealed, sound }
}

/// Copies the rows into other mailboxes until there are so many.
async fn copy_rows(folder: &Path, messages: u128) {
    let copies = messages / (MAILBOXES * MESSAGES_A_MAILBOX) - 1;
    let options = SqliteConnectOptions::new().filename(folder.join("rusuden.db"));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info('messages')")
        .fetch_all(&pool)
        .await
        .unwrap();
    let taken: Vec<&str> = columns
        .iter()
        .map(|column| match column.as_str() {
            "id" => "printf('%08x-0000-7000-8000-%012x', n, m.rowid)",
            "mailbox" => "printf('ffffffff-0000-7000-8000-%012x', (n * 7919 + m.rowid) % $1)",
            "received_at" => "m.received_at + n * 60000",
            other => other,
        })
        .collect();
    let sql = format!(
        "WITH RECURSIVE seq(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < $2) \
         INSERT INTO messages ({}) SELECT {} FROM seq CROSS JOIN (SELECT rowid, * FROM messages) m",
        columns.join(", "),
        taken.join(", ")
    );
    let insert = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(OTHERS).bind(copies as i64);
    insert.execute(&pool).await.unwrap();
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM messages").fetch_one(&pool).await.unwrap();
    println!("{count} messages in the store");
    pool.close().await;
}

fn main() {
    let messages = std::env::var("RUSUDEN_BENCH_MESSAGES").ok();
    let messages = messages.and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bed = runtime.block_on(Bed::open(folder.path()));
    let mailboxes = bed.fill();
    runtime.block_on(copy_rows(folder.path(), messages));
    let of = |at: usize| mailboxes[at % mailboxes.len()];
    let cursors: Vec<String> = mailboxes
        .iter()
        .map(|mailbox| {
            let page = bed.get(&format!("/v1/mailboxes/{mailbox}/messages?limit=100"));
            page.split("\"next\":\"").nth(1).unwrap()[..48].to_owned()
        })
        .collect();
    bed.measure("nothing: GET /healthz", |_| "/healthz".to_owned());
    bed.measure("list, newest 50", |at| format!("/v1/mailboxes/{}/messages", of(at)));
    bed.measure("list, 50 from the middle", |at| {
        let cursor = &cursors[at % cursors.len()];
        format!("/v1/mailboxes/{}/messages?cursor={cursor}", of(at))
    });
    bed.measure("list, newest 50 unread", |at| {
        format!("/v1/mailboxes/{}/messages?read=false", of(at))
    });
    bed.measure("search that reads 200 and finds 1", |at| {
        let number = at % 2_000;
        format!("/v1/mailboxes/{}/messages?q=%E3%81%AF{number}%E3%81%A7%E3%81%99", of(at))
    });
    runtime.block_on(bed.plane.shutdown(Duration::from_secs(10)));
}
