//! Who called: a number, or the reason why there is none.
//!
//! Japanese networks say the reason in the From display name with
//! `<sip:anonymous@anonymous.invalid>`: Anonymous = 非通知, Coin line/payphone = 公衆電話,
//! Unavailable / Interaction with other service = 表示圏外. Such a caller is shown by its reason,
//! never as a number (product.md, decisions).

use crate::private::Private;

/// The calling party as the subscriber may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A number: E.164 (`+81…`) where it could be read as one, else as the network gave it.
    Number(Private<String>),
    /// 非通知: the caller withheld the number.
    Withheld,
    /// 公衆電話: a payphone.
    Payphone,
    /// 表示圏外: the network could not bring the number here.
    Unavailable,
}

impl Caller {
    /// Stable name for APIs and files: `number`, `withheld`, `payphone`, `unavailable`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::Withheld => "withheld",
            Self::Payphone => "payphone",
            Self::Unavailable => "unavailable",
        }
    }

    /// The number, if there is one.
    pub fn number(&self) -> Option<&str> {
        match self {
            Self::Number(number) => Some(number.reveal()),
            _ => None,
        }
    }

    /// Reads back what [`Caller::kind`] and [`Caller::number`] gave.
    pub fn from_parts(kind: &str, number: Option<&str>) -> Option<Self> {
        match (kind, number) {
            ("number", Some(number)) => Some(Self::Number(Private::new(number.to_owned()))),
            ("withheld", _) => Some(Self::Withheld),
            ("payphone", _) => Some(Self::Payphone),
            ("unavailable", _) => Some(Self::Unavailable),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back() {
        for caller in [
            Caller::Number(Private::new("+819012345678".to_owned())),
            Caller::Withheld,
            Caller::Payphone,
            Caller::Unavailable,
        ] {
            assert_eq!(Caller::from_parts(caller.kind(), caller.number()), Some(caller));
        }
        assert_eq!(Caller::from_parts("number", None), None);
    }
}
