//! What a message centre's answers and receipts mean (SMPP 3.4). Pure: protocol units in, outcomes
//! and receipts out.

use rusmpp::CommandStatus;
use rusmpp::pdus::DeliverSm;
use rusmpp::tlvs::TlvValue;
use rusmpp::values::MessageState;
use rusmppc::error::Error;

use super::receipt::{self, Receipt};
use crate::limits::SMPP_THROTTLED_REST;
use crate::outbox::Outcome;

/// What becomes of an SMS after an error.
pub(super) fn judge(error: &Error) -> Outcome {
    match error {
        Error::UnexpectedResponse { response } => judge_status(response.status()),
        // The connection may have broken with the answer on its way.
        Error::ResponseTimeout { .. } | Error::ConnectionClosed | Error::Io(_) => {
            Outcome::Unknown("the message centre did not answer".to_owned())
        }
        other => Outcome::Transient(other.to_string()),
    }
}

/// §5.1.3.
fn judge_status(status: CommandStatus) -> Outcome {
    let code = u32::from(status);
    let why = format!("the message centre answered 0x{code:08x}");
    match code {
        // ESME_RMSGQFUL, ESME_RTHROTTLED
        0x14 | 0x58 => Outcome::Busy { why, rest: SMPP_THROTTLED_REST },
        // Message length; the destination's address, number, type, plan; data coding: what was sent
        // can never be right.
        0x01 | 0x0b | 0x33 | 0x50 | 0x51 | 0x104 => Outcome::Permanent(why),
        _ => Outcome::Transient(why),
    }
}

/// A receipt's id and state stand in parameters (§5.3.2.12, §5.3.2.35) or in its text.
pub(super) fn read_receipt(told: &DeliverSm) -> Option<Receipt> {
    // §5.2.12: bits 5 to 2 tell what the message is; 0001 is a receipt.
    if u8::from(told.esm_class) & 0x3c != 0x04 {
        return None;
    }
    let text = String::from_utf8_lossy(told.short_message().as_ref()).into_owned();
    let mut receipt = receipt::read(&text);
    for tlv in told.tlvs() {
        match tlv.value() {
            Some(TlvValue::ReceiptedMessageId(id)) => {
                let state = receipt.as_ref().map_or("unknown", |receipt| receipt.state);
                receipt = Some(Receipt { reference: id.as_str().to_owned(), state });
            }
            Some(TlvValue::MessageState(state)) => {
                if let Some(receipt) = &mut receipt {
                    receipt.state = state_name(*state);
                }
            }
            _ => {}
        }
    }
    receipt
}

const fn state_name(state: MessageState) -> &'static str {
    match state {
        MessageState::Enroute | MessageState::Scheduled => "en_route",
        MessageState::Delivered => "delivered",
        MessageState::Expired => "expired",
        MessageState::Deleted => "deleted",
        MessageState::Undeliverable => "undeliverable",
        MessageState::Accepted => "accepted",
        MessageState::Rejected => "rejected",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_a_centre_are_told_apart() {
        let judge = |code: u32| judge_status(CommandStatus::from(code));
        assert!(matches!(judge(0x58), Outcome::Busy { .. }), "throttled");
        assert!(matches!(judge(0x14), Outcome::Busy { .. }), "queue full");
        assert!(matches!(judge(0x0b), Outcome::Permanent(_)), "wrong number");
        assert!(matches!(judge(0x08), Outcome::Transient(_)), "system error");
    }
}
