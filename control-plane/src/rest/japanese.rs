//! What rules refuse, told to readers of Japanese: everything that a subscriber may meet. In: an
//! error of a rule. Out: a sentence that says what to do. The English stands with the error itself.

use crate::blocked::BlockedError;
use crate::limits::{
    ADDRESSES_MAX, BLOCKED_CALLERS_MAX, CODE_DIGITS, DEVICE_NAME_CHARS_MAX, HOTWORD_CHARS_MAX,
    HOTWORDS_MAX, QUIET_LIMIT_S_MIN, RECORDING_LIMIT_S_MAX, SEARCH_CHARS_MAX,
};
use crate::mailbox::MailboxError;
use crate::one_time_code::CodeError;
use crate::outgoing::TargetError;
use crate::push::PushError;
use crate::quiet::QuietError;
use crate::search::SearchError;
use crate::serial::SerialError;
use crate::setup::{OutOfOrder, Step};
use crate::subscriber::DeviceNameError;
use crate::telephone::TelephoneError;

/// An error that can be told in Japanese.
pub(crate) trait Japanese {
    /// What is wrong and what to do.
    fn japanese(&self) -> String;
}

impl Japanese for SerialError {
    fn japanese(&self) -> String {
        "シリアル番号が正しくありません。メールに書かれた4文字ずつ5組の番号を入力してください。"
            .to_owned()
    }
}

impl Japanese for CodeError {
    fn japanese(&self) -> String {
        format!("SMSに書かれた{CODE_DIGITS}桁の認証コードを入力してください。")
    }
}

impl Japanese for TelephoneError {
    fn japanese(&self) -> String {
        "060、070、080、090で始まる携帯電話番号を、090-1234-5678のように入力してください。"
            .to_owned()
    }
}

impl Japanese for DeviceNameError {
    fn japanese(&self) -> String {
        format!("端末名は1～{DEVICE_NAME_CHARS_MAX}文字で入力してください。")
    }
}

impl Japanese for QuietError {
    fn japanese(&self) -> String {
        "おやすみ時間は、22:00から7:00までのように、異なる二つの時刻で指定してください。".to_owned()
    }
}

impl Japanese for SearchError {
    fn japanese(&self) -> String {
        match self {
            Self::Empty => "検索する文字を入力してください。".to_owned(),
            Self::TooLong { .. } => {
                format!("検索する文字は{SEARCH_CHARS_MAX}文字までにしてください。")
            }
        }
    }
}

impl Japanese for OutOfOrder {
    fn japanese(&self) -> String {
        let asked = match self.asked {
            Step::Entry => "シリアル番号の入力",
            Step::Terms => "利用規約への同意",
            Step::Device => "電話番号と端末名の登録",
            Step::Code => "認証コードの入力",
            Step::Forwarding | Step::Done => "転送の設定",
        };
        format!("手続きの順番が違います。次は「{asked}」です。")
    }
}

impl Japanese for MailboxError {
    fn japanese(&self) -> String {
        match self {
            Self::Number => "050番号を、050-1234-5678のように入力してください。".to_owned(),
            Self::RecordingLimit { .. } => {
                format!("録音時間は1～{RECORDING_LIMIT_S_MAX}秒で指定してください。")
            }
            Self::QuietLimit { .. } => format!(
                "無音で録音を終えるまでの時間は{QUIET_LIMIT_S_MIN}～{RECORDING_LIMIT_S_MAX}秒で\
                 指定するか、指定をやめてください。"
            ),
            Self::TooManyAddresses { .. } => {
                format!("通知先のメールアドレスは{ADDRESSES_MAX}件までです。")
            }
            Self::Address => {
                "メールアドレスを、user@example.jpのように入力してください。".to_owned()
            }
            Self::AddressTwice => "同じメールアドレスが二度書かれています。".to_owned(),
            Self::TooManyHotwords { .. } => format!("登録語は{HOTWORDS_MAX}語までです。"),
            Self::Hotword => format!(
                "登録語は1～{HOTWORD_CHARS_MAX}文字で、読点や改行を入れずに、重ならないように入力してください。"
            ),
            Self::NoOwnGreeting => "先にご自分の応答メッセージを登録してください。".to_owned(),
        }
    }
}

impl Japanese for BlockedError {
    fn japanese(&self) -> String {
        match self {
            Self::Number => "電話番号を、090-1234-5678のように入力してください。".to_owned(),
            Self::NotOne => {
                "電話番号、番号のない着信の種類、メッセージのうち一つだけを指定してください。"
                    .to_owned()
            }
            Self::Full => format!(
                "着信拒否は{BLOCKED_CALLERS_MAX}件までです。ひとつ解除してから、もう一度お試しください。"
            ),
        }
    }
}

impl Japanese for PushError {
    fn japanese(&self) -> String {
        match self {
            Self::Target(TargetError::Url) => "プッシュ通知の宛先のURLが正しくありません。",
            Self::Target(TargetError::Private) => {
                "プッシュ通知の宛先がインターネット上にありません。"
            }
            Self::Key | Self::Auth => {
                "プッシュ通知の鍵が正しくありません。登録をやり直してください。"
            }
        }
        .to_owned()
    }
}
