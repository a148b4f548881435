//! Refusals of the subscriber's side: sessions, set-ups, and what comes too often.

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use engine_core::time::WallTime;
use tracing::error;

use super::problem::{Kind, Problem};
use crate::clock;
use crate::sessions::SessionError;
use crate::setup::OutOfOrder;
use crate::subscriber::DeviceNameError;

impl Problem {
    pub(crate) fn no_session() -> Self {
        let detail = "send the header Authorization: Bearer rst_… with the token that the set-up \
                      gave; begin a set-up with POST /v1/setup";
        Self::new(Kind::NoSession, detail).with_header(WWW_AUTHENTICATE, "Bearer realm=\"rusuden\"")
    }

    pub(crate) fn wrong_session() -> Self {
        let detail = "the session is malformed, unknown or signed out; set the app up again";
        let challenge = "Bearer realm=\"rusuden\", error=\"invalid_token\"";
        Self::new(Kind::WrongSession, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    pub(crate) fn no_setup() -> Self {
        let detail = "send the header Authorization: Bearer rsu_… with the token that \
                      POST /v1/setup gave";
        Self::new(Kind::NoSetup, detail).with_header(WWW_AUTHENTICATE, "Bearer realm=\"rusuden\"")
    }

    pub(crate) fn wrong_setup() -> Self {
        let detail = "the set-up is malformed, unknown or over; begin anew with POST /v1/setup";
        let challenge = "Bearer realm=\"rusuden\", error=\"invalid_token\"";
        Self::new(Kind::WrongSetup, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// Says when to come again, in whole seconds (RFC 9110 §10.2.3).
    pub(crate) fn too_many(free: WallTime, now: WallTime) -> Self {
        let wait_s = clock::until(now, free).as_millis().div_ceil(1_000).max(1);
        let detail = format!("this comes too often; try again in {wait_s} s");
        Self::new(Kind::TooManyRequests, detail)
            .in_japanese(format!("回数が多すぎます。{wait_s}秒後に、もう一度お試しください。"))
            .with_header(RETRY_AFTER, &wait_s.to_string())
    }

    pub(crate) fn no_chance() -> Self {
        error!("The system gave no random bytes.");
        Self::unavailable("the service has no random numbers now; try again in a few seconds")
    }
}

impl From<OutOfOrder> for Problem {
    fn from(error: OutOfOrder) -> Self {
        Self::of(Kind::WrongStep, &error)
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Name(error) => error.into(),
            SessionError::Random { .. } => Self::no_chance(),
            SessionError::Store(error) => error.into(),
        }
    }
}

impl From<DeviceNameError> for Problem {
    fn from(error: DeviceNameError) -> Self {
        Self::of(Kind::InvalidField, &error).about("name")
    }
}
