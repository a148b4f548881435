//! What a recording must hold, told from what was sent and when it arrived, and nothing else.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use engine_core::limits::RECORDING_MAX;
use engine_core::recording::{Chunk, Entry, Frame, Sealed, chunks};

use crate::caller::{AUDIO, Script};

/// A frame that must be there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) ticks: u64,
    pub(crate) payload: Bytes,
    pub(crate) arrival: u64,
}

/// What the caller's script leaves when it is recorded from `started`, and heard up to `ended`.
pub(crate) fn expected(script: &Script, started: Option<u64>, ended: u64) -> Vec<Expected> {
    let Some(started) = started else { return Vec::new() };
    let heard = |arrival: &Option<u64>| arrival.is_some_and(|at| at <= ended);
    // One packet of a new stream is an accident, two are a stream (RFC 3550 A.1).
    let mut packets = BTreeMap::<u64, u64>::new();
    for sent in script.sent.iter().filter(|sent| heard(&sent.arrival)) {
        *packets.entry(sent.stream).or_default() += 1;
    }
    let followed = |stream| stream == 0 || packets.get(&stream).is_some_and(|&n| n > 1);
    let pound = script
        .sent
        .iter()
        .position(|sent| sent.is_pound() && heard(&sent.arrival))
        .filter(|&at| script.sent[at].arrival >= Some(started));
    let limit = RECORDING_MAX.as_secs() * u64::from(script.codec.clock_hz());
    let mut frames: Vec<Expected> = Vec::new();
    let mut origin = None;
    for sent in &script.sent[..pound.unwrap_or(script.sent.len())] {
        let Some(arrival) = sent.arrival.filter(|&at| at <= ended && at >= started) else {
            continue;
        };
        if sent.packet.payload_type == AUDIO && followed(sent.stream) {
            let ticks = sent.position - *origin.get_or_insert(sent.position);
            if ticks >= limit {
                break;
            }
            frames.push(Expected { ticks, payload: sent.packet.payload.clone(), arrival });
        }
    }
    frames
}

/// The frames and the seal of a recording file.
pub(crate) fn read(file: &Bytes) -> (Vec<Frame>, Option<Sealed>) {
    let all: Vec<Chunk> = chunks(file.clone()).collect::<Result<_, _>>().expect("chunks are whole");
    assert!(all.iter().zip(0..).all(|(chunk, number)| chunk.number == number));
    let mut frames = Vec::new();
    let mut sealed = None;
    for entry in all.iter().flat_map(Chunk::entries) {
        assert!(sealed.is_none(), "nothing comes behind the seal");
        match entry.expect("entries are readable") {
            Entry::Frame(frame) => frames.push(frame),
            Entry::Sealed(seal) => sealed = Some(seal),
            Entry::Opened(_) | Entry::Digit { .. } => {}
        }
    }
    (frames, sealed)
}

/// The frames are the first of those expected; all of them if `whole`.
pub(crate) fn check_frames(frames: &[Frame], expected: &[Expected], whole: bool) {
    for (n, (frame, expected)) in frames.iter().zip(expected).enumerate() {
        let place = (n, frame.ticks.0);
        assert_eq!(place, (n, expected.ticks), "media time of frame n");
        assert_eq!(frame.payload, expected.payload, "payload of frame {n}");
    }
    assert!(frames.len() <= expected.len(), "nothing that was not sent");
    if whole {
        assert_eq!(frames.len(), expected.len(), "as many frames as were heard");
    }
}

/// What holds however mad the caller is: its own packets, each once, never one over another.
pub(crate) fn check_sanity(frames: &[Frame], script: &Script) {
    let sent: HashSet<&Bytes> = script.sent.iter().map(|sent| &sent.packet.payload).collect();
    let mut seen = HashSet::new();
    let mut end = 0;
    for frame in frames {
        assert!(sent.contains(&frame.payload), "a payload of this caller");
        assert!(seen.insert(&frame.payload), "no packet twice");
        assert!(frame.ticks.0 >= end, "no frame over another");
        end = frame.ticks.0 + u64::from(script.codec.ticks_per_20ms());
    }
    let limit = RECORDING_MAX.as_secs() * u64::from(script.codec.clock_hz());
    assert!(frames.last().is_none_or(|frame| frame.ticks.0 < limit));
}
