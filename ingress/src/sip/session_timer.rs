//! Session timers as the called side (RFC 4028): who refreshes, how often, when a call is dead.
//!
//! In: Session-Expires, Min-SE, Supported, Require of an INVITE or UPDATE. Out: the interval and
//! the refresher, the headers for the answer, or 422. Pure; the call's task keeps the clock.

use std::time::Duration;

use super::refusal::Refusal;

/// Who keeps a session alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresher {
    /// The caller; we only watch.
    Caller,
    /// We do.
    Us,
}

/// A session timer in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    pub(crate) interval: Duration,
    pub(crate) refresher: Refresher,
    caller_supports: bool,
}

/// What a request says about session timers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) session_expires: Option<&'a str>,
    pub(crate) min_se: Option<&'a str>,
    /// Whether Supported or Require holds `timer`.
    pub(crate) supported: bool,
}

impl SessionTimer {
    /// Follows RFC 4028 §9: `None` when the request asks for no timer.
    pub(crate) fn negotiate(asked: &Asked<'_>, min_seconds: u32) -> Result<Option<Self>, Refusal> {
        let Some(value) = asked.session_expires else { return Ok(None) };
        let mut parts = value.split(';');
        let bad = || Refusal::new(400, "session-expires").warn("Session-Expires cannot be read");
        let seconds: u32 = parts.next().unwrap_or_default().trim().parse().map_err(|_| bad())?;
        if seconds < min_seconds {
            // §9: only a caller that knows timers can do something with 422.
            if asked.supported {
                return Err(Refusal::new(422, "session interval too small")
                    .with("Min-SE", min_seconds.to_string()));
            }
        }
        let asked_min = asked.min_se.and_then(|text| text.split(';').next()?.trim().parse().ok());
        let seconds = seconds.max(min_seconds).max(asked_min.unwrap_or(0));
        let wanted = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim().to_ascii_lowercase())
        });
        // §9 table 2: without a wish the caller refreshes if it can; else only we can.
        let refresher = match wanted.as_deref() {
            Some("uas") => Refresher::Us,
            _ if asked.supported => Refresher::Caller,
            _ => Refresher::Us,
        };
        let interval = Duration::from_secs(seconds.into());
        Ok(Some(Self { interval, refresher, caller_supports: asked.supported }))
    }

    /// Headers of the answer.
    pub(crate) fn answer_headers(&self) -> Vec<(&'static str, String)> {
        let refresher = match self.refresher {
            Refresher::Caller => "uac",
            Refresher::Us => "uas",
        };
        let seconds = self.interval.as_secs();
        let mut headers = vec![("Session-Expires", format!("{seconds};refresher={refresher}"))];
        // §9: the caller must know that it is to refresh.
        if self.refresher == Refresher::Caller && self.caller_supports {
            headers.push(("Require", "timer".to_owned()));
        }
        headers
    }

    /// Headers of a refresh that we send: there we are the client.
    pub(crate) fn refresh_headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Session-Expires", format!("{};refresher=uac", self.interval.as_secs())),
            ("Supported", "timer".to_owned()),
        ]
    }

    /// When something is due after the last refresh: our refresh at half the interval (§7.2), or
    /// BYE before the caller's would have been due (§10: the smaller of 32 s and a third before).
    pub(crate) fn due_after(&self) -> Duration {
        match self.refresher {
            Refresher::Us => self.interval / 2,
            Refresher::Caller => {
                self.interval.saturating_sub(Duration::from_secs(32).min(self.interval / 3))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(session_expires: &str, supported: bool) -> Asked<'_> {
        Asked { session_expires: Some(session_expires), min_se: None, supported }
    }

    #[test]
    fn refresher_follows_the_table() {
        for (value, supported, refresher) in [
            ("1800", true, Refresher::Caller),
            ("1800;refresher=uac", true, Refresher::Caller),
            ("1800;refresher=uas", true, Refresher::Us),
            ("1800", false, Refresher::Us),
            ("1800 ; Refresher = UAS", false, Refresher::Us),
        ] {
            let timer = SessionTimer::negotiate(&asked(value, supported), 90).unwrap().unwrap();
            assert_eq!(timer.refresher, refresher, "{value} {supported}");
            assert_eq!(timer.interval.as_secs(), 1_800);
        }
        assert_eq!(SessionTimer::negotiate(&Asked::default(), 90), Ok(None));
    }

    #[test]
    fn short_intervals_are_refused_or_raised() {
        let refusal = SessionTimer::negotiate(&asked("89", true), 90).unwrap_err();
        assert_eq!(refusal.status, 422);
        assert_eq!(refusal.headers, [("Min-SE", "90".to_owned())]);
        assert!(SessionTimer::negotiate(&asked("90", true), 90).is_ok());
        let raised = SessionTimer::negotiate(&asked("10", false), 90).unwrap().unwrap();
        assert_eq!(raised.interval.as_secs(), 90);
        assert_eq!(SessionTimer::negotiate(&asked("x", true), 90).unwrap_err().status, 400);
    }

    #[test]
    fn the_answer_says_who_refreshes() {
        let timer = SessionTimer::negotiate(&asked("300", true), 90).unwrap().unwrap();
        assert_eq!(
            timer.answer_headers(),
            [("Session-Expires", "300;refresher=uac".to_owned()), ("Require", "timer".to_owned())]
        );
        assert_eq!(timer.due_after().as_secs(), 268);
        let ours = SessionTimer::negotiate(&asked("90;refresher=uas", true), 90).unwrap().unwrap();
        assert_eq!(ours.answer_headers(), [("Session-Expires", "90;refresher=uas".to_owned())]);
        assert_eq!(ours.due_after().as_secs(), 45);
    }
}
