//! The path of an alignment to pieces of text with their times.
//!
//! In: the steps that CTranslate2's dynamic time warping took (token, encoder frame), tokens, their
//! probabilities. Out: pieces that are whole characters, each with its place in the window. Pure.

use engine_core::private::Private;
use engine_core::words::Piece;

/// An encoder frame lasts so long.
const FRAME_MS: u32 = 20;

/// When each of `count` tokens begins, and at the end when the last one is over, in milliseconds.
pub(super) fn token_times(steps: impl Iterator<Item = (i64, i64)>, count: usize) -> Vec<u32> {
    let mut times: Vec<Option<u32>> = vec![None; count + 1];
    let mut last = 0;
    for (token, frame) in steps {
        let ms = u32::try_from(frame).unwrap_or(0).saturating_mul(FRAME_MS);
        last = last.max(ms);
        let slot = usize::try_from(token).ok().and_then(|token| times.get_mut(token));
        if let Some(slot @ None) = slot {
            *slot = Some(ms);
        }
    }
    let mut reached = 0;
    let mut times: Vec<u32> = times
        .into_iter()
        .map(|time| {
            reached = time.unwrap_or(reached).max(reached);
            reached
        })
        .collect();
    if count > 0 && times[count] == 0 {
        times[count] = last;
    }
    times
}

/// Tokens brought together until they are whole characters. `times` has one entry more than
/// `tokens`.
pub(super) fn pieces(
    tokens: &[u32],
    times: &[u32],
    probabilities: &[f32],
    decode: impl Fn(&[u32]) -> String,
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for to in 1..=tokens.len() {
        let text = decode(&tokens[from..to]);
        // A token may end within a character.
        if text.contains(char::REPLACEMENT_CHARACTER) && to < tokens.len() {
            continue;
        }
        let known = probabilities.get(from..to).unwrap_or_default();
        pieces.push(Piece {
            start_ms: times[from],
            end_ms: times[to],
            text: Private::new(text),
            probability: known.iter().sum::<f32>() / (to - from) as f32,
        });
        from = to;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_begins_at_its_first_frame() {
        let steps = [(0, 0), (0, 1), (1, 2), (1, 3), (2, 3), (3, 9), (3, 10)];
        assert_eq!(token_times(steps.into_iter(), 3), [0, 40, 60, 180]);
        // Steps that were left out, or point nowhere, take no time.
        assert_eq!(token_times([(0, 1), (2, 4), (9, 9), (-1, 2)].into_iter(), 2), [20, 20, 80]);
        assert_eq!(token_times(std::iter::empty(), 1), [0, 0]);
    }

    #[test]
    fn tokens_within_a_character_are_brought_together() {
        let bytes = "「あ".as_bytes();
        let decode = |ids: &[u32]| {
            let bytes: Vec<u8> = ids.iter().map(|id| bytes[*id as usize]).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let ids = [0, 1, 2, 3, 4, 5];
        let times = [0, 10, 20, 30, 40, 50, 60];
        let pieces = pieces(&ids, &times, &[0.25, 0.5, 0.75, 1.0, 1.0, 1.0], decode);
        let shown: Vec<_> = pieces
            .iter()
            .map(|p| (p.start_ms, p.end_ms, p.text.reveal().as_str(), p.probability))
            .collect();
        assert_eq!(shown, [(0, 30, "「", 0.5), (30, 60, "あ", 1.0)]);
    }
}
