//! Delivery receipts of message centres, as the appendix B of SMPP 3.4 writes them. Pure: a text
//! in; the message's id and what became of it out.

/// What became of a part of an SMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The centre's id of the part.
    pub(crate) reference: String,
    /// One of [`STATES`].
    pub(crate) state: &'static str,
}

/// Names that receipts use, and ours.
const STATES: [(&str, &str); 8] = [
    ("DELIVRD", "delivered"),
    ("ENROUTE", "en_route"),
    ("ACCEPTD", "accepted"),
    ("EXPIRED", "expired"),
    ("DELETED", "deleted"),
    ("UNDELIV", "undeliverable"),
    ("REJECTD", "rejected"),
    ("UNKNOWN", "unknown"),
];

/// Longest id that a centre may give (SMPP 3.4 §5.2.23).
const REFERENCE_BYTES_MAX: usize = 64;

/// Reads `id:… … stat:DELIVRD …`; other fields differ from centre to centre.
pub(crate) fn read(text: &str) -> Option<Receipt> {
    let field = |name: &str| {
        let at = text.find(name).filter(|&at| at == 0 || text.as_bytes()[at - 1] == b' ')?;
        text[at + name.len()..].split(' ').next().filter(|value| !value.is_empty())
    };
    let reference = field("id:").filter(|id| id.len() <= REFERENCE_BYTES_MAX)?;
    let stat = field("stat:")?;
    let known = STATES.iter().find(|(name, _)| name.eq_ignore_ascii_case(stat));
    Some(Receipt {
        reference: reference.to_owned(),
        state: known.map_or("unknown", |(_, state)| state),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_names_its_part_and_what_became_of_it() {
        let text = "id:0123abc sub:001 dlvrd:001 submit date:2611230003 done date:2611230004 \
                    stat:DELIVRD err:000 text:stat:UNDELIV";
        let receipt = read(text).unwrap();
        assert_eq!((&*receipt.reference, receipt.state), ("0123abc", "delivered"));
        assert_eq!(read("id:1 stat:undeliv").unwrap().state, "undeliverable");
        assert_eq!(read("id:1 stat:NEW").unwrap().state, "unknown");
    }

    #[test]
    fn anything_else_is_no_receipt() {
        let long = format!("id:{} stat:DELIVRD", "1".repeat(65));
        for text in ["", "hello", "id: stat:DELIVRD", "id:1", "valid:1 stat:DELIVRD", &long] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
