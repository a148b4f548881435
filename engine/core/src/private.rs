//! Values that must never reach a log: caller numbers, transcripts.

use std::fmt;

/// A value whose `Debug` prints `‹private›`; reading it takes a deliberate [`Private::reveal`].
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Private<T>(T);

impl<T> Private<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for showing it to its owner or writing it to the owner's store.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹private›")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_value() {
        assert_eq!(format!("{:?}", Private::new("09012345678")), "‹private›");
    }
}
