//! Who uses the subscriber's API: a signed-in device of a contract, and how its owner wants to be
//! told. Pure: names and choices in, checked values out.

use std::fmt;
use std::str::FromStr;

use engine_core::id::{IdError, MailboxId};
use engine_core::time::WallTime;

use crate::limits::DEVICE_NAME_CHARS_MAX;
use crate::quiet::QuietHours;

/// Id of a signed-in device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(u128);

impl DeviceId {
    /// The id with these 128 bits, most significant first.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits, most significant first.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_u128(self.0).fmt(f)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DeviceId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        // All ids are written alike.
        text.parse::<MailboxId>().map(|id| Self(id.as_u128()))
    }
}

/// A name that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device's name needs 1 to {DEVICE_NAME_CHARS_MAX} characters, none of them control ones")]
#[non_exhaustive]
pub struct DeviceNameError;

/// What a subscriber calls a device (S37), such as 「わたしのiPhone」.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceName(String);

impl DeviceName {
    /// Reads a name; blanks around it are dropped.
    pub fn read(text: &str) -> Result<Self, DeviceNameError> {
        let name = text.trim();
        let count = name.chars().take(DEVICE_NAME_CHARS_MAX + 1).count();
        if count == 0 || count > DEVICE_NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(DeviceNameError);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a device is signed in no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceEnd {
    /// The subscriber signed it out.
    SignedOut,
    /// The contract ended, and everything was deleted (S56).
    ContractEnded,
}

impl DeviceEnd {
    /// Stable name for rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::ContractEnded => "contract_ended",
        }
    }

    /// Reads [`DeviceEnd::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::SignedOut, Self::ContractEnded].into_iter().find(|end| end.name() == name)
    }
}

/// A device that is or was signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// The contract that it belongs to.
    pub contract: String,
    /// The contract's mailbox.
    pub mailbox: MailboxId,
    /// What the subscriber calls it; empty once it is signed out.
    pub name: String,
    /// When it was registered.
    pub created_at: WallTime,
    /// When it last asked for something, to the hour.
    pub seen_at: WallTime,
    /// Why it is signed in no longer.
    pub ended: Option<DeviceEnd>,
}

/// How the owner of a mailbox wants to be told of messages. Mail addresses are the mailbox's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotificationSettings {
    /// By mail, to the mailbox's addresses.
    pub mail: bool,
    /// By SMS, to the contract's line.
    pub sms: bool,
    /// By push, to every device that registered for it.
    pub push: bool,
    /// When push and SMS wait; `None`: never.
    pub quiet_hours: Option<QuietHours>,
}

impl Default for NotificationSettings {
    /// Mail and push, which nobody gets without giving an address or registering a device; no
    /// SMS, which costs; no quiet hours.
    fn default() -> Self {
        Self { mail: true, sms: false, push: true, quiet_hours: None }
    }
}

/// A change of [`NotificationSettings`]: what is `None` stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotificationChange {
    /// By mail.
    pub mail: Option<bool>,
    /// By SMS.
    pub sms: Option<bool>,
    /// By push.
    pub push: Option<bool>,
    /// When push and SMS wait.
    pub quiet_hours: Option<Option<QuietHours>>,
}

impl NotificationSettings {
    /// The settings with a change.
    #[must_use]
    pub fn with(self, change: NotificationChange) -> Self {
        Self {
            mail: change.mail.unwrap_or(self.mail),
            sms: change.sms.unwrap_or(self.sms),
            push: change.push.unwrap_or(self.push),
            quiet_hours: change.quiet_hours.unwrap_or(self.quiet_hours),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s37_a_device_name_is_1_to_50_characters() {
        for good in ["a", "わたしのiPhone", " 仕事用 ", &"電".repeat(50)] {
            assert_eq!(DeviceName::read(good).unwrap().as_str(), good.trim());
        }
        for bad in ["", "  ", "a\nb", "\u{0}", &"電".repeat(51)] {
            assert_eq!(DeviceName::read(bad), Err(DeviceNameError), "{bad:?}");
        }
    }

    #[test]
    fn ids_and_ends_read_back() {
        let id = DeviceId::from_u128(0x0198_0c2e_7b7a_7cc3_98c4_dc0c_0c07_398f);
        assert_eq!(id.to_string().parse::<DeviceId>().unwrap(), id);
        for end in [DeviceEnd::SignedOut, DeviceEnd::ContractEnded] {
            assert_eq!(DeviceEnd::from_name(end.name()), Some(end));
        }
    }
}
