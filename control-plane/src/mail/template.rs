//! Templates of mails, compiled in, Japanese and English side by side. Data in; subject, file
//! name and body out. The first lines of a template name subject and file.

use engine_core::text::{Language, Verdict};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::message::{Message, StoredState};
use crate::usage::forwarding_cost_yen;
use crate::wording::{caller_words, confidence_notice, time_stamp, time_words};

/// Every template: name, Japanese, English.
const TEMPLATES: [(&str, &str, &str); 1] = [(
    NEW_MESSAGE,
    include_str!("../../templates/new_message.ja.txt"),
    include_str!("../../templates/new_message.en.txt"),
)];

const NEW_MESSAGE: &str = "new_message";

/// What a mail says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailWords {
    /// Subject line.
    pub(crate) subject: String,
    /// Name of the attached sound.
    pub(crate) file: String,
    /// Body text.
    pub(crate) body: String,
}

/// A template that does not fit its data: a fault of this program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TemplateError {
    /// The engine refused it.
    #[error("the mail template {name} cannot be filled: {why}")]
    Fill {
        /// Which template.
        name: String,
        /// What the engine said.
        why: String,
    },
    /// `subject:` or `file:` is missing.
    #[error("the mail template {name} must begin with the lines subject: and file:")]
    Head {
        /// Which template.
        name: String,
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

    /// Tells of a new message, with or without text.
    pub(crate) fn new_message(
        &self,
        message: &Message,
        language: Language,
        public_url: Option<&str>,
    ) -> Result<MailWords, TemplateError> {
        let arrived = &message.arrived;
        let text = message.text.as_ref();
        let speech = text.filter(|text| text.verdict == Verdict::Speech);
        let percent = |confidence: f32| (confidence.clamp(0.0, 1.0) * 100.0).round() as u32;
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
            link: public_url
                .map(|url| format!("{}/v1/messages/{}", url.trim_end_matches('/'), arrived.id)),
            notice: confidence_notice(language),
        };
        self.fill(NEW_MESSAGE, language, &data)
    }

    fn fill(
        &self,
        name: &str,
        language: Language,
        data: &impl Serialize,
    ) -> Result<MailWords, TemplateError> {
        let name = full_name(name, language);
        let refused = |why: minijinja::Error| TemplateError::Fill {
            name: name.clone(),
            why: why.to_string(),
        };
        let template = self.environment.get_template(&name).map_err(refused)?;
        let text = template.render(Serde(data)).map_err(refused)?;
        split_head(&text).ok_or(TemplateError::Head { name })
    }
}

fn full_name(name: &str, language: Language) -> String {
    format!("{name}.{}.txt", language.code())
}

fn split_head(text: &str) -> Option<MailWords> {
    let (head, body) = text.split_once("\n\n")?;
    let line = |key: &str| head.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let subject = line("subject:")?.to_owned();
    let file = line("file:")?.to_owned();
    Some(MailWords { subject, file, body: format!("{}\n", body.trim()) })
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
        let names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        for name in &names {
            let (stem, _) = name.split_once('.').unwrap();
            for language in ["ja", "en"] {
                let want = format!("{stem}.{language}.txt");
                assert!(names.contains(&want), "templates/{want} is missing");
            }
            assert!(TEMPLATES.iter().any(|(known, ..)| *known == stem), "{name} is not used");
        }
        assert_eq!(names.len(), TEMPLATES.len() * 2);
        Templates::new().unwrap();
    }

    fn words(language: Language, change: impl FnOnce(&mut Message)) -> MailWords {
        let mut message = message();
        change(&mut message);
        let url = Some("https://rusuden.example/");
        Templates::new().unwrap().new_message(&message, language, url).unwrap()
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
