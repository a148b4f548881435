//! What the rules of contracts, lines, numbers, terms and bills refuse, as problem details.

use axum::http::header::RETRY_AFTER;

use super::problem::{Kind, Problem};
use crate::billing::BillingError;
use crate::contract::ContractError;
use crate::line::LineError;
use crate::numbers::NumberError;
use crate::terms::TermsError;

impl From<ContractError> for Problem {
    fn from(error: ContractError) -> Self {
        let kind = match error {
            ContractError::Email => Kind::InvalidField,
            ContractError::Unknown => Kind::NotFound,
            ContractError::Over => Kind::Gone,
            ContractError::Exists { .. } => Kind::ContractExists,
            ContractError::CarrierVoicemailActive => Kind::CarrierVoicemailActive,
            ContractError::SerialUnknown => Kind::SerialUnknown,
            ContractError::SerialRedeemed => Kind::SerialRedeemed,
            ContractError::TermsNotAccepted { .. } => Kind::TermsNotAccepted,
            ContractError::NoNumberFree => Kind::NoNumberFree,
            ContractError::KeyReused => Kind::RepeatKeyReused,
            ContractError::MailboxOfContract => Kind::MailboxOfContract,
        };
        let problem = match &error {
            // A subscriber meets it, and must know which.
            ContractError::TermsNotAccepted { current: Some(version) } => {
                let ja = format!("利用規約（第{version}版）に同意してください。");
                Self::new(kind, error.to_string()).in_japanese(ja)
            }
            _ => Self::new(kind, error.to_string()),
        };
        match kind {
            Kind::InvalidField => problem.about("email"),
            // Numbers come with the operator's next range, or out of quarantine.
            Kind::NoNumberFree => problem.with_header(RETRY_AFTER, "3600"),
            _ => problem,
        }
    }
}

impl From<LineError> for Problem {
    fn from(error: LineError) -> Self {
        Self::new(Kind::InvalidField, error.to_string()).about(error.field())
    }
}

impl From<NumberError> for Problem {
    fn from(error: NumberError) -> Self {
        Self::new(Kind::InvalidField, error.to_string()).about(error.field())
    }
}

impl From<TermsError> for Problem {
    fn from(error: TermsError) -> Self {
        Self::new(Kind::InvalidField, error.to_string()).about(error.field())
    }
}

impl From<BillingError> for Problem {
    fn from(error: BillingError) -> Self {
        let kind = match error {
            BillingError::TooEarly { .. } => Kind::MonthNotOver,
            BillingError::EarlierOpen { .. } => Kind::EarlierMonthOpen,
            BillingError::BeforeFirst { .. } => Kind::BeforeFirstMonth,
            BillingError::MonthOpen { .. } => Kind::MonthOpen,
            BillingError::UnknownContract => Kind::NotFound,
        };
        Self::new(kind, error.to_string())
    }
}
