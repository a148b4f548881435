//! Five hundred SIPp calls at fifty a second, in four codecs: every recording holds, octet for
//! octet, what was sent.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use engine_core::codec::Codec;
use rusuden_tests::captures::{RtpPayload, write_pcap};
use rusuden_tests::program;
use rusuden_tests::service::{Service, scenario};
use rusuden_tests::sounds;
use serde_json::json;
use sha2::{Digest as _, Sha256};

const CALLS_A_CODEC: usize = 125;
const FRAMES: usize = 200;

struct Stream {
    codec: Codec,
    payload_type: u8,
    rtpmap: &'static str,
    /// Silence before speaking, so that a greeting and the beep have passed.
    quiet_ms: u32,
}

const STREAMS: [Stream; 4] = [
    Stream { codec: Codec::Pcmu, payload_type: 0, rtpmap: "PCMU/8000", quiet_ms: 0 },
    Stream { codec: Codec::Pcma, payload_type: 8, rtpmap: "PCMA/8000", quiet_ms: 0 },
    Stream { codec: Codec::G722, payload_type: 9, rtpmap: "G722/8000", quiet_ms: 1_500 },
    Stream { codec: Codec::Opus, payload_type: 111, rtpmap: "opus/48000/2", quiet_ms: 1_500 },
];

fn payloads(stream: &Stream) -> Vec<RtpPayload> {
    let (wav, _) = sounds::message("late");
    let file = bytes::Bytes::from(std::fs::read(wav).unwrap());
    let sound = engine_media::files::read_sound(file, Duration::from_secs(30)).unwrap();
    let frames = engine_media::codec::encode_frames(&sound, stream.codec).unwrap();
    frames
        .into_iter()
        .take(FRAMES)
        .map(|frame| RtpPayload {
            payload_type: stream.payload_type,
            ticks: stream.codec.ticks_per_20ms(),
            octets: frame.to_vec(),
        })
        .collect()
}

fn write_scenario(folder: &Path, series: usize, stream: &Stream, pcap: &Path) -> PathBuf {
    let text = std::fs::read_to_string(scenario("caller.xml"))
        .unwrap()
        .replace("{SERIES}", &series.to_string())
        .replace("{PAYLOAD_TYPE}", &stream.payload_type.to_string())
        .replace("{RTPMAP}", stream.rtpmap)
        .replace("{PCAP}", pcap.to_str().unwrap())
        .replace("{QUIET_MS}", &stream.quiet_ms.to_string())
        .replace("{TALK_MS}", &(FRAMES * 20 + 300).to_string());
    let path = folder.join(format!("{series}.xml"));
    std::fs::write(&path, text).unwrap();
    path
}

fn start_sipp(service: &Service, scenario: &Path, number: &str, series: usize) -> Child {
    let ports = 40_000 + series * 4_000; // SIPp takes four a call
    program("sipp")
        .arg(service.sip_udp.to_string())
        .arg("-sf")
        .arg(scenario)
        .args(["-s", number, "-i", "127.0.0.1", "-nostdin"])
        .args(["-m", &CALLS_A_CODEC.to_string(), "-r", "25", "-rp", "2000"])
        .args(["-mp", &ports.to_string()])
        .args(["-trace_err", "-timeout", "120s", "-timeout_error"])
        .current_dir(scenario.parent().unwrap())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn five_hundred_calls_are_recorded_octet_for_octet() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let folder = tempfile::tempdir().unwrap();
    let mut running = Vec::new();
    for (series, stream) in STREAMS.iter().enumerate() {
        let number = format!("0501234000{series}");
        let beep = stream.quiet_ms > 0;
        let mailbox = service.make_mailbox(&number, &json!({ "greeting": "none", "beep": beep }));
        let payloads = payloads(stream);
        let pcap = folder.path().join(format!("{series}.pcap"));
        write_pcap(&pcap, &payloads);
        let scenario = write_scenario(folder.path(), series, stream, &pcap);
        let sipp = start_sipp(&service, &scenario, &number, series);
        let mut hash = Sha256::new();
        for payload in &payloads {
            hash.update(&payload.octets);
        }
        let hash = hex::encode(hash.finalize());
        running.push((mailbox, sipp, hash));
    }
    for (_, sipp, _) in &mut running {
        let status = sipp.wait().unwrap();
        assert!(status.success(), "SIPp ended with {status}: some call failed");
    }
    for (stream, (mailbox, _, hash)) in STREAMS.iter().zip(&running) {
        let messages = service.wait_for_messages(mailbox, CALLS_A_CODEC, |message| {
            message["payload_sha256"].is_string()
        });
        assert_eq!(messages.len(), CALLS_A_CODEC, "{:?}", stream.codec);
        let wrong: Vec<_> = messages.iter().filter(|m| m["payload_sha256"] != **hash).collect();
        let (codec, count) = (stream.codec, wrong.len());
        assert!(wrong.is_empty(), "{codec:?}: {count} differ from what was sent: {}", wrong[0]);
    }
    service.stop();
}
