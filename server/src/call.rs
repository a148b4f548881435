//! `rusuden call`: a test caller. Places a real SIP call, speaks a sound file with real RTP
//! pacing, and reports what was sent, what was lost on either way and what was heard.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use engine_core::codec::Codec;
use engine_core::recording::Frame;
use engine_core::time::RtpTicks;
use engine_media::codec::{FrameDecoder, encode_frames};
use engine_media::resample::resample_all;
use engine_media::{files, sounds};
use ingress::caller::{CallOptions, CallReport, EndedBy, Heard, Talk, place_call};

use crate::cli::CallArguments;
use crate::log;

/// Longest sound that a caller speaks.
const SOUND_MAX: Duration = Duration::from_mins(3);
/// Rate of our own sounds.
const SAMPLE_RATE_HZ: u32 = 16_000;

/// A call to place.
pub(crate) struct Wanted {
    /// Whom to call.
    pub(crate) target: String,
    /// The caller's number.
    pub(crate) from: String,
    /// Whose missed call it is, if forwarded.
    pub(crate) forwarded_from: Option<String>,
    /// What to say, mono 16 kHz.
    pub(crate) sound: Vec<f32>,
    /// How it is coded.
    pub(crate) codec: Codec,
    /// When to speak after the answer; `None`: once the far end is quiet.
    pub(crate) wait: Option<Duration>,
}

/// Reads a sound file to mono 16 kHz samples.
pub(crate) fn read_sound(file: Vec<u8>) -> anyhow::Result<Vec<f32>> {
    Ok(files::read_sound(Bytes::from(file), SOUND_MAX)?)
}

/// Places the call and waits for its end.
pub(crate) async fn place(wanted: &Wanted) -> anyhow::Result<CallReport> {
    let local = local_address(&wanted.target)?;
    let payloads = encode_frames(&wanted.sound, wanted.codec)?;
    let mut options = CallOptions::new(&wanted.target, local, wanted.codec, payloads);
    let host = SocketAddr::new(local, 0).to_string();
    let host = host.trim_end_matches(":0");
    options.from = format!("sip:{}@{host}", wanted.from);
    if let Some(number) = &wanted.forwarded_from {
        let value = format!("<sip:{number}@{host}>;reason=no-answer;counter=1");
        options.headers.push(("Diversion".to_owned(), value));
    }
    if let Some(wait) = wanted.wait {
        options.talk = Talk::After(wait);
    }
    options.stay = Duration::from_millis(200);
    Ok(place_call(options).await?)
}

/// Our address towards the target: what the system would send from.
fn local_address(target: &str) -> anyhow::Result<IpAddr> {
    let host = target
        .trim_start_matches("sip:")
        .rsplit('@')
        .next()
        .and_then(|rest| rest.split([';', '?']).next())
        .unwrap_or_default();
    let peer: SocketAddr = host
        .parse()
        .or_else(|_| format!("{host}:5060").parse())
        .with_context(|| format!("{target:?} needs an address, such as sip:050…@192.0.2.1:5060"))?;
    let any: SocketAddr = if peer.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let probe = UdpSocket::bind(any)?;
    probe.connect(peer).with_context(|| format!("{peer} cannot be reached from this machine"))?;
    Ok(probe.local_addr()?.ip())
}

/// An error unless the call was answered.
pub(crate) fn explain(report: &CallReport) -> anyhow::Result<()> {
    match report.ended_by {
        EndedBy::Refused => {
            let status = report.status();
            let hint = match status {
                403 => ": the far end does not know this address as a trunk",
                404 => ": nobody has this number there; POST /v1/mailboxes makes a mailbox",
                488 => ": it does not take this codec",
                503 => ": it is full or stopping; call again later",
                _ => "",
            };
            anyhow::bail!("the call was refused with {status}{hint}")
        }
        EndedBy::Cancelled => {
            anyhow::bail!("nobody answered and the call was cancelled; check address and port")
        }
        EndedBy::Us | EndedBy::Them => Ok(()),
    }
}

/// What was heard, as mono 16 kHz samples.
fn heard_samples(heard: &Heard, codec: Codec) -> anyhow::Result<Vec<f32>> {
    let mut decoder = FrameDecoder::new(codec)?;
    let mut samples = Vec::new();
    let first = heard.kept.first().map_or(0, |packet| packet.timestamp);
    let mut end = RtpTicks(0);
    for packet in &heard.kept {
        let ticks = RtpTicks(u64::from(packet.timestamp.wrapping_sub(first)));
        let length = codec.payload_ticks(&packet.payload).unwrap_or(codec.ticks_per_20ms());
        let payload = packet.payload.clone();
        decoder.frame(&Frame { ticks, after_silence: true, payload }, &mut samples);
        end = end.max(RtpTicks(ticks.0 + u64::from(length)));
    }
    decoder.finish(end, &mut samples);
    Ok(resample_all(&samples, FrameDecoder::rate_of(codec), SAMPLE_RATE_HZ)?)
}

/// `rusuden call`.
pub(crate) fn run(arguments: &CallArguments) -> anyhow::Result<()> {
    log::start("warn");
    let file = std::fs::read(&arguments.audio)
        .with_context(|| format!("{} cannot be read", arguments.audio.display()))?;
    let sound = read_sound(file).with_context(|| arguments.audio.display().to_string())?;
    let codec = arguments.codec.into();
    let wait = arguments.wait.map(Duration::try_from_secs_f64).transpose();
    let wanted = Wanted {
        target: arguments.target.clone(),
        from: arguments.from.clone(),
        forwarded_from: arguments.forwarded_from.clone(),
        sound,
        codec,
        wait: wait.context("--wait must be a number of seconds from 0 up")?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(place(&wanted))?;
    if let Some(path) = &arguments.heard {
        let samples = heard_samples(&report.heard, codec)?;
        std::fs::write(path, sounds::wav(&samples))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    print(&report, arguments.json);
    explain(&report)
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn print(report: &CallReport, as_json: bool) {
    let answered_ms = report.answered_after.map(|after| after.as_millis() as u64);
    let lost_there = report.reports.last().map(|last| last.total_lost);
    if as_json {
        let value = serde_json::json!({
            "statuses": report.statuses,
            "answered_ms": answered_ms,
            "lasted_ms": report.lasted.as_millis() as u64,
            "packets_sent": report.packets_sent,
            "pace_error_max_us": report.pace_error_max.as_micros() as u64,
            "lost_at_far_end": lost_there,
            "packets_heard": report.heard.packets,
            "lost": report.heard.lost,
            "out_of_order": report.heard.out_of_order,
            "duplicated": report.heard.duplicated,
            "ended_by": format!("{:?}", report.ended_by).to_lowercase(),
        });
        println!("{value}");
        return;
    }
    println!("answers:  {:?}", report.statuses);
    if let Some(ms) = answered_ms {
        println!("answered after {ms} ms, lasted {:.1} s", report.lasted.as_secs_f64());
    }
    let there = lost_there.map_or("no report from the far end".to_owned(), |lost| {
        format!("{lost} lost at the far end")
    });
    println!("sent:     {} packets, {there}", report.packets_sent);
    println!(
        "heard:    {} packets, {} lost, {} out of order, {} twice",
        report.heard.packets, report.heard.lost, report.heard.out_of_order, report.heard.duplicated
    );
    println!("ended by: {:?}", report.ended_by);
}
