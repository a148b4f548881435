//! Keys that the caller presses, from telephone-events (RFC 4733).
//!
//! In: payloads of the negotiated type, in order. Out: each key once, at its start. Knows nothing
//! of what a key means.

/// Finds key presses.
#[derive(Debug, Default)]
pub struct Keys {
    last: Option<Event>,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    code: u8,
    timestamp: u32,
    duration: u16,
    ended: bool,
}

impl Keys {
    /// The key that starts with this packet, if one does. Updates, the three copies of the end
    /// and the parts of a very long press are the same key (RFC 4733 §2.5.1.3–2.5.1.4), told
    /// apart by their timestamp; so neither a lost start nor a lost end matters.
    pub fn press(&mut self, timestamp: u32, marker: bool, payload: &[u8]) -> Option<char> {
        let &[code, flags, high, low, ..] = payload else { return None };
        let event = Event {
            code,
            timestamp,
            duration: u16::from_be_bytes([high, low]),
            ended: flags & END != 0,
        };
        let known = self.last.is_some_and(|last| last.goes_on_as(event, marker));
        self.last = Some(event);
        if known { None } else { KEYS.get(usize::from(code)).map(|&key| char::from(key)) }
    }
}

impl Event {
    fn goes_on_as(self, next: Self, marker: bool) -> bool {
        if self.code != next.code {
            return false;
        }
        // A press longer than the duration field can say goes on in a further segment.
        let segment = !marker
            && !self.ended
            && self.duration >= SEGMENT_MIN
            && next.timestamp == self.timestamp.wrapping_add(u32::from(self.duration));
        next.timestamp == self.timestamp || segment
    }
}

const END: u8 = 0x80;
/// Events 0–15 (RFC 4733 §3.2, table 3).
const KEYS: &[u8; 16] = b"0123456789*#ABCD";
/// Segments end when the duration is about to overflow.
const SEGMENT_MIN: u16 = 0x8000;

#[cfg(test)]
mod tests {
    use super::*;

    /// (timestamp, marker, code, end, duration)
    type Part = (u32, bool, u8, bool, u16);

    fn heard(parts: &[Part]) -> String {
        let mut keys = Keys::default();
        parts
            .iter()
            .filter_map(|&(timestamp, marker, code, end, duration)| {
                let [high, low] = duration.to_be_bytes();
                keys.press(timestamp, marker, &[code, if end { 0x8a } else { 10 }, high, low])
            })
            .collect()
    }

    #[test]
    fn one_press_with_updates_and_three_ends_is_one_key() {
        assert_eq!(
            heard(&[
                (800, true, 11, false, 160),
                (800, false, 11, false, 320),
                (800, false, 11, true, 480),
                (800, false, 11, true, 480),
                (800, false, 11, true, 480),
            ]),
            "#"
        );
    }

    #[test]
    fn lost_start_and_lost_end_make_no_difference() {
        assert_eq!(
            heard(&[
                (0, false, 1, false, 320),
                (4_000, false, 1, true, 480),
                (9_000, true, 10, false, 160)
            ]),
            "11*"
        );
    }

    #[test]
    fn very_long_press_in_segments_is_one_key() {
        assert_eq!(
            heard(&[
                (0, true, 5, false, 160),
                (0, false, 5, false, 0xffff),
                (0xffff, false, 5, false, 160),
                (0xffff, false, 5, true, 320),
                (0xffff + 320, true, 5, false, 160),
            ]),
            "55"
        );
    }

    #[test]
    fn events_that_are_no_keys_and_short_payloads_are_silent() {
        assert_eq!(heard(&[(0, true, 16, false, 160), (10, true, 255, false, 160)]), "");
        assert_eq!(Keys::default().press(0, true, &[1, 2, 3]), None);
    }
}
