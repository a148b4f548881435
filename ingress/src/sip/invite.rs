//! A new call, from INVITE to 200.
//!
//! In: an INVITE that passed the gate. Out: a call on the media plane and a task that leads it,
//! or a refusal. The order: read everything in the INVITE, take a place, find the mailbox,
//! reserve media, ring, answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use engine_core::call::{CallPlan, SenderStart};
use engine_core::caller::Caller;
use engine_core::directory::{DirectoryError, Mailbox};
use engine_core::event::{MessageEvent, MessageState};
use engine_core::id::RecordingId;
use engine_core::limits::{RECORDING_MAX, SILENT_LINE_MAX};
use engine_core::recording::Opened;
use engine_core::sound::{Frames, SoundBank, SoundId};
use engine_core::time::WallTime;
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver, TerminatedReason};
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Request, Uri};
use rsipstack::transaction::Transaction;
use rsipstack::transaction::transaction::{TransactionEvent, TransactionEventSender};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::call::Call;
use super::calls::{InviteKey, NoPlace, Place};
use super::counters::count;
use super::invitation::{Invitation, read};
use super::limits::{CALL_QUEUE_MAX, DIRECTORY_WAIT_MAX};
use super::refusal::Refusal;
use super::request;
use super::sdp::{Local, offer};
use super::server::Site;
use crate::media::{AdmissionError, Reservation};

/// Takes a new call or refuses it. The call itself runs in a task of its own.
pub(crate) async fn take(site: Arc<Site>, mut transaction: Transaction) {
    let place = match admit(&site, &transaction) {
        Ok(admitted) => admitted,
        Err(refusal) => {
            site.shared.counters.refuse(refusal.reason);
            request::refuse(&site, transaction, &refusal).await;
            return;
        }
    };
    let (invitation, peer, place) = place;
    let (states_sender, states) = site.dialogs.new_dialog_state_channel();
    let contact = Uri::try_from(site.contact(peer)).ok();
    let dialog =
        site.dialogs.get_or_create_server_invite(&transaction, states_sender, None, contact);
    let Ok(dialog) = dialog else {
        let refusal = Refusal::new(400, "malformed").warn("the INVITE starts no dialog");
        site.shared.counters.refuse(refusal.reason);
        request::refuse(&site, transaction, &refusal).await;
        return;
    };
    let respond = transaction.tu_sender.clone();
    let mut driver = dialog.clone();
    let cancel = site.cancel.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            outcome = driver.handle(&mut transaction) => if outcome.is_err() {
                debug!("The INVITE transaction ended with an error.");
            },
        }
    });
    tokio::spawn(async move {
        let id = dialog.id();
        Taking { site: &site, dialog, states, respond, peer }.run(invitation, place).await;
        // rsipstack keeps a dialog until told (its issue 134).
        site.dialogs.remove_dialog(&id);
    });
}

fn admit(
    site: &Site,
    transaction: &Transaction,
) -> Result<(Invitation, SocketAddr, Place), Refusal> {
    let shared = &site.shared;
    let request = &transaction.original;
    let peer = request::peer(transaction).ok_or_else(|| Refusal::new(403, "unknown peer"))?;
    let trust = shared.config.trust(peer.ip()).ok_or_else(|| Refusal::new(403, "unknown peer"))?;
    let invitation =
        read(request, &trust, &shared.config.codecs, shared.config.session_expires_min_seconds)?;
    let key = invite_key(request).ok_or_else(|| Refusal::new(400, "malformed"))?;
    let place = shared.calls.open(key).map_err(|reason| match reason {
        NoPlace::Full => Refusal::busy("full", shared.config.retry_after_seconds),
        // RFC 3261 §8.2.2.2.
        NoPlace::Merged => Refusal::new(482, "merged request"),
    })?;
    debug!(trunk = trust.name, candidates = invitation.numbers.len(), "A call came in.");
    Ok((invitation, peer, place))
}

fn invite_key(request: &Request) -> Option<InviteKey> {
    Some(InviteKey {
        call_id: request.call_id_header().ok()?.value().to_owned(),
        from_tag: request.from_header().ok()?.tag().ok()??.value().to_owned(),
        sequence: request.cseq_header().ok()?.seq().ok()?,
    })
}

/// The time on the wall.
pub(crate) fn wall_time() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A call that is being answered.
struct Taking<'a> {
    site: &'a Arc<Site>,
    dialog: InviteDialog,
    states: DialogStateReceiver,
    respond: TransactionEventSender,
    peer: SocketAddr,
}

impl Taking<'_> {
    async fn run(mut self, invitation: Invitation, mut place: Place) {
        let shared = Arc::clone(&self.site.shared);
        let (commands, inbox) = mpsc::channel(CALL_QUEUE_MAX);
        place.bind_dialog(self.dialog.id().to_string(), commands.clone());

        let mailbox = tokio::select! {
            found = find_mailbox(self.site, &invitation) => found,
            reason = ended(&mut self.states) => return self.abandoned(reason.as_ref(), None),
        };
        let mailbox = match mailbox {
            Ok(mailbox) => mailbox,
            Err(refusal) => return self.refuse(&refusal),
        };
        let local_ip = self.media_ip(&invitation);
        let reservation = match shared.media.reserve(local_ip).await {
            Ok(reservation) => reservation,
            Err(error) => return self.refuse(&self.no_media(&error)),
        };
        place.bind_media(reservation.call, commands.clone());
        let recording = RecordingId::from_u128(uuid::Uuid::now_v7().as_u128());
        let event = |state| MessageEvent {
            recording,
            mailbox: mailbox.id,
            state,
            at: wall_time(),
            recorded_ms: 0,
        };
        shared.events.emit(event(MessageState::Ringing));
        if !invitation.no_ringing && self.dialog.ringing(None, None).is_err() {
            debug!("Ringing could not be sent.");
        }
        let plan = plan(&shared.sounds, &invitation, &mailbox, recording).await;
        // A CANCEL that came meanwhile: the call was never answered.
        if let DialogState::Terminated(_, reason) = self.dialog.state() {
            shared.media.hang_up(reservation.call);
            return self.abandoned(Some(&reason), Some(event(MessageState::Abandoned)));
        }
        info!(call = %reservation.call, %recording, codec = invitation.agreed.codec.name(), "Answering a call.");
        shared.media.answer(reservation.call, plan);
        // RFC 3264 §6.1: a caller that is on hold from the start hears its greeting when it is back.
        if let Some(change) = invitation.offered.as_ref().map(|offered| offered.change)
            && !(change.sends && change.receives)
        {
            shared.media.remote(reservation.call, change);
        }
        let (local, description) = self.describe(&invitation, &reservation);
        let headers = answer_headers(&invitation);
        if self.dialog.accept(Some(headers), Some(description.clone().into_bytes())).is_err() {
            debug!("The 200 could not be sent.");
        }
        count(&shared.counters.answered);
        Call {
            site: Arc::clone(self.site),
            dialog: self.dialog,
            place,
            media: reservation.call,
            agreed: invitation.agreed,
            local,
            description,
            answer_in_ack: invitation.offered.is_none(),
            timer: invitation.timer,
            caller_updates: invitation.caller_updates,
            sequence: invitation.sequence,
            commands,
        }
        .run(self.states, inbox)
        .await;
    }

    /// Where media is received: on the address that faces the caller, in the family of its SDP.
    fn media_ip(&self, invitation: &Invitation) -> std::net::IpAddr {
        let theirs = invitation.offered.as_ref().and_then(|offered| offered.change.address);
        match theirs {
            Some(theirs) if theirs.is_ipv4() != self.peer.ip().to_canonical().is_ipv4() => {
                super::listen::local_ip(
                    if theirs.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() },
                    theirs,
                )
            }
            _ => self.site.local_ip(self.peer),
        }
    }

    fn describe(&self, invitation: &Invitation, reservation: &Reservation) -> (Local, String) {
        let local = Local {
            rtp: self.site.shared.config.advertised(reservation.local_rtp),
            session: u64::from(rand::random::<u32>()),
            version: 1,
        };
        let description = match &invitation.offered {
            Some(offered) => offered.answer(&invitation.agreed, &local),
            None => offer(&invitation.agreed, &local),
        };
        (local, description)
    }

    fn no_media(&self, error: &AdmissionError) -> Refusal {
        let reason = match error {
            AdmissionError::Full { .. } => "full",
            AdmissionError::NoPort => "no port",
            AdmissionError::DiskBehind => "disk behind",
            AdmissionError::TooManyPackets { .. } => "too many packets",
            AdmissionError::EngineBehind { .. } => "engine behind",
            AdmissionError::Overloaded { .. } => "overloaded",
            AdmissionError::Stopping => "stopping",
            AdmissionError::Socket { .. } => "no socket",
        };
        if !matches!(error, AdmissionError::Stopping) {
            warn!(%error, "A call could not be given media; it got 503.");
        }
        Refusal::busy(reason, self.site.shared.config.retry_after_seconds)
    }

    /// Refuses with headers, which the dialog's own `reject` cannot.
    fn refuse(&self, refusal: &Refusal) {
        if let DialogState::Terminated(_, reason) = self.dialog.state() {
            return self.abandoned(Some(&reason), None);
        }
        self.site.shared.counters.refuse(refusal.reason);
        let invite = self.dialog.initial_request();
        let endpoint = &self.site.dialogs.endpoint;
        let mut response = endpoint.make_response(&invite, refusal.status_code(), None);
        for header in response.headers.iter_mut() {
            if let Header::To(to) = header {
                let tagged = format!("{};tag={}", to.value(), self.dialog.id().local_tag);
                *header = Header::To(tagged.into());
            }
        }
        response.headers.extend(refusal.header_list(&self.site.shared.config.user_agent));
        let sent = self.respond.send(TransactionEvent::Respond(response)).is_ok();
        // Ends the dialog; its own response comes second and is not sent.
        let ended = self.dialog.reject(Some(refusal.status_code()), None).is_ok();
        debug!(sent, ended, status = refusal.status, reason = refusal.reason, "Refused a call.");
    }

    fn abandoned(&self, reason: Option<&TerminatedReason>, event: Option<MessageEvent>) {
        debug!(?reason, "The caller gave up before the answer.");
        count(&self.site.shared.counters.abandoned);
        if let Some(event) = event {
            self.site.shared.events.emit(event);
        }
    }
}

/// Resolves when the dialog ends.
async fn ended(states: &mut DialogStateReceiver) -> Option<TerminatedReason> {
    loop {
        match states.recv().await {
            Some(DialogState::Terminated(_, reason)) => return Some(reason),
            Some(_) => {}
            None => return None,
        }
    }
}

/// The mailbox of a call that its owner does not refuse.
async fn find_mailbox(site: &Site, invitation: &Invitation) -> Result<Mailbox, Refusal> {
    let busy = |reason| Refusal::busy(reason, site.shared.config.retry_after_seconds);
    let failed = |error: DirectoryError| {
        warn!(%error, "A call got 503: its mailbox could not be looked up.");
        busy("directory")
    };
    let directory = &site.shared.directory;
    let asking = async {
        for number in &invitation.numbers {
            let Some(mailbox) = directory.mailbox(number).await.map_err(failed)? else { continue };
            let refused = directory.refuses(mailbox.id, &invitation.caller).await;
            return if refused.map_err(failed)? {
                Err(declined(&invitation.caller))
            } else {
                Ok(mailbox)
            };
        }
        // S07.
        Err(Refusal::new(404, "unknown mailbox"))
    };
    tokio::time::timeout(DIRECTORY_WAIT_MAX, asking).await.unwrap_or_else(|_| {
        warn!("A call got 503: the directory did not answer in time.");
        Err(busy("directory"))
    })
}

/// A caller whom the mailbox's owner blocked, before the call costs anybody anything.
fn declined(caller: &Caller) -> Refusal {
    match caller {
        // RFC 5079 §5: says that the same call with a number may be taken.
        Caller::Withheld => Refusal::new(433, "blocked caller"),
        // RFC 3261 §21.6.2.
        _ => Refusal::new(603, "blocked caller"),
    }
}

fn answer_headers(invitation: &Invitation) -> Vec<Header> {
    let mut headers = request::capabilities();
    headers.push(Header::ContentType("application/sdp".into()));
    if let Some(timer) = &invitation.timer {
        let timer = timer.answer_headers().into_iter();
        headers.extend(timer.map(|(name, value)| Header::Other(name.to_owned(), value)));
    }
    headers
}

/// How the call is to be led: sounds are encoded on first use, so not on this thread.
async fn plan(
    sounds: &Arc<dyn SoundBank>,
    invitation: &Invitation,
    mailbox: &Mailbox,
    recording: RecordingId,
) -> CallPlan {
    let codec = invitation.agreed.codec;
    let language = mailbox.language.announcements();
    let wanted = [
        Some(mailbox.greeting),
        mailbox.beep.then_some(SoundId::Beep),
        Some(SoundId::Closing(language)),
    ];
    let bank = Arc::clone(sounds);
    let load = move || {
        wanted.map(|sound| {
            let sound = sound.filter(|sound| *sound != SoundId::Silence)?;
            let own = bank.frames(sound, codec);
            match sound {
                SoundId::OwnGreeting(_) => {
                    own.or_else(|| bank.frames(SoundId::DefaultGreeting(language), codec))
                }
                _ => own,
            }
        })
    };
    let [greeting, beep, closing]: [Option<Arc<Frames>>; 3] =
        tokio::task::spawn_blocking(load).await.unwrap_or_else(|_| {
            warn!("The sounds of a call could not be loaded; the caller hears none.");
            [None, None, None]
        });
    CallPlan {
        opened: Opened {
            recording,
            mailbox: mailbox.id,
            caller: invitation.caller.clone(),
            codec,
            language: mailbox.language,
            answered_at: wall_time(),
        },
        payload_type: invitation.agreed.payload_type,
        digit_payload_type: invitation.agreed.digits.map(|(payload_type, _)| payload_type),
        greeting,
        beep,
        closing,
        recording_limit: mailbox.recording_limit.min(RECORDING_MAX),
        quiet_limit: mailbox.quiet_limit,
        silent_line_limit: SILENT_LINE_MAX,
        sender: SenderStart {
            ssrc: rand::random(),
            sequence: rand::random(),
            timestamp: rand::random(),
        },
        remote: invitation.offered.as_ref().and_then(|offered| offered.change.address),
    }
}
