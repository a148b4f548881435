//! SIPp as the callers: a peer that others know, beside our own.
//!
//! In: the order, the service's address, mailboxes. Out: the books as far as SIPp can tell: calls
//! created and failed; who was refused is the service's count. Each kind of caller is a SIPp of its
//! own with its scenario (`sipp.xml`); its sound is a capture that it plays.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusuden_tests::captures::{RtpPayload, write_pcap};

use crate::Order;
use crate::callers::{Books, Fate};
use crate::media::speech;
use crate::service::Service;

/// A kind of caller: its share, its header, what it does after the ACK.
struct Kind {
    name: &'static str,
    share: f64,
    headers: &'static str,
    behaviour: Behaviour,
}

#[derive(Clone, Copy)]
enum Behaviour {
    /// Waits and speaks for so many seconds, then hangs up.
    Talks(u32, u32),
    /// Speaks until the service hangs up.
    TalksOn,
    /// Speaks and is gone without a BYE.
    Vanishes(u32, u32),
}

const DIVERSION: &str = "Diversion: <sip:[service]@carrier.example>;reason=no-answer;counter=1\n";
const HISTORY: &str =
    "History-Info: <sip:[service]@carrier.example?Reason=SIP%3Bcause%3D408>;index=1\n";
const KINDS: &[Kind] = &[
    Kind { name: "plain", share: 0.2, headers: "", behaviour: Behaviour::Talks(9, 8) },
    Kind { name: "diverted", share: 0.2, headers: DIVERSION, behaviour: Behaviour::Talks(9, 12) },
    Kind { name: "history", share: 0.15, headers: HISTORY, behaviour: Behaviour::Talks(9, 20) },
    Kind { name: "early", share: 0.2, headers: DIVERSION, behaviour: Behaviour::Talks(1, 0) },
    Kind { name: "silent", share: 0.15, headers: DIVERSION, behaviour: Behaviour::Talks(10, 0) },
    Kind { name: "long", share: 0.05, headers: HISTORY, behaviour: Behaviour::TalksOn },
    Kind { name: "vanished", share: 0.05, headers: "", behaviour: Behaviour::Vanishes(9, 5) },
];
/// Longest that a call can last, and some.
const LAST_CALL_MAX: Duration = Duration::from_secs(130);

impl Behaviour {
    fn speaks(self) -> u32 {
        match self {
            Self::Talks(_, seconds) | Self::Vanishes(_, seconds) => seconds,
            Self::TalksOn => 75,
        }
    }

    /// Its part of the scenario.
    fn steps(self, series: usize, capture: &Path) -> String {
        let pause = |seconds: u32| format!("  <pause milliseconds=\"{}\"/>\n", seconds * 1_000);
        let play = format!(
            "  <nop><action><exec play_pcap_audio=\"{}\"/></action></nop>\n",
            capture.display()
        );
        match self {
            Self::Talks(wait, 0) => pause(wait) + &bye(series),
            Self::Talks(wait, seconds) => pause(wait) + &play + &pause(seconds) + &bye(series),
            Self::Vanishes(wait, seconds) => pause(wait) + &play + &pause(seconds),
            Self::TalksOn => pause(9) + &play + "  <recv request=\"BYE\"/>\n" + &ok(),
        }
    }
}

fn bye(series: usize) -> String {
    format!(
        "  <send retrans=\"500\">\n    <![CDATA[\nBYE [next_url] SIP/2.0\n\
         Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
         From: <sip:090{series}[call_number]@[local_ip]:[local_port]>;tag=[pid]t[call_number]\n\
         [last_To:]\nCall-ID: [call_id]\nCSeq: 2 BYE\nMax-Forwards: 70\nContent-Length: 0\n\n]]>\n  \
         </send>\n  <recv response=\"200\"/>\n"
    )
}

fn ok() -> String {
    "  <send>\n    <![CDATA[\nSIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n\
     [last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n]]>\n  </send>\n"
        .to_owned()
}

/// Has SIPp place the calls, and waits for the last.
pub(crate) fn run(order: &Order, service: &Service, numbers: &[String]) -> Books {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let mut running: Vec<(&Kind, usize, Child)> = Vec::new();
    for (series, kind) in KINDS.iter().enumerate() {
        let rate = order.rate * kind.share;
        let calls = (rate * order.seconds).round() as usize;
        if calls > 0 {
            let scenario = write(folder.path(), series, kind);
            let number = &numbers[series % numbers.len()];
            running.push((kind, calls, call(order, service, &scenario, number, (calls, rate))));
        }
    }
    let mut books = Books::default();
    for (kind, calls, mut sipp) in running {
        let status = sipp.wait().unwrap();
        // 1: some calls failed; how many stands in the errors that it leaves.
        let failed = failures(folder.path(), kind.name);
        println!("SIPp, {}: {calls} calls, {failed} failed ({status}).", kind.name);
        books.fates.extend(std::iter::repeat_n(Some(Fate::Unheard), failed));
        books.fates.extend(std::iter::repeat_n(Some(Fate::Answered), calls - failed.min(calls)));
    }
    let refused = service.refused().min(books.answered());
    let answered = books.fates.iter_mut().filter(|fate| **fate == Some(Fate::Answered));
    for fate in answered.take(refused) {
        *fate = Some(Fate::Refused(503));
    }
    // Callers who vanished are noticed by the service only after a while.
    service.wait_until_quiet(LAST_CALL_MAX);
    books.took = start.elapsed();
    books
}

fn write(folder: &Path, series: usize, kind: &Kind) -> PathBuf {
    let capture = folder.join(format!("{}.pcap", kind.name));
    let frames = speech();
    let payloads: Vec<_> = (0..kind.behaviour.speaks() as usize * 50)
        .map(|at| RtpPayload {
            payload_type: 0,
            ticks: 160,
            octets: frames[at % frames.len()].clone(),
        })
        .collect();
    write_pcap(&capture, &payloads);
    let text = include_str!("sipp.xml")
        .replace("{SERIES}", &series.to_string())
        .replace("{HEADERS}", kind.headers)
        .replace("{BEHAVIOUR}", &kind.behaviour.steps(series, &capture));
    let path = folder.join(format!("{}.xml", kind.name));
    std::fs::write(&path, text).unwrap();
    path
}

fn call(
    order: &Order,
    service: &Service,
    scenario: &Path,
    number: &str,
    (calls, rate): (usize, f64),
) -> Child {
    let limit = order.seconds + LAST_CALL_MAX.as_secs_f64();
    Command::new("sipp")
        .arg(service.sip.to_string())
        .arg("-sf")
        .arg(scenario)
        .args(["-s", number, "-i", "127.0.0.1", "-nostdin", "-aa"])
        .args(["-m", &calls.to_string(), "-l", &calls.to_string()])
        // So many calls in ten seconds: rates below one a second are whole numbers, too.
        .args(["-r", &((rate * 10.0).ceil() as usize).to_string(), "-rp", "10000"])
        .args(["-trace_stat", "-fd", "1", "-timeout", &format!("{limit}s")])
        .current_dir(scenario.parent().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .expect("SIPp is installed (scripts/setup test)")
}

/// Calls that failed, by the last line of SIPp's statistics.
fn failures(folder: &Path, name: &str) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
    let is_ours = |path: &PathBuf| {
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        file.starts_with(&format!("{name}_")) && path.extension().is_some_and(|end| end == "csv")
    };
    let statistics = entries.map(|entry| entry.path()).find(is_ours).expect("SIPp's statistics");
    let text = std::fs::read_to_string(statistics).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(';').collect();
    let last: Vec<&str> = lines.last().unwrap_or_default().split(';').collect();
    let at = names.iter().position(|name| *name == "FailedCall(C)").expect("SIPp counts failures");
    last.get(at).and_then(|text| text.parse().ok()).unwrap_or(0)
}
