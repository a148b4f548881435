//! The set-up of a subscriber's app (S32–S46) as a pure core: which step may follow which, and
//! what is asked next. It knows no HTTP, no rows and no clock; the shell looks things up, asks
//! here whether the step may be taken, and acts.
//!
//! ```text
//! entry ──serial──► terms ──accept──► device ──number, name──► code ──right──► forwarding ─► done
//!       └─restore─────────────────────►                        ▲──┘ resend
//! ```

/// How far a set-up has come: what is asked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Serial or restore (S34–S35).
    Entry,
    /// The terms of service (S29).
    Terms,
    /// Own number and device name (S37). From here on the 050 number is shown (S36).
    Device,
    /// The code of the SMS (S38).
    Code,
    /// Registered (S39); the 050 number is to be set as the forwarding target (S40).
    Forwarding,
    /// A forwarded call arrived.
    Done,
}

/// A way into the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A serial number that was not redeemed yet (S34–S35).
    Serial,
    /// A contract that is active: another device, or a new phone.
    Restore,
    /// The in-app purchase, which is another seller's (S18–S20).
    Purchase,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A contract was found; whether it is active already.
    Found {
        /// Its serial was redeemed and the terms were accepted.
        is_active: bool,
    },
    /// The terms were accepted and the contract is active.
    AcceptedTerms,
    /// Own number and device name were given, and a code was asked for.
    NamedDevice,
    /// The right code was entered.
    RightCode,
    /// A forwarded call arrived.
    ForwardedCall,
}

/// A step taken out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this does not follow here; the set-up asks for {}", asked.name())]
#[non_exhaustive]
pub struct OutOfOrder {
    /// What is asked for.
    pub asked: Step,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 6] =
        [Self::Entry, Self::Terms, Self::Device, Self::Code, Self::Forwarding, Self::Done];

    /// Stable name for APIs and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Terms => "terms",
            Self::Device => "device",
            Self::Code => "code",
            Self::Forwarding => "forwarding",
            Self::Done => "done",
        }
    }

    /// Reads [`Step::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }

    /// Whether the contract's 050 number may be shown (S36).
    pub const fn shows_number(self) -> bool {
        !matches!(self, Self::Entry | Self::Terms)
    }

    /// Whether the device is registered (S39).
    pub const fn is_registered(self) -> bool {
        matches!(self, Self::Forwarding | Self::Done)
    }

    /// The entries that are offered: who has a carrier's contract is never offered a purchase
    /// (S18–S20), and who is registered needs no entry.
    pub const fn entries(self) -> &'static [Entry] {
        match self {
            Self::Entry => &[Entry::Serial, Entry::Restore, Entry::Purchase],
            Self::Terms | Self::Device | Self::Code => &[Entry::Serial, Entry::Restore],
            Self::Forwarding | Self::Done => &[],
        }
    }

    /// The step behind `input`. Repeating what was done is no error: an answer may have been
    /// lost on its way (S39).
    pub const fn follow(self, input: Input) -> Result<Self, OutOfOrder> {
        let next = match (self, input) {
            // Until the device is registered, another serial may be entered: people mistype.
            (Self::Entry | Self::Terms | Self::Device | Self::Code, Input::Found { is_active }) => {
                if is_active {
                    Self::Device
                } else {
                    Self::Terms
                }
            }
            (Self::Terms | Self::Device, Input::AcceptedTerms) => Self::Device,
            (Self::Device | Self::Code, Input::NamedDevice)
            | (Self::Code, Input::AcceptedTerms) => Self::Code,
            (Self::Code | Self::Forwarding, Input::RightCode) => Self::Forwarding,
            (Self::Forwarding | Self::Done, Input::ForwardedCall)
            | (Self::Done, Input::RightCode) => Self::Done,
            _ => return Err(OutOfOrder { asked: self }),
        };
        Ok(next)
    }
}

impl Entry {
    /// Stable name for APIs; also the last part of its path.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Restore => "restore",
            Self::Purchase => "purchase",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INPUTS: [Input; 6] = [
        Input::Found { is_active: false },
        Input::Found { is_active: true },
        Input::AcceptedTerms,
        Input::NamedDevice,
        Input::RightCode,
        Input::ForwardedCall,
    ];

    #[test]
    fn s32_s46_the_steps_follow_each_other_from_start_to_done() {
        let path = [
            (Input::Found { is_active: false }, Step::Terms),
            (Input::AcceptedTerms, Step::Device),
            (Input::NamedDevice, Step::Code),
            (Input::RightCode, Step::Forwarding),
            (Input::ForwardedCall, Step::Done),
        ];
        let mut step = Step::Entry;
        for (input, wanted) in path {
            step = step.follow(input).unwrap();
            assert_eq!(step, wanted);
        }
    }

    #[test]
    fn s35_an_active_contract_is_restored_without_terms() {
        let restored = Step::Entry.follow(Input::Found { is_active: true });
        assert_eq!(restored, Ok(Step::Device));
    }

    #[test]
    fn s29_nothing_comes_before_the_terms() {
        for input in [Input::NamedDevice, Input::RightCode, Input::ForwardedCall] {
            assert_eq!(Step::Terms.follow(input), Err(OutOfOrder { asked: Step::Terms }));
        }
        assert!(!Step::Terms.shows_number() && Step::Device.shows_number());
    }

    #[test]
    fn s18_s20_no_purchase_is_offered_once_a_contract_is_known() {
        assert!(Step::Entry.entries().contains(&Entry::Purchase));
        for step in &Step::ALL[1..] {
            assert!(!step.entries().contains(&Entry::Purchase), "{step:?}");
        }
    }

    #[test]
    fn s39_repeating_the_last_input_stays_where_it_is() {
        for step in Step::ALL {
            for input in INPUTS {
                let Ok(next) = step.follow(input) else { continue };
                assert_eq!(next.follow(input), Ok(next), "{step:?} {input:?}");
            }
        }
    }

    #[test]
    fn names_read_back() {
        for step in Step::ALL {
            assert_eq!(Step::from_name(step.name()), Some(step));
        }
        assert_eq!(Step::from_name("?"), None);
    }

    proptest! {
        /// Whatever order things happen in: nobody is registered without a contract whose terms
        /// were accepted, a named device and the right code, and nobody falls out again.
        #[test]
        fn nobody_is_registered_without_every_proof(
            inputs in proptest::collection::vec(0_usize..6, 0..40),
        ) {
            let (mut step, mut active, mut named, mut proven) = (Step::Entry, false, false, false);
            for input in inputs.into_iter().map(|at| INPUTS[at]) {
                let Ok(next) = step.follow(input) else { continue };
                match input {
                    Input::Found { is_active } => (active, named) = (is_active, false),
                    Input::AcceptedTerms => active = true,
                    Input::NamedDevice => named = true,
                    Input::RightCode => proven = true,
                    Input::ForwardedCall => {}
                }
                prop_assert!(!step.is_registered() || next.is_registered());
                step = next;
                prop_assert_eq!(step.is_registered(), proven);
                prop_assert!(!step.is_registered() || (active && named));
                prop_assert!(step.shows_number() == active);
            }
        }
    }
}
