//! The words of notices, as templates that are compiled in, Japanese and English side by side.
//! Data in; subject, file name and body out. The first lines of a mail's or push's template name
//! subject and file; an SMS is body alone.

use engine_core::text::{Language, Verdict};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::message::{Message, StoredState};
use crate::notice::{Notice, NoticeBody};
use crate::outbox::Channel;
use crate::usage::forwarding_cost_yen;
use crate::wording::{caller_words, confidence_notice, date_words, time_stamp, time_words};

/// The template files of each channel and kind, Japanese and English; one that is missing does not
/// compile.
macro_rules! templates {
    ($($name:literal)*) => {
        [$((
            $name,
            include_str!(concat!("../templates/", $name, ".ja.txt")),
            include_str!(concat!("../templates/", $name, ".en.txt")),
        )),*]
    };
}

/// Every template: name, Japanese, English.
const TEMPLATES: [(&str, &str, &str); 13] = templates! {
    "mail/application_complete"
    "mail/contract_ending"
    "mail/data_deleted"
    "mail/new_message"
    "mail/roaming"
    "push/contract_ending"
    "push/new_message"
    "push/roaming"
    "sms/contract_ending"
    "sms/data_deleted"
    "sms/new_message"
    "sms/one_time_code"
    "sms/roaming"
};

/// What a notice says over one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// Subject of a mail, title of a push; empty for an SMS.
    pub(crate) subject: String,
    /// Name of the attached sound; empty where there is none.
    pub(crate) file: String,
    /// Body text.
    pub(crate) body: String,
}

/// Where subscribers find things; what is not configured is left out of the words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    /// The inbox.
    pub(crate) app: Option<String>,
    /// The carrier's member page (S27).
    pub(crate) member: Option<String>,
    /// The terms of service (S29).
    pub(crate) terms: Option<String>,
}

/// A template that does not fit its data: a fault of this program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TemplateError {
    /// The engine refused it.
    #[error("the template {name} cannot be filled: {why}")]
    Fill {
        /// Which template.
        name: String,
        /// What the engine said.
        why: String,
    },
    /// `subject:` is missing.
    #[error("the template {name} must begin with the line subject: and an empty line")]
    Head {
        /// Which template.
        name: String,
    },
    /// This kind of notice is not told over this channel.
    #[error("a notice of the kind {kind} has no words for {channel}")]
    None {
        /// Which kind.
        kind: &'static str,
        /// Which channel.
        channel: &'static str,
    },
}

/// The templates, ready to fill.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
}

#[derive(Serialize)]
struct NewMessageData<'a> {
    caller: String,
    received: String,
    stamp: String,
    duration_s: u64,
    failed: bool,
    no_words: bool,
    text: &'a str,
    confidence_percent: Option<u32>,
    forwarding_cost_yen: i64,
    audio_kilobytes: Option<u64>,
    link: Option<String>,
    notice: &'static str,
}

#[derive(Serialize)]
struct NoticeData<'a> {
    serial: Option<&'a str>,
    code: Option<&'a str>,
    minutes: Option<u32>,
    last_day: Option<String>,
    guide_url: Option<&'a str>,
    app_url: Option<&'a str>,
    member_url: Option<&'a str>,
    terms_url: Option<&'a str>,
}

impl<'a> NoticeData<'a> {
    fn of(notice: &'a Notice, links: &'a Links) -> Self {
        let mut data = Self {
            serial: None,
            code: None,
            minutes: None,
            last_day: None,
            guide_url: None,
            app_url: links.app.as_deref(),
            member_url: links.member.as_deref(),
            terms_url: links.terms.as_deref(),
        };
        match &notice.body {
            NoticeBody::ApplicationComplete { serial } => data.serial = Some(serial),
            NoticeBody::OneTimeCode { code, minutes } => {
                (data.code, data.minutes) = (Some(code.as_str()), Some(*minutes));
            }
            NoticeBody::Roaming { guide_url } => data.guide_url = guide_url.as_deref(),
            NoticeBody::ContractEnding { ends_on: day }
            | NoticeBody::DataDeleted { ended_on: day } => {
                data.last_day = Some(date_words(day, notice.language));
            }
            NoticeBody::NewMessage | NoticeBody::Event { .. } => {}
        }
        data
    }
}

impl Templates {
    /// Reads all templates.
    pub(crate) fn new() -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the usual delimiters do not clash"));
        for (name, japanese, english) in TEMPLATES {
            for (language, text) in [(Language::Japanese, japanese), (Language::English, english)] {
                let name = full_name(name, language);
                let refused = |why: minijinja::Error| TemplateError::Fill {
                    name: name.clone(),
                    why: why.to_string(),
                };
                environment.add_template_owned(name.clone(), text).map_err(refused)?;
            }
        }
        Ok(Self { environment })
    }

    /// Whether this kind of notice is told over this channel.
    pub(crate) fn has(channel: Channel, kind: &str) -> bool {
        let name = template_name(channel, kind);
        TEMPLATES.iter().any(|(known, ..)| *known == name)
    }

    /// The words of any notice but a new message's.
    pub(crate) fn notice(
        &self,
        channel: Channel,
        notice: &Notice,
        links: &Links,
    ) -> Result<Words, TemplateError> {
        let data = NoticeData::of(notice, links);
        self.fill(channel, notice.body.kind(), notice.language, &data)
    }

    /// Tells of a new message, with or without text.
    pub(crate) fn new_message(
        &self,
        channel: Channel,
        message: &Message,
        language: Language,
        links: &Links,
    ) -> Result<Words, TemplateError> {
        let arrived = &message.arrived;
        let text = message.text.as_ref();
        let speech = text.filter(|text| text.verdict == Verdict::Speech);
        let percent = |confidence: f32| (confidence.clamp(0.0, 1.0) * 100.0).round() as u32;
        let link =
            |url: &String| format!("{}/v1/messages/{}", url.trim_end_matches('/'), arrived.id);
        let data = NewMessageData {
            caller: caller_words(&arrived.caller, language),
            received: time_words(arrived.answered_at, language),
            stamp: time_stamp(arrived.answered_at),
            duration_s: arrived.duration_ms.div_ceil(1_000),
            failed: message.state == StoredState::Failed,
            no_words: speech.is_none(),
            text: speech.map_or("", |text| text.text.reveal()),
            confidence_percent: speech.map(|text| percent(text.confidence)),
            forwarding_cost_yen: forwarding_cost_yen(arrived.call_ms),
            audio_kilobytes: message.audio.as_ref().map(|audio| audio.bytes.div_ceil(1_000)),
            link: links.app.as_ref().map(link),
            notice: confidence_notice(language),
        };
        self.fill(channel, NoticeBody::NewMessage.kind(), language, &data)
    }

    fn fill(
        &self,
        channel: Channel,
        kind: &'static str,
        language: Language,
        data: &impl Serialize,
    ) -> Result<Words, TemplateError> {
        if !Self::has(channel, kind) {
            return Err(TemplateError::None { kind, channel: channel.name() });
        }
        let name = full_name(&template_name(channel, kind), language);
        let refused = |why: minijinja::Error| TemplateError::Fill {
            name: name.clone(),
            why: why.to_string(),
        };
        let template = self.environment.get_template(&name).map_err(refused)?;
        let text = template.render(Serde(data)).map_err(refused)?;
        if channel == Channel::Sms {
            let body = text.trim().to_owned();
            return Ok(Words { subject: String::new(), file: String::new(), body });
        }
        split_head(&text).ok_or(TemplateError::Head { name })
    }
}

fn template_name(channel: Channel, kind: &str) -> String {
    format!("{}/{kind}", channel.name())
}

fn full_name(name: &str, language: Language) -> String {
    format!("{name}.{}.txt", language.code())
}

fn split_head(text: &str) -> Option<Words> {
    let (head, body) = text.split_once("\n\n")?;
    let line = |key: &str| head.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let subject = line("subject:")?.to_owned();
    let file = line("file:").unwrap_or_default().to_owned();
    Some(Words { subject, file, body: format!("{}\n", body.trim()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MessageAudio, tests_support::message};
    use engine_core::caller::Caller;
    use engine_core::text::NoWords;

    #[test]
    fn every_template_has_both_languages_and_is_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let mut files = Vec::new();
        for channel in ["mail", "push", "sms"] {
            for file in std::fs::read_dir(format!("{folder}/{channel}")).unwrap() {
                let file = file.unwrap().file_name().into_string().unwrap();
                files.push(format!("{channel}/{file}"));
            }
        }
        files.sort();
        let mut wanted: Vec<String> = TEMPLATES
            .iter()
            .flat_map(|(name, ..)| ["en", "ja"].map(|language| format!("{name}.{language}.txt")))
            .collect();
        wanted.sort();
        assert_eq!(
            files, wanted,
            "each template needs Japanese and English, and its name in TEMPLATES"
        );
        Templates::new().unwrap();
    }

    fn links() -> Links {
        Links {
            app: Some("https://rusuden.example/".to_owned()),
            member: Some("https://carrier.example/member".to_owned()),
            terms: Some("https://carrier.example/terms".to_owned()),
        }
    }

    fn words(language: Language, change: impl FnOnce(&mut Message)) -> Words {
        let mut message = message();
        change(&mut message);
        let templates = Templates::new().unwrap();
        templates.new_message(Channel::Mail, &message, language, &links()).unwrap()
    }

    fn notice(body: NoticeBody, language: Language) -> Notice {
        let now = engine_core::time::WallTime::from_unix_millis(0);
        let mut notice = Notice::new(crate::notice::NoticeId::from_u128(1), body, "1", now);
        notice.language = language;
        notice
    }

    fn bodies() -> Vec<NoticeBody> {
        let day = || "2026-11-30".to_owned();
        vec![
            NoticeBody::ApplicationComplete { serial: "ABCD-EFGH-JKLM-N".to_owned() },
            NoticeBody::OneTimeCode { code: "4711".to_owned(), minutes: 10 },
            NoticeBody::Roaming { guide_url: Some("https://rusuden.example/guide".to_owned()) },
            NoticeBody::ContractEnding { ends_on: day() },
            NoticeBody::DataDeleted { ended_on: day() },
        ]
    }

    #[test]
    fn every_notice_has_words_for_its_channels_in_both_languages() {
        let templates = Templates::new().unwrap();
        for body in bodies() {
            let mut told = 0;
            for channel in [Channel::Mail, Channel::Sms, Channel::Push] {
                for language in [Language::Japanese, Language::English] {
                    let notice = notice(body.clone(), language);
                    let words = match templates.notice(channel, &notice, &links()) {
                        Ok(words) => words,
                        Err(TemplateError::None { .. }) => continue,
                        Err(why) => panic!("{why}"),
                    };
                    assert_eq!(words.subject.is_empty(), channel == Channel::Sms);
                    // Without any link configured the words still make sense.
                    let bare = templates.notice(channel, &notice, &Links::default()).unwrap();
                    for body in [words.body, bare.body] {
                        assert!(!body.trim().is_empty() && !body.contains("none"), "{body}");
                    }
                    told += 1;
                }
            }
            assert!(told >= 2, "{body:?} is told to nobody");
        }
    }

    /// S27, S29, S30
    #[test]
    fn s30_the_application_mail_carries_serial_member_page_and_terms() {
        let templates = Templates::new().unwrap();
        for language in [Language::Japanese, Language::English] {
            let notice = notice(bodies().remove(0), language);
            let mail = templates.notice(Channel::Mail, &notice, &links()).unwrap();
            for want in [
                "ABCD-EFGH-JKLM-N",
                "https://carrier.example/member",
                "https://carrier.example/terms",
                "https://rusuden.example/",
                "利用開始",
            ] {
                assert!(mail.body.contains(want), "{want} is missing in\n{}", mail.body);
            }
            assert!(!mail.subject.contains("ABCD"), "a subject shows on locked screens");
        }
    }

    #[test]
    fn s38_the_code_fits_one_sms() {
        let templates = Templates::new().unwrap();
        for language in [Language::Japanese, Language::English] {
            let sms = notice(bodies().remove(1), language);
            let sms = templates.notice(Channel::Sms, &sms, &links()).unwrap();
            assert!(sms.body.contains("4711") && sms.body.contains("10"), "{}", sms.body);
            assert!(sms.body.encode_utf16().count() <= 70, "{}", sms.body);
        }
    }

    #[test]
    fn s53_the_last_day_is_written_out() {
        let templates = Templates::new().unwrap();
        let ending = |language| {
            let notice = notice(bodies().remove(3), language);
            templates.notice(Channel::Mail, &notice, &links()).unwrap().subject
        };
        assert!(ending(Language::Japanese).contains("2026年11月30日"));
        assert!(ending(Language::English).contains("30 November 2026"));
    }

    #[test]
    fn s09_sms_and_push_tell_of_a_message_in_few_words() {
        let templates = Templates::new().unwrap();
        for language in [Language::Japanese, Language::English] {
            let tell = |channel| templates.new_message(channel, &message(), language, &links());
            let sms = tell(Channel::Sms).unwrap().body;
            assert!(sms.encode_utf16().count() <= 70, "{sms}");
            let push = tell(Channel::Push).unwrap();
            assert!(push.subject.contains("1234") && push.body.contains("会議"), "{push:?}");
            assert!(tell(Channel::Webhook).is_err());
        }
    }

    #[test]
    fn s01_the_body_holds_the_text_and_what_belongs_to_it() {
        let mail = words(Language::Japanese, |_| {});
        let wanted = [
            "明日の会議は十時からです。",
            "発信者: 090-1234-5678",
            "録音時間: 5秒",
            "認識の確からしさ: 87%",
            "転送通話料の目安: 22円（税込）",
            "添付の音声: MP3 20 KB",
            "認識結果は必ずしも正確ではありません",
            "https://rusuden.example/v1/messages/00000000-0000-0000-0000-000000000007",
            "2026年11月23日(月) 00時03分",
        ];
        for want in wanted {
            assert!(mail.body.contains(want), "{want} is missing in\n{}", mail.body);
        }
        assert_eq!(mail.subject, "【留守番電話】090-1234-5678からメッセージがあります");
        assert_eq!(mail.file, "留守番電話_20261123_000355.mp3");
    }

    #[test]
    fn s52_the_notice_is_in_both_languages() {
        let english = words(Language::English, |_| {});
        assert!(english.body.contains("not guaranteed to be correct"), "{}", english.body);
        assert!(english.body.contains("Received: Mon, 23 Nov 2026, 00:03 JST"));
    }

    #[test]
    fn a_silent_caller_leaves_no_words_and_no_invented_text() {
        let mail = words(Language::Japanese, |message| {
            let text = message.text.as_mut().unwrap();
            text.verdict = Verdict::NoWords(NoWords::NoSpeech);
            message.arrived.caller = Caller::Withheld;
        });
        assert!(mail.body.contains("（無言）") && !mail.body.contains("会議"), "{}", mail.body);
        assert!(mail.subject.contains("非通知"));
        assert!(!mail.body.contains("確からしさ"));
    }

    #[test]
    fn a_message_whose_text_failed_is_told_all_the_same() {
        let mail = words(Language::Japanese, |message| {
            (message.state, message.text, message.audio) = (StoredState::Failed, None, None);
        });
        assert!(mail.body.contains("文字にできませんでした"), "{}", mail.body);
        assert!(!mail.body.contains("添付"));
        let small = words(Language::Japanese, |message| {
            message.audio = Some(MessageAudio { bytes: 1, sha256: String::new() });
        });
        assert!(small.body.contains("MP3 1 KB"));
    }
}
