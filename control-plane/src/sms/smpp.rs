//! SMS through a message centre over SMPP 3.4. In: SMS, and the centre's receipts. Out: parts, and
//! what became of them as rows. One task keeps one connection bound; senders wait for it.

use std::time::Duration;

use engine_core::time::WallTime;
use futures::StreamExt;
use futures::stream::BoxStream;
use rusmpp::pdus::{BindTransceiver, DeliverSmResp, SubmitSm};
use rusmpp::tlvs::MessageSubmissionRequestTlvValue;
use rusmpp::types::{AnyOctetString, COctetString, EmptyOrFullCOctetString, OctetString};
use rusmpp::values::{
    DataCoding, EsmClass, InterfaceVersion, MessagePayload, Npi, RegisteredDelivery, Ton,
};
use rusmpp::{Command, CommandId, CommandStatus, Pdu};
use rusmppc::error::Error;
use rusmppc::{Client, ConnectionBuilder, Event};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::answer::{judge, read_receipt};
use super::receipt::Receipt;
use super::segment::{Coding, cut, whole};
use super::{Sent, Sms, SmsError};
use crate::backoff::backoff;
use crate::clock;
use crate::config::SmppConfig;
use crate::limits::{
    SMPP_ANSWER_MAX, SMPP_BIND_WAIT, SMPP_CONNECT_MAX, SMPP_ENQUIRE_LINK, SMPP_RECONNECT_MAX,
};
use crate::outbox::Outcome;
use crate::store::SharedStore;

/// The message centre.
pub(crate) struct Smpp {
    config: SmppConfig,
    addresses: Addresses,
    bound: watch::Sender<Option<Client>>,
    /// When the next part may leave.
    pace: Mutex<Instant>,
}

/// What does not change from SMS to SMS, checked at the start.
#[derive(Clone)]
struct Addresses {
    system_id: COctetString<1, 16>,
    password: COctetString<1, 9>,
    system_type: COctetString<1, 13>,
    source: COctetString<1, 21>,
    source_ton: Ton,
    source_npi: Npi,
}

impl Addresses {
    fn read(config: &SmppConfig) -> Result<Self, SmsError> {
        let (source, source_ton, source_npi) = match config.from.strip_prefix('+') {
            Some(digits) => (digits, Ton::International, Npi::Isdn),
            None if config.from.bytes().all(|b| b.is_ascii_digit()) => {
                (config.from.as_str(), Ton::NetworkSpecific, Npi::Unknown)
            }
            None => (config.from.as_str(), Ton::Alphanumeric, Npi::Unknown),
        };
        Ok(Self {
            system_id: text("system_id", &config.system_id)?,
            password: text("password", &config.password)?,
            system_type: text("system_type", &config.system_type)?,
            source: text("from", source)?,
            source_ton,
            source_npi,
        })
    }
}

fn text<const MIN: usize, const MAX: usize>(
    key: &'static str,
    value: &str,
) -> Result<COctetString<MIN, MAX>, SmsError> {
    let wrong = |why: String| SmsError::Smpp { key, why };
    if !value.is_ascii() {
        return Err(wrong("it must be ASCII".to_owned()));
    }
    COctetString::from_string(value.to_owned()).map_err(|e| wrong(e.to_string()))
}

impl Smpp {
    pub(super) fn new(config: SmppConfig) -> Result<Self, SmsError> {
        let addresses = Addresses::read(&config)?;
        let bound = watch::Sender::new(None);
        Ok(Self { config, addresses, bound, pace: Mutex::new(Instant::now()) })
    }

    /// Keeps a connection bound until `stop`, then unbinds.
    pub(super) fn start(&self, store: SharedStore, stop: CancellationToken) -> JoinHandle<()> {
        let keeper = Keeper {
            config: self.config.clone(),
            addresses: self.addresses.clone(),
            bound: self.bound.clone(),
            store,
        };
        tokio::spawn(async move {
            tokio::select! {
                () = keeper.keep() => {}
                () = stop.cancelled() => {}
            }
            let client = keeper.bound.send_replace(None);
            if let Some(client) = client {
                // SMPP 3.4 §4.2: whoever leaves says so. That it may fail changes nothing.
                let _ = tokio::time::timeout(SMPP_ANSWER_MAX, client.unbind()).await;
                let _ = client.close().await;
            }
        })
    }

    pub(super) async fn send(&self, sms: &Sms<'_>) -> Sent {
        let parts = match self.write(sms) {
            Ok(parts) => parts,
            Err(why) => return Outcome::Permanent(why).into(),
        };
        let Some(client) = self.client().await else {
            return Outcome::Transient("the message centre is not connected".to_owned()).into();
        };
        let mut references = Vec::with_capacity(parts.len());
        for part in parts {
            self.wait_for_turn().await;
            match client.submit_sm(part).await {
                Ok(answer) => references.push(answer.message_id().as_str().to_owned()),
                Err(error) => {
                    // Parts that left cannot be called back: sending again may show them twice.
                    let outcome = match judge(&error) {
                        Outcome::Transient(why) if !references.is_empty() => Outcome::Unknown(why),
                        outcome => outcome,
                    };
                    return Sent { outcome, references };
                }
            }
        }
        Sent { outcome: Outcome::Delivered, references }
    }

    /// The connection once it is bound; none when that takes too long.
    async fn client(&self) -> Option<Client> {
        let mut bound = self.bound.subscribe();
        let client = bound.wait_for(Option::is_some);
        let client = tokio::time::timeout(SMPP_BIND_WAIT, client).await.ok()?.ok()?;
        client.clone()
    }

    /// Spreads parts evenly over each second, so that the centre has no reason to throttle.
    async fn wait_for_turn(&self) {
        let mut next = self.pace.lock().await;
        let now = Instant::now();
        let turn = now.max(*next);
        *next = turn + Duration::from_secs(1) / self.config.per_second_max.max(1);
        drop(next);
        tokio::time::sleep_until(turn).await;
    }

    fn write(&self, sms: &Sms<'_>) -> Result<Vec<SubmitSm>, String> {
        let digits = sms.to.strip_prefix('+').unwrap_or(sms.to);
        let to = COctetString::<1, 21>::from_string(digits.to_owned())
            .map_err(|_| "the number does not fit into SMPP".to_owned())?;
        let mut one = SubmitSm::builder()
            .source_addr_ton(self.addresses.source_ton)
            .source_addr_npi(self.addresses.source_npi)
            .source_addr(self.addresses.source.clone())
            .dest_addr_ton(Ton::International)
            .dest_addr_npi(Npi::Isdn)
            .destination_addr(to)
            // §5.2.17: a receipt for success and failure.
            .registered_delivery(RegisteredDelivery::from(1))
            .esm_class(EsmClass::from(0))
            .build();
        if let Some(span) = sms.validity {
            one.validity_period = validity(span);
        }
        if self.config.message_payload {
            let (coding, octets) = whole(sms.text);
            one.data_coding = data_coding(coding);
            let payload = MessagePayload::new(AnyOctetString::from_vec(octets));
            one.set_tlvs(vec![MessageSubmissionRequestTlvValue::MessagePayload(payload)]);
            return Ok(vec![one]);
        }
        let parts = cut(sms.text, reference(sms.name)).map_err(|e| e.to_string())?;
        one.data_coding = data_coding(parts.coding);
        if parts.parts.len() > 1 {
            // §5.2.12: bit 6 says that a user data header leads.
            one.esm_class = EsmClass::from(0x40);
        }
        parts
            .parts
            .into_iter()
            .map(|octets| {
                let mut part = one.clone();
                let octets = OctetString::from_vec(octets).map_err(|e| e.to_string())?;
                part.set_short_message(octets);
                Ok(part)
            })
            .collect()
    }
}

/// Tells the parts of one SMS from another's; the same when it is sent again.
fn reference(name: &str) -> u8 {
    name.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0)
}

const fn data_coding(coding: Coding) -> DataCoding {
    match coding {
        Coding::Gsm => DataCoding::McSpecific,
        Coding::Ucs2 => DataCoding::Ucs2,
    }
}

/// §7.1.1: a relative time, `YYMMDDhhmmss000R`.
fn validity(span: Duration) -> EmptyOrFullCOctetString<17> {
    let seconds = span.as_secs().clamp(60, 99 * 86_400);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hours, minutes, left) = (rest / 3_600, rest / 60 % 60, rest % 60);
    // Months have no fixed length, so days run up to 99.
    let text = format!("0000{days:02}{hours:02}{minutes:02}{left:02}000R");
    EmptyOrFullCOctetString::from_string(text).unwrap_or_else(|_| EmptyOrFullCOctetString::empty())
}

/// Keeps the connection.
struct Keeper {
    config: SmppConfig,
    addresses: Addresses,
    bound: watch::Sender<Option<Client>>,
    store: SharedStore,
}

type Events = BoxStream<'static, Event>;

impl Keeper {
    async fn keep(&self) {
        let mut failed = 0_u32;
        loop {
            match self.bind().await {
                Ok((client, events)) => {
                    failed = 0;
                    info!(host = self.config.host, "Bound to the message centre.");
                    self.bound.send_replace(Some(client.clone()));
                    self.listen(&client, events).await;
                    self.bound.send_replace(None);
                    let _ = client.close().await;
                    warn!(host = self.config.host, "The message centre is gone; binding again.");
                }
                Err(why) => {
                    error!(host = self.config.host, %why, "The message centre cannot be bound.");
                }
            }
            failed = failed.saturating_add(1);
            let rest = backoff(failed, rand::random()).min(SMPP_RECONNECT_MAX);
            tokio::time::sleep(rest).await;
        }
    }

    async fn bind(&self) -> Result<(Client, Events), Error> {
        let late = || Error::Connect(std::io::ErrorKind::TimedOut.into());
        let connecting = tokio::time::timeout(SMPP_CONNECT_MAX, self.connect());
        let (client, events) = connecting.await.map_err(|_| late())??;
        let bind = BindTransceiver::builder()
            .system_id(self.addresses.system_id.clone())
            .password(self.addresses.password.clone())
            .system_type(self.addresses.system_type.clone())
            .interface_version(InterfaceVersion::Smpp3_4)
            .build();
        match client.bind_transceiver(bind).await {
            Ok(_) => Ok((client, events)),
            Err(error) => {
                let _ = client.close().await;
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<(Client, Events), Error> {
        let builder = ConnectionBuilder::new()
            .enquire_link_interval(SMPP_ENQUIRE_LINK)
            .enquire_link_response_timeout(SMPP_ANSWER_MAX)
            .response_timeout(SMPP_ANSWER_MAX)
            .disable_interface_version_check();
        let (host, port) = (&self.config.host, self.config.port());
        if self.config.tls {
            let (client, events) = builder.connect(format!("smpps://{host}:{port}")).await?;
            return Ok((client, events.boxed()));
        }
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(Error::Connect)?;
        stream.set_nodelay(true).map_err(Error::Connect)?;
        let (client, events) = builder.connected(stream);
        Ok((client, events.boxed()))
    }

    /// Takes receipts until the connection ends.
    async fn listen(&self, client: &Client, mut events: Events) {
        while let Some(event) = events.next().await {
            match event {
                Event::Incoming(command) => self.take(client, &command).await,
                Event::Error(why) => {
                    warn!(host = self.config.host, %why, "The message centre's line failed.");
                    return;
                }
            }
        }
    }

    async fn take(&self, client: &Client, command: &Command) {
        let number = command.sequence_number();
        match (command.id(), command.pdu()) {
            (CommandId::DeliverSm, Some(Pdu::DeliverSm(told))) => {
                let mut status = CommandStatus::EsmeRok;
                if let Some(receipt) = read_receipt(told)
                    && let Err(why) = self.keep_receipt(&receipt).await
                {
                    // §5.1.3 ESME_RX_T_APPN: the centre tells it again.
                    status = CommandStatus::EsmeRxTAppn;
                    error!(%why, "A receipt could not be kept.");
                }
                let answer = DeliverSmResp::default();
                let _ = client.status(status).deliver_sm_resp(number, answer).await;
            }
            (CommandId::Unbind, _) => {
                let _ = client.unbind_resp(number).await;
                let _ = client.close().await;
            }
            _ => {}
        }
    }

    async fn keep_receipt(&self, receipt: &Receipt) -> Result<(), crate::store::StoreError> {
        let now: WallTime = clock::now();
        self.store.keep_sms_state(&receipt.reference, receipt.state, now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_is_a_relative_time() {
        let text = |seconds| {
            let validity = validity(Duration::from_secs(seconds));
            validity.as_str().to_owned()
        };
        assert_eq!(text(600), "000000001000000R");
        assert_eq!(text(3 * 86_400 + 3_661), "000003010101000R");
        assert_eq!(text(1), "000000000100000R");
    }
}
